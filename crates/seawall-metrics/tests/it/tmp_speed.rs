use std::hint::black_box;
use metrics::{Key, Level, Metadata, Recorder as _};
use seawall_metrics::Recorder;
use tokio::time::Instant;
const METADATA: Metadata<'static> = Metadata::new("test", Level::INFO, None);
fn run(name: &str, threads: usize, n: u64, f: impl Fn(u64) + Sync) {
    let start = Instant::now();
    std::thread::scope(|s| { for _ in 0..threads { s.spawn(|| for i in 0..n { f(black_box(i)) }); } });
    println!("{name} x{threads}: {:.1} ns", start.elapsed().as_nanos() as f64 / n as f64);
}
#[test]
#[ignore]
fn speed() {
    let (r, h) = Recorder::builder().build().unwrap();
    let c = r.register_counter(&Key::from_static_name("c"), &METADATA);
    let g = r.register_histogram(&Key::from_static_name("h_seconds"), &METADATA);
    for t in [1, 2, 1, 2] {
        run("counter", t, 10_000_000, |_| c.increment(1));
        run("histogram", t, 10_000_000, |i| g.record((i & 1023) as f64 * 1e-4));
        metrics::with_local_recorder(&r, || {
            let start = Instant::now();
            for i in 0..5_000_000_u64 { metrics::counter!("m_total", "a" => "x", "b" => "y").increment(black_box(i)); }
            println!("counter! 2 static labels: {:.1} ns", start.elapsed().as_nanos() as f64 / 5e6);
        });
    }
    for i in 0..10_000 { r.register_counter(&Key::from_parts("many_total", vec![metrics::Label::new("i", i.to_string())]), &METADATA).increment(1); }
    for i in 0..1_000 { let x = r.register_histogram(&Key::from_parts("hs", vec![metrics::Label::new("i", i.to_string())]), &METADATA); for k in 0..100 { x.record(k as f64 * 0.01); } }
    let start = Instant::now();
    let text = h.render();
    println!("render 10k counters + 1k histograms: {:?} {}", start.elapsed(), text.len());
    let mut buf = String::with_capacity(text.len());
    let start = Instant::now();
    h.render_into(&mut buf);
    println!("again into buf: {:?}", start.elapsed());
    let now = Instant::now();
    for k in 1..4 {
        let start = Instant::now();
        h.tick(now + std::time::Duration::from_secs(k));
        println!("tick {k}: {:?}", start.elapsed());
    }
    let start = Instant::now();
    let w = h.window_at("hs", &[], std::time::Duration::from_secs(10), now + std::time::Duration::from_secs(3));
    println!("window 1k series: {:?} {}", start.elapsed(), w.count);
}
