use super::super::law::{Law, Sample};

/// Feeds ticks of a tenth of a second from a service with so many workers, each as long as told,
/// and as many requests as there are slots.
fn busy(law: &mut Law, workers: f64, latency: f64, ticks: usize) {
    for _ in 0..ticks {
        let inflight = law.limit() as f64;
        let rate = inflight.min(workers) / latency;
        law.feed(&sample(rate, inflight / rate, inflight, true));
    }
}

fn sample(rate: f64, latency: f64, inflight: f64, limited: bool) -> Sample {
    let completed = rate * 0.1;
    Sample {
        span: 0.1,
        completed,
        latency: latency * completed,
        inflight: inflight * completed,
        lost: 0.0,
        limited,
        pressed: limited,
    }
}

#[test]
fn the_knee_is_found_from_below_and_from_above() {
    for workers in [8.0, 50.0, 200.0, 1_000.0] {
        let mut law = Law::new(4, 10_000, 64, 0);
        busy(&mut law, workers, 0.02, 300);
        let limit = law.limit() as f64;
        assert!(limit >= workers * 0.9 && limit <= workers * 1.3 + 2.0, "{limit} for {workers}");
        let base = law.base().unwrap();
        assert!((0.018..0.025).contains(&base), "{base} for {workers}");
    }
}

#[test]
fn one_lucky_latency_does_not_collapse_the_limit() {
    let mut law = Law::new(4, 10_000, 64, 0);
    busy(&mut law, 50.0, 0.02, 300);
    let before = law.limit();
    // A tenth of the latency, once: answers from a cache, say.
    law.feed(&sample(2_500.0, 0.002, before as f64, true));
    law.feed(&sample(2_500.0, 0.002, before as f64, true));
    let mut least = usize::MAX;
    for _ in 0..200 {
        busy(&mut law, 50.0, 0.02, 1);
        least = least.min(law.limit());
    }
    assert!(least >= 20, "{least}");
    assert!(law.limit() >= 45, "{} after {before}", law.limit());
}

#[test]
fn a_latency_that_no_step_down_cures_becomes_the_base() {
    let mut law = Law::new(4, 10_000, 64, 0);
    busy(&mut law, 50.0, 0.02, 300);
    // Five times slower, with room for any number: a dependency.
    let mut least = usize::MAX;
    for _ in 0..600 {
        let inflight = law.limit() as f64;
        law.feed(&sample(inflight / 0.1, 0.1, inflight, true));
        least = least.min(law.limit());
    }
    assert!(least >= 20, "{least}");
    assert!(law.limit() > 500, "{}", law.limit());
    assert!(law.base().unwrap() > 0.09);
}

#[test]
fn free_slots_never_take_the_limit_down() {
    let mut law = Law::new(4, 10_000, 64, 0);
    for tick in 0..3_000 {
        let latency = 0.001 * f64::from(tick % 500 + 1);
        law.feed(&sample(100.0, latency, 30.0, false));
        assert_eq!(law.limit(), 64);
    }
}

#[test]
fn a_limit_far_above_what_is_needed_comes_down_slowly() {
    let mut law = Law::new(4, 10_000, 64, 0);
    busy(&mut law, 1_000.0, 0.02, 300);
    for _ in 0..3_000 {
        law.feed(&sample(500.0, 0.02, 10.0, false));
    }
    assert_eq!(law.limit(), 64);
}

#[test]
fn where_nothing_gets_done_less_is_started() {
    let mut law = Law::new(4, 10_000, 64, 0);
    busy(&mut law, 50.0, 0.02, 300);
    for _ in 0..200 {
        let hung = Sample {
            completed: 0.0,
            latency: 0.0,
            inflight: 0.0,
            lost: 5.0,
            ..sample(1.0, 0.0, 0.0, true)
        };
        law.feed(&hung);
    }
    assert_eq!(law.limit(), 4);
    busy(&mut law, 50.0, 0.02, 100);
    assert!(law.limit() >= 45, "{}", law.limit());
}

#[test]
fn what_is_turned_away_for_other_reasons_does_not_push_the_limit_up() {
    let mut law = Law::new(4, 10_000, 64, 0);
    for _ in 0..3_000 {
        // A busy processor: requests are turned away while slots are free.
        law.feed(&Sample { pressed: true, ..sample(100.0, 0.02, 2.0, true) });
    }
    assert_eq!(law.limit(), 64);
}
