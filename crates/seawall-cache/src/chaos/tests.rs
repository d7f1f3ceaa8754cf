//! Each fault does what it says, and no more.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::remote::{MemoryRemote, Put, Remote, RemoteError, Watcher};

const TEXT: &str = "ns:1";
const TTL: Duration = Duration::from_secs(60);

fn record() -> Bytes {
    // A tombstone is a record like any other to a remote.
    crate::record::tombstone(TEXT, 0)
}

fn chaos(seed: u64) -> (MemoryRemote, Chaos<MemoryRemote>) {
    let store = MemoryRemote::default();
    (store.clone(), Chaos::new(store, seed))
}

fn only(change: impl FnOnce(&mut ChaosConfig)) -> ChaosConfig {
    let mut config = ChaosConfig::calm();
    change(&mut config);
    config
}

async fn is_there(store: &MemoryRemote) -> bool {
    store.read(TEXT).await.expect("never fails").bytes.is_some()
}

async fn gives_up(operation: crate::RemoteFuture<'_, Put>) {
    timeout(Duration::from_secs(5), operation).await.expect_err("never answered");
}

#[tokio::test(start_paused = true)]
async fn a_refused_operation_fails_at_once_and_has_no_effect() {
    let (store, chaos) = chaos(1);
    chaos.set(ChaosConfig::gone()).expect("in bounds");
    let answer = chaos.put(TEXT, record(), TTL, TTL).await;
    assert!(matches!(answer, Err(RemoteError::Disconnected(_))));
    assert!(!is_there(&store).await);
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_hangs_has_no_effect() {
    let (store, chaos) = chaos(1);
    chaos.set(ChaosConfig::frozen()).expect("in bounds");
    gives_up(chaos.put(TEXT, record(), TTL, TTL)).await;
    assert!(!is_there(&store).await);
}

#[tokio::test(start_paused = true)]
async fn an_operation_whose_answer_is_lost_has_its_effect() {
    let (store, chaos) = chaos(1);
    chaos.set(only(|config| config.lose_answer = 1.0)).expect("in bounds");
    gives_up(chaos.put(TEXT, record(), TTL, TTL)).await;
    assert!(is_there(&store).await);
}

#[tokio::test(start_paused = true)]
async fn a_late_removal_takes_effect_after_its_caller_left_and_a_late_put_never() {
    let (store, chaos) = chaos(1);
    chaos.set(only(|config| config.late = 1.0)).expect("in bounds");
    gives_up(chaos.put(TEXT, record(), TTL, TTL)).await;
    assert!(!is_there(&store).await);
    let removal = timeout(Duration::from_millis(100), chaos.remove(TEXT, 0, TTL)).await;
    removal.expect_err("never answered");
    assert!(!is_there(&store).await, "not yet");
    sleep(Duration::from_secs(1)).await;
    assert!(is_there(&store).await, "its tombstone");
}

#[tokio::test(start_paused = true)]
async fn delays_stay_within_their_bound() {
    let (_, chaos) = chaos(1);
    let delay = Duration::from_millis(40);
    chaos.set(only(|config| config.delay = delay)).expect("in bounds");
    let mut longest = Duration::ZERO;
    for _ in 0..50 {
        let asked = Instant::now();
        chaos.read(TEXT).await.expect("answers");
        longest = longest.max(asked.elapsed());
    }
    assert!(longest > delay, "it waits twice: {longest:?}");
    // The paused clock rounds each wait up to a millisecond.
    assert!(longest <= 2 * delay + Duration::from_millis(2), "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_has_the_same_faults() {
    async fn faults(seed: u64) -> Vec<bool> {
        let (_, chaos) = chaos(seed);
        chaos.set(only(|config| config.refuse = 0.5)).expect("in bounds");
        let mut faults = Vec::new();
        for _ in 0..64 {
            faults.push(chaos.read(TEXT).await.is_err());
        }
        faults
    }
    assert_eq!(faults(7).await, faults(7).await);
    assert_ne!(faults(7).await, faults(8).await);
}

#[tokio::test]
async fn a_probability_beyond_one_is_refused_and_changes_nothing() {
    let (_, chaos) = chaos(1);
    let error = chaos.set(only(|config| config.hang = 1.5)).expect_err("out of bounds");
    assert_eq!(error.field, "hang");
    chaos.read(TEXT).await.expect("answers as before");
}

/// Writes down what it is told.
#[derive(Default)]
struct Ear(Mutex<Vec<String>>);

impl Ear {
    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

impl Watcher for Ear {
    fn changed(&self, text: &str, _version: Option<u64>) {
        self.0.lock().push(text.to_owned());
    }

    fn landed(&self, text: &str) {
        self.0.lock().push(format!("landed {text}"));
    }

    fn lost(&self, node: Option<u32>) {
        self.0.lock().push(format!("lost {node:?}"));
    }

    fn link(&self, node: u32, up: bool) {
        self.0.lock().push(format!("link {node} {up}"));
    }

    fn proved(&self, _at: Instant) {}
}

fn listen(chaos: &Chaos<MemoryRemote>) -> Arc<Ear> {
    let ear = Arc::new(Ear::default());
    let watcher = Arc::downgrade(&ear);
    assert!(chaos.watch("ns", watcher));
    ear.heard();
    ear
}

#[tokio::test(start_paused = true)]
async fn late_messages_keep_their_order() {
    let (store, chaos) = chaos(1);
    let ear = listen(&chaos);
    chaos.set(only(|config| config.message_delay = Duration::from_millis(50))).expect("in bounds");
    let texts: Vec<String> = (0..100).map(|key| format!("ns:{key}")).collect();
    for text in &texts {
        store.remove(text, 0, TTL).await.expect("never fails");
        sleep(Duration::from_millis(1)).await;
    }
    assert!(ear.0.lock().len() < texts.len(), "some are still on their way");
    sleep(Duration::from_secs(5)).await;
    assert_eq!(ear.heard(), texts);
}

#[tokio::test(start_paused = true)]
async fn a_cut_link_says_so_loses_what_comes_and_owns_up_when_mended() {
    let (store, chaos) = chaos(1);
    let ear = listen(&chaos);
    chaos.cut_link();
    assert_eq!(ear.heard(), ["link 0 false"]);
    store.remove(TEXT, 0, TTL).await.expect("never fails");
    assert_eq!(ear.heard(), [""; 0]);
    chaos.mend_link();
    assert_eq!(ear.heard(), ["link 0 true", "lost None"]);
    store.remove(TEXT, 0, TTL).await.expect("never fails");
    assert_eq!(ear.heard(), [TEXT]);
}

#[tokio::test(start_paused = true)]
async fn a_cut_loses_what_was_on_its_way() {
    let (store, chaos) = chaos(1);
    let ear = listen(&chaos);
    chaos.set(only(|config| config.message_delay = Duration::from_millis(50))).expect("in bounds");
    store.remove(TEXT, 0, TTL).await.expect("never fails");
    chaos.cut_link();
    chaos.mend_link();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(ear.heard(), ["link 0 false", "link 0 true", "lost None"]);
}
