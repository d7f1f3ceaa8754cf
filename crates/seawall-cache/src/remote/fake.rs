//! A remote whose faults are scripted, for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::sleep;

use super::{Fetched, Fill, MemoryRemote, Put, Remote, RemoteError, RemoteFuture, Seen};

/// A [`MemoryRemote`] that can be slow, silent or gone.
#[derive(Clone, Default)]
pub(crate) struct FakeRemote {
    pub(crate) store: MemoryRemote,
    faults: Arc<Mutex<Faults>>,
    pub(crate) calls: Arc<Calls>,
}

#[derive(Default)]
pub(crate) struct Calls {
    pub(crate) reads: AtomicUsize,
    pub(crate) fills: AtomicUsize,
    pub(crate) puts: AtomicUsize,
    pub(crate) removes: AtomicUsize,
}

impl Calls {
    pub(crate) fn all(&self) -> [usize; 4] {
        [&self.reads, &self.fills, &self.puts, &self.removes]
            .map(|count| count.load(Ordering::Relaxed))
    }
}

#[derive(Default)]
enum Faults {
    #[default]
    None,
    /// Takes effect, then answers after this long.
    SlowAnswer(Duration),
    /// Never answers and takes no effect.
    Frozen,
    /// Fails at once.
    Gone,
    /// Answers with an error at once.
    Refusing,
    /// Waits before it takes effect and again before it answers, in turn.
    Delays(Vec<(Duration, Duration)>, usize),
}

impl FakeRemote {
    pub(crate) fn heal(&self) {
        *self.faults.lock() = Faults::None;
    }

    pub(crate) fn slow_answer(&self, delay: Duration) {
        *self.faults.lock() = Faults::SlowAnswer(delay);
    }

    pub(crate) fn freeze(&self) {
        *self.faults.lock() = Faults::Frozen;
    }

    pub(crate) fn disconnect(&self) {
        *self.faults.lock() = Faults::Gone;
    }

    pub(crate) fn refuse(&self) {
        *self.faults.lock() = Faults::Refusing;
    }

    pub(crate) fn delays(&self, delays: Vec<(Duration, Duration)>) {
        *self.faults.lock() = Faults::Delays(delays, 0);
    }

    fn act<'a, T: Send + 'a>(
        &'a self,
        count: &AtomicUsize,
        act: impl FnOnce() -> RemoteFuture<'a, T> + Send + 'a,
    ) -> RemoteFuture<'a, T> {
        count.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let (before, after) = match &mut *self.faults.lock() {
                Faults::None => (Some(Duration::ZERO), Duration::ZERO),
                Faults::SlowAnswer(delay) => (Some(Duration::ZERO), *delay),
                Faults::Frozen => (None, Duration::ZERO),
                Faults::Gone => return Err(RemoteError::Disconnected("gone".into())),
                Faults::Refusing => return Err(RemoteError::Refused("OOM".into())),
                Faults::Delays(delays, turn) => {
                    *turn += 1;
                    let (before, after) = delays[*turn % delays.len()];
                    (Some(before), after)
                }
            };
            let Some(before) = before else {
                return std::future::pending().await;
            };
            if !before.is_zero() {
                sleep(before).await;
            }
            let answer = act().await;
            if !after.is_zero() {
                sleep(after).await;
            }
            answer
        })
    }
}

impl Remote for FakeRemote {
    fn read<'a>(&'a self, key: &'a str) -> RemoteFuture<'a, Fetched> {
        self.act(&self.calls.reads, move || self.store.read(key))
    }

    fn fill<'a>(
        &'a self,
        key: &'a str,
        seen: Seen,
        keep: Duration,
        record: Bytes,
        ttl: Duration,
    ) -> RemoteFuture<'a, Fill> {
        self.act(&self.calls.fills, move || self.store.fill(key, seen, keep, record, ttl))
    }

    fn put<'a>(&'a self, key: &'a str, record: Bytes, ttl: Duration) -> RemoteFuture<'a, Put> {
        self.act(&self.calls.puts, move || self.store.put(key, record, ttl))
    }

    fn remove<'a>(&'a self, key: &'a str, source: u64, keep: Duration) -> RemoteFuture<'a, ()> {
        self.act(&self.calls.removes, move || self.store.remove(key, source, keep))
    }
}
