//! The cache as its users see it, over a remote whose faults are scripted.

mod ahead;
mod batch;
mod causal;
mod clears;
mod coherence;
mod fences;
mod laws;
mod leases;
mod outage;
mod settings;
mod single_flight;
mod stale;
mod tags;
mod ttl;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use crate::remote::fake::FakeRemote;
use crate::{Cache, CacheBuilder, Got, Guarded, Load, LoadError, Loaded, OutageConfig};

pub(super) type Numbers = Cache<u64, u64>;

/// The deadline of every fake remote here.
pub(super) const DEADLINE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the origin said no")]
pub(super) struct OriginDown;

pub(super) fn builder() -> CacheBuilder<u64, u64> {
    Cache::builder("numbers")
}

/// A cache with its own view of a remote, as on a node of its own.
pub(super) fn node(remote: &FakeRemote) -> Numbers {
    node_of(builder(), remote)
}

pub(super) fn node_of(builder: CacheBuilder<u64, u64>, remote: &FakeRemote) -> Numbers {
    let guarded = Guarded::new(remote.clone(), "fake", DEADLINE, &OutageConfig::default());
    builder.remote(guarded).build().expect("valid")
}

pub(super) fn value<V: Copy>(got: &Got<V>) -> Option<V> {
    got.value.as_deref().copied()
}

/// A read whose loader answers at once.
pub(super) async fn load(cache: &Numbers, key: u64, answer: impl Into<Loaded<u64>>) -> Got<u64> {
    let answer = answer.into();
    cache
        .get_or_load(&key, move |_| async move { Ok::<_, OriginDown>(answer) })
        .await
        .expect("loads")
}

/// A read that must not need its loader.
pub(super) async fn cached(cache: &Numbers, key: u64) -> Got<u64> {
    cache.get_or_load(&key, |_| async { Err::<u64, _>(OriginDown) }).await.expect("cached")
}

/// An origin that counts its loads.
#[derive(Clone, Default)]
pub(super) struct Origin {
    loads: Arc<AtomicUsize>,
}

impl Origin {
    pub(super) fn loads(&self) -> usize {
        self.loads.load(Ordering::Relaxed)
    }

    /// Reads `key` through `cache`; the origin takes `takes` to answer `answer`.
    pub(super) fn read(
        &self,
        cache: &Numbers,
        key: u64,
        answer: Result<u64, OriginDown>,
        takes: Duration,
    ) -> impl Future<Output = Result<Got<u64>, LoadError<OriginDown>>> + Send + 'static {
        let (loads, cache) = (Arc::clone(&self.loads), cache.clone());
        async move {
            let loader = move |_: Load<u64>| async move {
                loads.fetch_add(1, Ordering::Relaxed);
                sleep(takes).await;
                answer
            };
            cache.get_or_load(&key, loader).await
        }
    }
}

/// Lets every task that can run do so.
pub(super) async fn yield_all() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}
