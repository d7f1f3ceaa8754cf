use std::time::Duration;

use tokio::time::Instant;

use super::{Counted, Look, Meter};

const SECOND: Duration = Duration::from_secs(1);

fn look(asked: u64, lent: u64, in_use: usize, waiting: usize) -> Look {
    let counted = Counted { asked, lent, waited: Duration::from_millis(lent) };
    Look { counted, in_use, waiting, size: 8 }
}

#[test]
fn service_time_follows_from_littles_law() {
    let start = Instant::now();
    let mut meter = Meter::new(4 * SECOND, start);
    for second in 1..4 {
        assert!(meter.look(look(0, 0, 4, 0), start + second * SECOND).is_none());
    }
    // 400 lent in 4 s while 4 were out: 40 ms each.
    let load = meter.look(look(440, 400, 4, 8), start + 4 * SECOND).unwrap();
    assert_eq!((load.arrivals, load.served, load.in_use, load.waiting), (110.0, 100.0, 4.0, 2.0));
    assert_eq!(load.service_time, Some(Duration::from_millis(40)));
    assert_eq!(load.wait_time, Duration::from_millis(1));
    assert_eq!(load.utilisation, 0.5);
    // 110 a second for 40 ms, and the two that wait.
    assert!((load.offered() - 6.4).abs() < 1e-9, "{}", load.offered());
}

#[test]
fn each_window_counts_for_itself() {
    let start = Instant::now();
    let mut meter = Meter::new(SECOND, start);
    meter.look(look(1_000, 1_000, 8, 5), start + SECOND).unwrap();
    let load = meter.look(look(1_010, 1_005, 1, 0), start + 2 * SECOND).unwrap();
    assert_eq!((load.arrivals, load.served, load.in_use, load.waiting), (10.0, 5.0, 1.0, 0.0));
    let idle = meter.look(look(1_010, 1_005, 0, 0), start + 3 * SECOND).unwrap();
    assert_eq!((idle.service_time, idle.wait_time, idle.offered()), (None, Duration::ZERO, 0.0));
}

#[test]
fn a_connection_that_stays_out_is_load_though_none_is_lent() {
    let start = Instant::now();
    let mut meter = Meter::new(SECOND, start);
    let load = meter.look(look(0, 0, 3, 0), start + SECOND).unwrap();
    assert_eq!((load.service_time, load.offered()), (None, 3.0));
}
