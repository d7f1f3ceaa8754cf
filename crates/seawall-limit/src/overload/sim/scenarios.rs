//! What must hold, whatever the weather.

use super::super::priority::Criticality;
use super::guards::{Fixed, Gradient2, Guard, Ours};
use super::world::{FAIR, Second, Sum, Weather, World};

/// Each line a second, for `--nocapture`.
fn trace(seconds: &[Second]) {
    for (index, second) in seconds.iter().enumerate() {
        let sum = Sum::of(std::slice::from_ref(second));
        println!(
            "{index:>3} limit {:>4} offered {:>5} served {:>5} rejected {:>5} late {:>4} p50 {:>6.1} p99 {:>7.1} {:?}",
            second.limit,
            sum.offered(),
            sum.served(),
            sum.rejected(),
            second.late,
            sum.percentile(0.5),
            sum.percentile(0.99),
            second.rejected,
        );
    }
}

/// Four times the load of 1 000 a second; half of the workers are gone from 20 s to 40 s.
const HALVED: [(u64, Weather); 3] = [
    (0, Weather { rate: 4_000.0, ..FAIR }),
    (20, Weather { rate: 4_000.0, workers: 10, ..FAIR }),
    (40, Weather { rate: 4_000.0, ..FAIR }),
];


fn show(name: &str, weathers: &[(u64, Weather)], from: u64, to: u64, ideal: f64) {
    for seed in 1..=5 {
        let mut world = World::new(Ours::new(), seed, weathers);
        let seconds = world.run(to);
        if seed == 1 && std::env::var("TRACE").is_ok_and(|it| it == name) { trace(seconds); }
        let sum = Sum::of(&seconds[from as usize..]);
        println!("{name:<22} seed {seed} goodput {:>5.1} % rejected {:>5.2} % critical+ {:>6.2} p99 {:>7.1} limit {:>4}",
            100.0 * sum.served() as f64 / (ideal * (to - from) as f64),
            100.0 * sum.rejected() as f64 / sum.offered() as f64,
            100.0 * sum.success(Criticality::CriticalPlus),
            sum.percentile(0.99),
            seconds.last().unwrap().limit);
    }
}

#[test]
fn explore() {
    show("halved 0-20", &HALVED, 1, 20, 1000.0);
    show("halved 20-40", &HALVED, 20, 40, 500.0);
    show("halved 40-60", &[(0, HALVED[1].1), (20, HALVED[0].1)], 20, 40, 1000.0);
    let w = Weather { rate: 4000.0, ..FAIR };
    show("slower 20-40", &[(0, w), (20, Weather { work: 40.0, ..w })], 20, 40, 500.0);
    show("faster 20-40", &[(0, Weather { work: 40.0, ..w }), (20, w)], 20, 40, 1000.0);
    let calm = Weather { rate: 200.0, ..FAIR };
    show("dep calm", &[(0, calm), (20, Weather { dependency: 150.0, ..calm })], 5, 40, 200.0);
    let busy = Weather { rate: 600.0, ..FAIR };
    show("dep busy", &[(0, busy), (20, Weather { dependency: 300.0, ..busy })], 20, 40, 600.0);
    let over = Weather { rate: 3000.0, ..FAIR };
    show("dep over", &[(0, over), (20, Weather { dependency: 300.0, ..over })], 23, 50, 1000.0);
    let bursts: Vec<_> = (0..30).map(|i| (i, Weather { rate: if i % 3 == 0 { 900.0 } else { 50.0 }, ..FAIR })).collect();
    show("bursts", &bursts, 0, 30, 333.3);
    for (workers, work) in [(4, 50.0), (20, 20.0), (200, 20.0), (40, 500.0)] {
        let capacity = workers as f64 * 1000.0 / work;
        for load in [0.3, 0.85] {
            let w = Weather { rate: capacity * load, workers, work, patience: (work as u64*8).max(1000), ..FAIR };
            show(&format!("{workers}x{work} {load}"), &[(0, w)], 0, 20, capacity * load);
        }
        let w = Weather { rate: capacity * 3.0, workers, work, patience: (work as u64*8).max(1000), ..FAIR };
        show(&format!("{workers}x{work} 3"), &[(0, w)], 10, 40, capacity);
    }
    let flap: Vec<_> = (0..20).map(|i| (2 * i, Weather { rate: 2000.0, workers: if i % 2 == 0 { 20 } else { 5 }, ..FAIR })).collect();
    show("flapping", &flap, 8, 40, 625.0);
    let flap: Vec<_> = (0..8).map(|i| (5 * i, Weather { rate: 2000.0, workers: if i % 2 == 0 { 20 } else { 5 }, ..FAIR })).collect();
    show("flapping 5", &flap, 10, 40, 625.0);
    let storm = |rate| Weather { rate, retries: 3, ..FAIR };
    show("storm", &[(0, storm(700.0)), (10, storm(3000.0)), (20, storm(700.0))], 10, 20, 1000.0);
    show("after storm", &[(0, storm(700.0)), (10, storm(3000.0)), (20, storm(700.0))], 22, 40, 700.0);
    let mix = |slow, rate| Weather { slow, rate, work: 5.0, ..FAIR };
    show("mix shift", &[(0, mix(0.0, 1000.0)), (20, mix(0.03, 1000.0))], 10, 60, 1000.0);
    show("mix over", &[(0, mix(0.02, 6000.0))], 10, 60, 4000.0 / 1.98);
}
