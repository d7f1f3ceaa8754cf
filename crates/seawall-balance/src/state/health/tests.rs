use std::time::Duration;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn exact() -> ProbeConfig {
    ProbeConfig { jitter: 0.0, ..ProbeConfig::default() }
}

#[test]
fn one_bad_probe_among_good_ones_changes_nothing() {
    let config = exact();
    let mut health = Health::new(0, 1, &config);
    for good in [false, false, true, false, false, true] {
        assert_eq!(health.finish(good, 0, 1, &config), None);
    }
    assert!(health.is_healthy());
    assert_eq!(health.finish(false, 0, 1, &config), None);
    assert_eq!(health.finish(false, 0, 1, &config), None);
    assert_eq!(health.finish(false, 0, 1, &config), Some(false));
    assert_eq!(health.finish(true, 0, 1, &config), None);
    assert_eq!(health.finish(false, 0, 1, &config), None);
    assert_eq!(health.finish(true, 0, 1, &config), None);
    assert_eq!(health.finish(true, 0, 1, &config), Some(true));
}

#[test]
fn a_new_node_that_must_wait_needs_one_good_probe() {
    let config = ProbeConfig { required: true, ..exact() };
    let mut health = Health::new(7, 1, &config);
    assert!(!health.is_healthy());
    assert_eq!(health.due(), Some(7));
    assert_eq!(health.finish(false, 7, 1, &config), None);
    assert_eq!(health.finish(true, 7, 1, &config), Some(true));
}

#[test]
fn a_node_under_probe_is_not_due_and_an_abandoned_probe_is() {
    let config = exact();
    let mut health = Health::new(0, 1, &config);
    let due = health.due();
    health.begin(1);
    assert_eq!(health.due(), None);
    health.abandon();
    assert_eq!(health.due(), due);
}

#[test]
fn intervals_start_when_a_probe_ends_and_are_shorter_while_unhealthy() {
    let config = exact();
    let mut health = Health::new(0, 1, &config);
    let _ = health.finish(true, SECOND, 1, &config);
    assert_eq!(health.due(), Some(6 * SECOND));
    for _ in 0..3 {
        let _ = health.finish(false, SECOND, 1, &config);
    }
    assert_eq!(health.due(), Some(2 * SECOND));
}

#[test]
fn nodes_are_not_probed_in_step() {
    let config = ProbeConfig { interval: Duration::from_secs(10), ..ProbeConfig::default() };
    let mut firsts: Vec<u64> =
        (0..100).map(|hash| Health::new(0, hash, &config).due().unwrap()).collect();
    firsts.sort_unstable();
    assert!(firsts[0] < 2 * SECOND && firsts[99] > 8 * SECOND && firsts[99] < 10 * SECOND);
    let mut health = Health::new(0, 1, &config);
    for _ in 0..50 {
        let _ = health.finish(true, 0, 1, &config);
        assert!((9 * SECOND..=11 * SECOND).contains(&health.due().unwrap()));
    }
}
