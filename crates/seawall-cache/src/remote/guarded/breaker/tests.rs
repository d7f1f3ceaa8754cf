//! The breaker's rules, with time as an argument.

use super::*;

const OPEN_FOR: Duration = Duration::from_secs(1);
const QUICK: Outcome = Outcome::Answered(Duration::from_millis(1));
const SLOW: Outcome = Outcome::Answered(Duration::from_millis(50));
const FAILED: Outcome = Outcome::Failed;

const RULES: Rules = Rules {
    failures: 3,
    open_for: OPEN_FOR,
    window: Duration::from_secs(10),
    min_calls: 20,
    error_ratio: 0.5,
    slow_call: Duration::from_millis(50),
    slow_ratio: 0.8,
    probes: 1,
};

fn call(breaker: &mut Breaker, outcome: Outcome, now: Instant) -> Option<Change> {
    let admission = match breaker.is_open() {
        true => breaker.admit_probe(now),
        false => breaker.admit(),
    };
    assert_ne!(admission, Admission::Refused);
    breaker.ended(admission, outcome, now)
}

fn opened(rules: Rules, now: Instant) -> Breaker {
    let mut breaker = Breaker::new(rules, now);
    for _ in 0..2 {
        assert_eq!(call(&mut breaker, FAILED, now), None);
    }
    assert_eq!(call(&mut breaker, FAILED, now), Some(Change::Opened));
    breaker
}

#[tokio::test]
async fn failures_in_a_row_open_it_however_few_calls_there_are() {
    let mut now = Instant::now();
    let mut breaker = Breaker::new(RULES, now);
    for _ in 0..2 {
        assert_eq!(call(&mut breaker, FAILED, now), None);
        now += Duration::from_secs(3600);
    }
    assert_eq!(call(&mut breaker, FAILED, now), Some(Change::Opened));
    assert_eq!(breaker.admit(), Admission::Refused);
    assert_eq!(breaker.admit_probe(now), Admission::Refused);
}

#[tokio::test]
async fn a_few_failures_among_few_calls_keep_it_closed() {
    let now = Instant::now();
    let mut breaker = Breaker::new(RULES, now);
    for outcome in [FAILED, FAILED, QUICK].into_iter().cycle().take(18) {
        assert_eq!(call(&mut breaker, outcome, now), None);
    }
    assert!(!breaker.is_open());
}

#[tokio::test]
async fn half_of_many_calls_failing_opens_it() {
    let now = Instant::now();
    let mut breaker = Breaker::new(RULES, now);
    let changes: Vec<_> = [FAILED, QUICK]
        .into_iter()
        .cycle()
        .take(20)
        .map(|outcome| call(&mut breaker, outcome, now))
        .collect();
    assert_eq!(changes.iter().position(Option::is_some), Some(19), "at min_calls");
    assert_eq!(breaker.counts(now).calls, 0, "it starts afresh");
}

#[tokio::test]
async fn failures_that_are_long_past_do_not_count() {
    let mut now = Instant::now();
    let mut breaker = Breaker::new(RULES, now);
    for outcome in [FAILED, QUICK].into_iter().cycle().take(18) {
        call(&mut breaker, outcome, now);
    }
    now += RULES.window;
    for outcome in [FAILED, QUICK, QUICK].into_iter().cycle().take(60) {
        assert_eq!(call(&mut breaker, outcome, now), None);
    }
}

#[tokio::test]
async fn a_node_that_answers_but_slowly_opens_it() {
    let now = Instant::now();
    let mut breaker = Breaker::new(RULES, now);
    for _ in 0..3 {
        call(&mut breaker, QUICK, now);
    }
    let slow = (0..17).map(|_| call(&mut breaker, SLOW, now)).collect::<Vec<_>>();
    assert_eq!(slow.last(), Some(&Some(Change::Opened)));
    assert_eq!(slow.iter().flatten().count(), 1);
    // A probe that is slow is no proof.
    let later = now + OPEN_FOR;
    assert_eq!(call(&mut breaker, SLOW, later), None);
    assert!(breaker.is_open());
    assert_eq!(call(&mut breaker, QUICK, later + OPEN_FOR), Some(Change::Closed));
}

#[tokio::test]
async fn half_open_lets_so_many_probes_through_and_wants_all_answered() {
    let now = Instant::now();
    let mut breaker = opened(Rules { probes: 3, ..RULES }, now);
    assert_eq!(breaker.admit_probe(now + OPEN_FOR / 2), Admission::Refused);
    let now = now + OPEN_FOR;
    for _ in 0..3 {
        assert_eq!(breaker.admit_probe(now), Admission::Probe);
        assert_eq!(breaker.admit(), Admission::Refused, "callers wait until it has closed");
    }
    assert_eq!(breaker.admit_probe(now), Admission::Refused);
    assert_eq!(breaker.ended(Admission::Probe, QUICK, now), None);
    assert_eq!(breaker.admit_probe(now), Admission::Refused, "three in all, not three at a time");
    assert_eq!(breaker.ended(Admission::Probe, QUICK, now), None);
    assert_eq!(breaker.ended(Admission::Probe, QUICK, now), Some(Change::Closed));
    assert_eq!(breaker.admit(), Admission::Call);
}

#[tokio::test]
async fn a_failed_probe_opens_it_again_for_the_whole_time() {
    let now = Instant::now();
    let mut breaker = opened(Rules { probes: 2, ..RULES }, now);
    let probed = now + OPEN_FOR;
    assert_eq!(breaker.admit_probe(probed), Admission::Probe);
    assert_eq!(breaker.admit_probe(probed), Admission::Probe);
    breaker.ended(Admission::Probe, FAILED, probed);
    breaker.ended(Admission::Probe, QUICK, probed);
    assert_eq!(breaker.admit_probe(probed + OPEN_FOR / 2), Admission::Refused);
    assert_eq!(breaker.admit_probe(probed + OPEN_FOR), Admission::Probe);
}

#[tokio::test]
async fn an_abandoned_probe_makes_way_for_the_next() {
    let now = Instant::now();
    let mut breaker = opened(RULES, now);
    let probed = now + OPEN_FOR;
    assert_eq!(breaker.admit_probe(probed), Admission::Probe);
    assert_eq!(breaker.admit_probe(probed), Admission::Refused);
    breaker.abandoned(Admission::Probe);
    assert_eq!(breaker.admit_probe(probed), Admission::Probe);
}

#[tokio::test]
async fn a_straggler_neither_closes_nor_prolongs_it() {
    let now = Instant::now();
    let mut breaker = opened(RULES, now);
    assert_eq!(breaker.ended(Admission::Call, QUICK, now), None);
    assert!(breaker.is_open());
    breaker.ended(Admission::Call, FAILED, now + OPEN_FOR / 2);
    assert_eq!(breaker.admit_probe(now + OPEN_FOR), Admission::Probe);
    breaker.ended(Admission::Call, FAILED, now + OPEN_FOR);
    assert_eq!(breaker.ended(Admission::Probe, QUICK, now + OPEN_FOR), Some(Change::Closed));
}
