//! Memory, measured in a process of its own.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use metrics::{Key, Label, Level, Metadata, Recorder as _};
use seawall_metrics::Recorder;

const METADATA: Metadata<'static> = Metadata::new("test", Level::INFO, None);
const MIB: f64 = 1024.0 * 1024.0;

/// What the process has in memory, in bytes, at pages of 4 KiB or more.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024.0
}

#[test]
fn records_that_nobody_scrapes_take_no_memory_and_an_idle_series_takes_little() {
    let (recorder, _handle) = Recorder::builder().max_series(100_000).build().unwrap();
    let histogram = recorder.register_histogram(&Key::from_static_name("took_seconds"), &METADATA);
    let counter = recorder.register_counter(&Key::from_static_name("hits_total"), &METADATA);
    let record = |n: u32| {
        histogram.record(f64::from(n & 0xffff) * 1e-5);
        counter.increment(1);
    };
    (0..0x1_0000).for_each(record);
    let before = resident();
    let allocated = allocation_counter::measure(|| (0..10_000_000).for_each(record));
    let grew = resident() - before;
    // A buffer of 16 bytes for each would be 153 MiB.
    assert!(grew < 4.0 * MIB, "{grew} bytes");
    assert_eq!(allocated.count_total, 0);

    let before = resident();
    for n in 0..20_000 {
        let key = Key::from_parts("idle_total", vec![Label::new("n", n.to_string())]);
        recorder.register_counter(&key, &METADATA).increment(1);
    }
    let each = (resident() - before) / 20_000.0;
    println!("{each:.0} bytes for a counter series with one label");
    assert!(each < 320.0, "{each} bytes for a counter series");

    let before = resident();
    for n in 0..10_000 {
        let key = Key::from_parts("idle_seconds", vec![Label::new("n", n.to_string())]);
        recorder.register_histogram(&key, &METADATA).record(0.1);
    }
    let each = (resident() - before) / 10_000.0;
    println!("{each:.0} bytes for a histogram series with one label and one value");
    assert!(each < 1100.0, "{each} bytes for a histogram series");
}
