use seawall_signal::Unit;

use super::{bare, codes, once};
use crate::{Policy, Queue};

fn jobs() -> Policy {
    let queue = Queue::new("backlog", 100.0).arrivals("arrivals");
    Policy { queues: vec![queue], ..bare() }
}

fn at(current: u32, backlog: f64, arrivals: f64) -> crate::Decision {
    let samples = [("backlog", backlog, Unit::Count), ("arrivals", arrivals, Unit::PerSecond)];
    once(&jobs(), current, &samples)
}

#[test]
fn workers_are_for_what_arrives_and_to_work_off_what_waits() {
    // Case 13 of the research.
    let decision = at(3, 12_000.0, 500.0);
    assert_eq!((decision.target, codes(&decision)), (7, vec!["backlog"]));
    assert_eq!(
        decision.explain(),
        "backlog: 12000 waiting and 500/s arriving, to be done within 60 s at 100/s per \
         instance: wants 7 instances, from 3"
    );
    assert_eq!(at(3, 0.0, 0.0).target, 1);
    let asleep = Policy { min: 0, ..jobs() };
    let nothing = [("backlog", 0.0, Unit::Count), ("arrivals", 0.0, Unit::PerSecond)];
    assert_eq!(once(&asleep, 3, &nothing).target, 0);
}

#[test]
fn a_backlog_under_constant_arrivals_converges() {
    let (mut backlog, mut workers, mut most) = (50_000.0_f64, 1, 0);
    for _ in 0..200 {
        workers = at(workers, backlog, 500.0).target;
        most = most.max(workers);
        backlog = (backlog + 15.0 * (500.0 - 100.0 * f64::from(workers))).max(0.0);
    }
    assert_eq!((workers, backlog), (5, 0.0));
    assert!(most <= 14, "{most}");
}

#[test]
fn unknown_arrivals_neither_shrink_nor_hide_a_backlog() {
    let only = |current, backlog| once(&jobs(), current, &[("backlog", backlog, Unit::Count)]);
    assert_eq!(only(10, 60.0).target, 10);
    assert_eq!(only(10, 120_000.0).target, 20);
    assert!(only(10, 60.0).explain().ends_with("arrivals has no sample: not scaling down"));
}
