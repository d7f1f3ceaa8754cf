//! One load: on a task of its own, so that no caller's end is the load's end.

use std::any::Any;
use std::error::Error as StdError;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use super::Inner;
use super::l2::{Filled, Looked};
use crate::error::LoadError;
use crate::key::CacheKey;
use crate::loaded::{Answer, Load, Loaded};
use crate::local::{Entry, Flight, Lease};
use crate::outcome::{Got, Layer};
use crate::remote::Seen;
use crate::stats::{LoadEnd, Refusal};

/// How a load ended, for all that wait for it.
pub(crate) type Ended<V> = Result<Got<V>, Failure>;

/// Why it brought no value. Callers with different error types may share it.
#[derive(Clone)]
pub(crate) enum Failure {
    Loader { typed: Arc<dyn Any + Send + Sync>, error: Arc<dyn StdError + Send + Sync> },
    Panicked,
    TimedOut { after: Duration },
    Aborted,
}

impl Failure {
    fn loader<E: StdError + Send + Sync + 'static>(error: E) -> Self {
        let error = Arc::new(error);
        Self::Loader { typed: Arc::clone(&error) as _, error }
    }

    pub(super) fn into_error<E: StdError + Send + Sync + 'static>(self) -> LoadError<E> {
        match self {
            Self::Loader { typed, error } => match typed.downcast() {
                Ok(typed) => LoadError::Failed(typed),
                Err(_) => LoadError::Joined(error),
            },
            Self::Panicked => LoadError::Panicked,
            Self::TimedOut { after } => LoadError::TimedOut { after },
            Self::Aborted => LoadError::Aborted,
        }
    }
}

/// Starts the load that `lease` leads.
pub(super) fn start<K, V, F, Fut, L, E>(
    inner: &Arc<Inner<K, V>>,
    lease: Lease<K, V, Ended<V>>,
    sender: watch::Sender<Option<Ended<V>>>,
    loader: F,
) -> Flight<Ended<V>>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
    F: FnOnce(Load<V>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<L, E>> + Send + 'static,
    L: Into<Loaded<V>>,
    E: StdError + Send + Sync + 'static,
{
    let flight = sender.subscribe();
    let inner = Arc::clone(inner);
    let alive = inner.tasks.subscribe();
    let load = async move {
        let ended = inner.load(&lease, loader).await;
        // The lease first: who comes after the answer starts a new load.
        drop(lease);
        sender.send_replace(Some(ended));
        drop(alive);
    };
    tokio::spawn(load.in_current_span());
    flight
}

impl<K, V> Inner<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    async fn load<F, Fut, L, E>(&self, lease: &Lease<K, V, Ended<V>>, loader: F) -> Ended<V>
    where
        F: FnOnce(Load<V>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<L, E>> + Send + 'static,
        L: Into<Loaded<V>>,
        E: StdError + Send + Sync + 'static,
    {
        let text = self.text(lease.key());
        let mut min_source = self.sources.get(lease.key(), Instant::now());
        let mut seen = None;
        if let Some(remote) = &self.remote {
            match self.look(remote, &text, min_source).await {
                Looked::Hit(entry) => return Ok(self.keep(lease, entry)),
                Looked::Miss { seen: there, min_source: asked } => {
                    seen = Some(there);
                    min_source = min_source.max(asked);
                }
                Looked::Failed(_) => {}
            }
        }
        let loaded = self.run(loader, Load { min_source, previous: None }).await?;
        Ok(self.settle(lease, &text, seen, min_source, loaded).await)
    }

    /// Runs the loader under its timeout, and survives its panic.
    async fn run<F, Fut, L, E>(&self, loader: F, load: Load<V>) -> Result<Loaded<V>, Failure>
    where
        F: FnOnce(Load<V>) -> Fut,
        Fut: Future<Output = Result<L, E>>,
        L: Into<Loaded<V>>,
        E: StdError + Send + Sync + 'static,
    {
        let after = self.config.load_timeout;
        let started = Instant::now();
        // The loader is called inside, so that a panic of its synchronous part is caught too.
        let running = AssertUnwindSafe(async move { loader(load).await.map(Into::into) });
        let (end, answer) = match timeout(after, running.catch_unwind()).await {
            Ok(Ok(Ok(loaded))) => (LoadEnd::Ok, Ok(loaded)),
            Ok(Ok(Err(error))) => (LoadEnd::Failed, Err(Failure::loader(error))),
            Ok(Err(_panic)) => (LoadEnd::Panicked, Err(Failure::Panicked)),
            Err(_) => (LoadEnd::TimedOut, Err(Failure::TimedOut { after })),
        };
        self.counters.load_ended(end, started.elapsed());
        answer
    }

    /// Keeps what was loaded where it may be kept: L2 decides first, for all nodes.
    async fn settle(
        &self,
        lease: &Lease<K, V, Ended<V>>,
        text: &str,
        seen: Option<Seen>,
        min_source: u64,
        loaded: Loaded<V>,
    ) -> Got<V> {
        let now = Instant::now();
        let value = match loaded.answer {
            Answer::Value(value) => Some(Arc::new(value)),
            Answer::Absent | Answer::NotModified => None,
        };
        let ttl = self.policy.life(loaded.ttl, None, value.is_none(), 0.0).fresh;
        let mut entry = Entry {
            value,
            loaded: now,
            expires: self.policy.recheck(now + ttl, now),
            version: 0,
            source: loaded.source,
            degraded: loaded.source < min_source || (self.remote.is_some() && seen.is_none()),
        };
        if loaded.source < min_source {
            self.counters.refused(Refusal::Source);
        }
        if loaded.source < min_source || !loaded.cached || ttl.is_zero() {
            return entry.got(Layer::Loader, now);
        }
        if let (Some(remote), Some(seen)) = (&self.remote, seen) {
            match self.fill_l2(remote, text, seen, &entry, ttl).await {
                Filled::Done(version) => entry.version = version,
                Filled::Refused => {
                    self.counters.refused(Refusal::L2);
                    return entry.got(Layer::Loader, now);
                }
                Filled::Failed => entry.degraded = true,
            }
        }
        if !lease.fill(entry.clone()) {
            self.counters.refused(Refusal::L1);
        }
        self.counters.entries(self.local.len());
        entry.got(Layer::Loader, now)
    }
}
