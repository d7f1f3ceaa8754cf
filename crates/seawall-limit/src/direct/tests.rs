use std::sync::Barrier;
use std::thread;

use tokio::time::Instant;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn direct(limit: u32, burst: u32) -> Direct {
    Direct::new(Quota::per(limit, MINUTE).unwrap().with_burst(burst).unwrap()).unwrap()
}

#[test]
fn threads_at_once_get_exactly_the_burst_without_keys_too() {
    let direct = direct(1, 1_000);
    let (now, barrier) = (Instant::now(), Barrier::new(8));
    let admitted: usize = thread::scope(|scope| {
        let run = || {
            barrier.wait();
            (0..500).filter(|_| direct.check(now).is_ok()).count()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(admitted, 1_000);
    assert_eq!(direct.remaining(now), 0);
}

#[test]
fn who_waits_as_told_is_admitted_by_a_direct_quota() {
    let direct = direct(60, 3);
    let now = Instant::now();
    assert_eq!(direct.check_n(3, now), Ok(()));
    assert_eq!(direct.check_n(2, now), Err(Refusal::Wait(Duration::from_secs(2))));
    let early = now + Duration::from_secs(2) - Duration::from_nanos(1);
    assert_eq!(direct.check_n(2, early), Err(Refusal::Wait(Duration::from_nanos(1))));
    assert_eq!(direct.check_n(0, early), Ok(()));
    assert_eq!(direct.check_n(2, now + Duration::from_secs(2)), Ok(()));
    assert_eq!(direct.check_n(4, now).unwrap_err().retry_after(), None);
}

#[test]
fn a_clock_set_back_does_not_block_a_direct_quota_for_longer_than_a_refill() {
    let direct = direct(60, 3);
    let now = Instant::now();
    assert!(direct.check_n(3, now + 1_000_000 * MINUTE).is_ok());
    assert!(direct.check(now).is_err());
    assert!(direct.check_n(3, now + Duration::from_secs(3)).is_ok());
}

#[test]
fn modes_that_take_more_than_one_integer_are_refused() {
    for quota in [Quota::window(5, MINUTE).unwrap(), Quota::fixed(5, MINUTE).unwrap()] {
        assert_eq!(Direct::new(quota).unwrap_err(), Error::Mode { mode: quota.mode() });
    }
    assert!(Direct::new(Quota::strict(5, MINUTE).unwrap()).is_ok());
}
