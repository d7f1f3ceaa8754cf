use std::sync::atomic::{AtomicU32, Ordering};

use tokio::time::advance;

use super::*;
use crate::sources::Measure;

const EVERY: Duration = Duration::from_secs(15);

fn exact() -> PollConfig {
    PollConfig { jitter_percent: 0, ..PollConfig::default() }
}

fn counting(calls: &Arc<AtomicU32>, fails_after: u32) -> impl Probe + 'static {
    let calls = Arc::clone(calls);
    Measure::new("queue", move || {
        let call = calls.fetch_add(1, Ordering::SeqCst);
        async move {
            if call >= fails_after {
                return Err(SourceError::Refused { status: 503 });
            }
            Ok(vec![Reading::new("queue_depth", f64::from(call), Unit::Count)])
        }
    })
}

fn fed(poller: &Poller) -> Signals {
    let mut signals = Signals::new();
    poller.feed(&mut signals, Instant::now());
    signals
}

async fn pass(time: Duration) {
    let step = Duration::from_millis(500);
    for _ in 0..(time.as_millis() / step.as_millis()) {
        advance(step).await;
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_probe_is_asked_at_its_own_pace() {
    let mut poller = Poller::new();
    let (slow, fast) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    poller.add(counting(&slow, u32::MAX), exact()).unwrap();
    let often = PollConfig { interval: Duration::from_secs(1), ..exact() };
    poller.add(counting(&fast, u32::MAX), often).unwrap();
    poller.settled().await;
    pass(Duration::from_secs(150)).await;
    assert!((9..=11).contains(&slow.load(Ordering::SeqCst)), "{slow:?}");
    assert!((100..=152).contains(&fast.load(Ordering::SeqCst)), "{fast:?}");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_keeps_its_last_value_which_grows_old() {
    let mut poller = Poller::new();
    let calls = Arc::new(AtomicU32::new(0));
    poller.add(counting(&calls, 1), exact()).unwrap();
    poller.settled().await;
    pass(Duration::from_secs(120)).await;
    let signals = fed(&poller);
    assert_eq!(signals.get("queue_depth").unwrap().value, 0.0);
    let age = signals.age("queue_depth", Instant::now()).unwrap();
    assert!(age >= Duration::from_secs(119), "{age:?}");
    assert!(signals.fresh("queue_depth", Instant::now(), Duration::from_secs(60)).is_err());
    let (name, status) = poller.status().next().unwrap();
    assert_eq!(name, "queue");
    assert!(status.failures >= 2 && status.read_at.is_some());
    assert_eq!(status.error.unwrap().to_string(), "the source refused (status 503)");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_is_asked_less_and_less() {
    let mut poller = Poller::new();
    let calls = Arc::new(AtomicU32::new(0));
    poller.add(counting(&calls, 0), exact()).unwrap();
    pass(Duration::from_secs(1200)).await;
    // 15, 30, 60, 120 .. s, each between its half and its whole.
    let calls = calls.load(Ordering::SeqCst);
    assert!((11..=26).contains(&calls), "{calls} in 20 minutes");
    assert!(fed(&poller).is_empty(), "nothing is made up");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_is_given_up_at_its_deadline_and_asked_again() {
    let mut poller = Poller::new();
    let calls = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&calls);
    let hanging = Measure::new("hangs", move || {
        counter.fetch_add(1, Ordering::SeqCst);
        std::future::pending()
    });
    poller.add(hanging, exact()).unwrap();
    poller.settled().await;
    let status = poller.status().next().unwrap().1;
    assert_eq!(status.error.unwrap().to_string(), "no answer within 5s");
    pass(Duration::from_secs(60)).await;
    assert!(calls.load(Ordering::SeqCst) >= 2);
}

#[tokio::test(start_paused = true)]
async fn an_old_or_senseless_number_does_not_replace_a_younger_good_one() {
    let mut poller = Poller::new();
    let turn = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&turn);
    let probe = Measure::new("old", move || {
        let turn = counter.fetch_add(1, Ordering::SeqCst);
        async move {
            let reading = Reading::new("depth", f64::from(turn), Unit::Count);
            Ok(vec![match turn {
                0 => reading,
                1 => reading.aged(Duration::from_secs(3600)),
                2 => Reading { value: f64::NAN, ..reading },
                _ => reading.aged(Duration::from_secs(2)),
            }])
        }
    });
    advance(Duration::from_secs(7200)).await;
    poller.add(probe, exact()).unwrap();
    poller.settled().await;
    for expected in [0.0, 0.0, 0.0] {
        assert_eq!(fed(&poller).get("depth").unwrap().value, expected);
        pass(EVERY).await;
    }
    while turn.load(Ordering::SeqCst) < 4 {
        pass(EVERY).await;
    }
    let signals = fed(&poller);
    assert!(signals.get("depth").unwrap().value >= 3.0);
    assert!(signals.age("depth", Instant::now()).unwrap() >= Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_poller_ends_its_tasks() {
    let mut poller = Poller::new();
    let calls = Arc::new(AtomicU32::new(0));
    poller.add(counting(&calls, u32::MAX), exact()).unwrap();
    poller.settled().await;
    drop(poller);
    pass(Duration::from_secs(60)).await;
    assert_eq!((calls.load(Ordering::SeqCst), Arc::strong_count(&calls)), (1, 1));
}

#[test]
fn bounds_are_named_and_nothing_is_begun_outside_them() {
    let config = PollConfig { jitter_percent: 51, ..PollConfig::default() };
    assert_eq!(config.validate().unwrap_err().to_string(), "jitter_percent: 51, must be 0 to 50");
    let config = PollConfig { backoff_max: Duration::from_secs(1), ..PollConfig::default() };
    let said = config.validate().unwrap_err().to_string();
    assert_eq!(said, "backoff_max: 1s, must be 15s to 86400s");
}
