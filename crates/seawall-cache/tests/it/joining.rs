//! Which loads a caller joins while others use the cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use seawall_cache::{Cache, Loaded};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::{Numbers, OriginDown, cache, connect, stack, until};

/// Loads of one key that go on until they are let go.
#[derive(Clone)]
struct Origin {
    began: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

impl Origin {
    fn new() -> Self {
        Self { began: Arc::default(), gate: Arc::new(Semaphore::new(0)) }
    }

    fn ask(&self, cache: &Numbers) -> JoinHandle<u64> {
        let (cache, origin) = (cache.clone(), self.clone());
        tokio::spawn(async move {
            let load = |_| async move {
                let turn = origin.began.fetch_add(1, Ordering::Relaxed) as u64;
                origin.gate.acquire().await.expect("open").forget();
                Ok::<_, OriginDown>(turn)
            };
            let got = cache.get_or_load(&1, load).await.expect("loads");
            *got.value.expect("a value")
        })
    }

    fn loads(&self) -> usize {
        self.began.load(Ordering::Relaxed)
    }
}

/// Waits until `here` has heard of everything that was done in Redis before.
async fn hears(here: &Numbers, there: &Numbers) {
    let key = 1_000;
    assert!(!here.set(&key, 1).await.is_partial());
    assert!(!there.set(&key, 2).await.is_partial());
    until("it hears", || async {
        here.peek(&key).is_none_or(|got| got.value.as_deref() == Some(&2))
    })
    .await;
}

async fn tagged(cache: &Numbers, key: u64, tag: &str) {
    let tag = tag.to_owned();
    let load = move |_| async move { Ok::<_, OriginDown>(Loaded::new(key).tags([tag])) };
    cache.get_or_load(&key, load).await.expect("loads");
}

#[tokio::test]
async fn a_new_tag_does_not_make_other_keys_load_twice() {
    let stack = stack().await;
    let (here, there) = (connect(&stack).await, connect(&stack).await);
    let (here, there) = (cache(&here), cache(&there));
    let origin = Origin::new();
    let mut asked = vec![origin.ask(&here)];
    until("it loads", || async { origin.loads() == 1 }).await;
    for round in 0..20 {
        tagged(&here, 10 + round, &format!("new{round}")).await;
        hears(&here, &there).await;
        asked.push(origin.ask(&here));
        // By what it asks next it is known to have come this far.
        tagged(&here, 100 + round, "seen").await;
    }
    origin.gate.add_permits(100);
    let answers = join_all(asked).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(0))), "{answers:?}");
    assert_eq!(origin.loads(), 1);
}

#[tokio::test]
async fn a_tag_invalidated_elsewhere_is_not_joined_past() {
    let stack = stack().await;
    let (here, there) = (connect(&stack).await, connect(&stack).await);
    let (here, there) = (cache(&here), cache(&there));
    tagged(&here, 10, "red").await;
    let origin = Origin::new();
    let early = origin.ask(&here);
    until("it loads", || async { origin.loads() == 1 }).await;
    there.invalidate_tag("red").await;
    hears(&here, &there).await;
    let late = origin.ask(&here);
    until("a load of his own", || async { origin.loads() == 2 }).await;
    origin.gate.add_permits(2);
    assert_eq!(early.await.expect("answers"), 0);
    assert_eq!(late.await.expect("answers"), 1);
}

#[tokio::test]
async fn the_first_callers_of_a_namespace_load_once() {
    let stack = stack().await;
    for round in 0..10 {
        let (here, there) = (connect(&stack).await, connect(&stack).await);
        let [here, there] = [&here, &there].map(|redis| -> Numbers {
            Cache::builder(format!("first{round}")).remote(redis.clone()).build().expect("valid")
        });
        let origin = Origin::new();
        let first = origin.ask(&here);
        let other = origin.ask(&there);
        until("it loads", || async { origin.loads() >= 1 }).await;
        hears(&here, &there).await;
        let late = [origin.ask(&here), origin.ask(&there)];
        hears(&there, &here).await;
        origin.gate.add_permits(100);
        for answer in [first, other].into_iter().chain(late) {
            assert_eq!(answer.await.expect("answers"), 0);
        }
        assert_eq!(origin.loads(), 1, "round {round}");
    }
}
