//! One load, from the look into L2 to its end: on a task of its own, so that no caller's end is
//! the load's end.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::Instrument as _;

use super::flight::{Ended, Failure, Progress, Teller};
use super::loader::Loader;
use super::look::{Asked, Looked};
use super::turn::Turn;
use super::{Inner, Lease};
use crate::key::CacheKey;
use crate::loaded::Load;
use crate::local::{Draft, Entry, Look, Tick};
use crate::outcome::{Freshness, Got, Layer};
use crate::remote::Seen;
use crate::staleness::Use;
use crate::stats::LoadEnd;

/// Why a load began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A caller waits.
    Demand,
    /// A caller got a stale value; nobody waits.
    Stale,
    /// A caller was drawn to refresh a fresh value; nobody waits.
    Early,
}

/// Whoever leads a load of a key.
pub(super) struct Leader<K: std::hash::Hash + Eq, V> {
    pub(super) inner: Arc<Inner<K, V>>,
    pub(super) lease: Lease<K, V>,
    pub(super) teller: Teller<V>,
    pub(super) text: String,
    pub(super) wish: Wish,
    /// What there was before, in L1 or in L2.
    pub(super) prior: Option<Prior<V>>,
    /// What stood in L2; `None`: it could not be asked.
    pub(super) seen: Option<Seen>,
    /// L2 had an entry that may be served, fresh or stale.
    pub(super) stands: bool,
    pub(super) min_source: u64,
    /// Of the lease in L2, once it was asked for.
    pub(super) token: Option<u64>,
}

/// A value that a load may replace, or fall back to.
pub(super) struct Prior<V> {
    pub(super) value: Option<Arc<V>>,
    layer: Layer,
    loaded: Tick,
    fresh_until: Tick,
    expires: Tick,
    marked: bool,
    degraded: bool,
    /// As far as this node was told, L2 has it too.
    trusted: bool,
    /// It is in L1.
    entry: Option<Entry<V>>,
    /// It is not in L1, and goes there if nothing better comes.
    draft: Option<Draft<V>>,
}

impl<V> Prior<V> {
    fn of_l1(look: &Look<V>, now: Tick) -> Option<Self> {
        let entry = look.entry()?;
        let (marked, degraded, trusted) = match look {
            Look::Stale { marked, degraded, .. } => (*marked, *degraded, true),
            Look::Hit(_) | Look::Early(_) => (false, false, true),
            Look::Degraded(_) => (false, true, true),
            _ => (false, true, false),
        };
        Some(Self {
            value: entry.value().cloned(),
            layer: Layer::L1,
            loaded: now.minus(entry.age(now)),
            fresh_until: entry.fresh_until(),
            expires: entry.expires(),
            marked,
            degraded: degraded || entry.degraded(),
            trusted,
            entry: Some(entry.clone()),
            draft: None,
        })
    }

    fn of_l2(draft: Draft<V>, marked: bool) -> Self {
        Self {
            value: draft.value.clone(),
            layer: Layer::L2,
            loaded: draft.at.minus(draft.age),
            fresh_until: draft.at.plus(draft.fresh),
            expires: draft.at.plus(draft.hard),
            marked,
            degraded: false,
            trusted: true,
            entry: None,
            draft: Some(draft),
        }
    }

    fn got(&self, now: Tick) -> Got<V> {
        let stale = self.marked || now >= self.fresh_until;
        Got {
            value: self.value.clone(),
            layer: self.layer,
            age: now.since(self.loaded),
            freshness: if stale { Freshness::Stale } else { Freshness::Fresh },
            degraded: self.degraded,
        }
    }
}

impl<K, V> Leader<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    pub(super) fn new(
        inner: &Arc<Inner<K, V>>,
        lease: Lease<K, V>,
        teller: Teller<V>,
        wish: Wish,
    ) -> Self {
        inner.background.ensure(inner);
        let mut leader = Self {
            inner: Arc::clone(inner),
            text: inner.text(lease.key()),
            lease,
            teller,
            wish,
            prior: None,
            seen: None,
            stands: false,
            min_source: 0,
            token: None,
        };
        leader.look_back();
        leader
    }

    /// Runs the load on a task of its own.
    pub(super) fn start(mut self, loader: Loader<V>) {
        let alive = self.inner.tasks.subscribe();
        let span = tracing::debug_span!("cache_load", cache = &*self.inner.namespace);
        let load = async move {
            let ended = self.fly(loader).await;
            self.land(ended);
            drop(alive);
        };
        tokio::spawn(load.instrument(span));
    }

    /// Tells all that wait how it ended.
    pub(super) fn land(self, ended: Ended<V>) {
        self.inner.tidy();
        // The lease first: who comes after the answer starts a new load.
        drop(self.lease);
        self.teller.send_replace(Some(Progress::Ended(ended)));
    }

    async fn fly(&mut self, loader: Loader<V>) -> Ended<V> {
        let give_up = Instant::now() + self.inner.config.load_timeout;
        loop {
            if let Some(got) = self.look().await {
                return Ok(got);
            }
            if let Some(got) = self.left_alone() {
                return Ok(got);
            }
            match self.turn(give_up).await {
                Turn::Mine => break,
                Turn::Again => self.renew(),
                Turn::Late => {
                    let after = self.inner.config.load_timeout;
                    return self.fall_back(Failure::TimedOut { after });
                }
            }
        }
        // A caller waits for L2 once.
        let namespace = match self.seen {
            Some(_) => self.inner.namespace_stamp().await,
            None => self.inner.last_namespace_stamp(),
        };
        let began = Instant::now();
        let load = Load { min_source: self.min_source, previous: self.previous() };
        let answer = {
            let soft = self.inner.config.load_soft_timeout;
            let running = self.inner.run(async move { loader(load).await });
            let renewing = async {
                tokio::select! {
                    biased;
                    answer = running => answer,
                    never = self.keep_lease() => match never {},
                }
            };
            self.softly(soft, Layer::Loader, renewing).await
        };
        match answer {
            Ok(loaded) => self.settle(loaded, namespace, began, began.elapsed()).await,
            Err(failure) => self.fall_back(failure),
        }
    }

    /// Before L2 is asked again, in another node's wake: as a load that begins now.
    pub(super) fn renew(&mut self) {
        // Callers from before a removal may have had this; those that join from now on may not.
        self.teller.send_modify(|progress| *progress = None);
        self.lease.renew(&self.teller);
        self.look_back();
    }

    /// What L1 has now.
    fn look_back(&mut self) {
        let local = &self.inner.local;
        let now = local.clock().now();
        self.prior = Prior::of_l1(&local.peek(self.lease.key(), now), now);
    }

    /// Looks into L2. `Some`: that is the answer.
    async fn look(&mut self) -> Option<Got<V>> {
        let inner = Arc::clone(&self.inner);
        self.min_source = inner.sources.get(self.lease.key(), Instant::now());
        let remote = inner.remote.as_ref()?;
        let asked = self.asked();
        let soft = inner.config.l2_soft_timeout;
        let looked = self.softly(soft, Layer::L2, inner.look(remote, asked)).await;
        self.take(looked)
    }

    /// What to ask L2 for.
    pub(super) fn asked(&self) -> Asked<'_, K, V> {
        Asked {
            key: self.lease.key(),
            text: &self.text,
            min_source: self.min_source,
            known: self.prior.as_ref().and_then(|prior| prior.entry.as_ref()),
        }
    }

    /// Takes in what a look into L2 brought. `Some`: that is the answer.
    pub(super) fn take(&mut self, looked: Looked<V>) -> Option<Got<V>> {
        self.stands = matches!(looked, Looked::Found { .. });
        match looked {
            Looked::Failed(_) => {
                self.seen = None;
                None
            }
            Looked::Miss { seen, min_source, removed } => {
                self.seen = Some(seen);
                self.min_source = self.min_source.max(min_source);
                // L2 has lost what was evicted, and has taken away all else.
                let there = |prior: &Prior<V>| prior.trusted && !removed && seen.version == 0;
                if !self.prior.as_ref().is_some_and(there) {
                    self.discard_prior();
                }
                None
            }
            Looked::Found { draft, marked, seen } => {
                self.seen = Some(seen);
                self.found(draft, marked)
            }
        }
    }

    fn found(&mut self, draft: Draft<V>, marked: bool) -> Option<Got<V>> {
        let inner = Arc::clone(&self.inner);
        let now = inner.local.clock().now();
        let (fresh_until, expires) = (draft.at.plus(draft.fresh), draft.at.plus(draft.hard));
        let allowed = inner.policy.allows(fresh_until, expires, marked, now);
        let known = self.prior.as_ref().and_then(|prior| prior.entry.clone());
        let entry = known.filter(|known| known.version() == draft.version);
        let same = entry.is_some();
        if same && self.wish == Wish::Early && allowed == Use::Fresh {
            return None;
        }
        if allowed == Use::Fresh {
            return Some(inner.keep(&self.lease, draft));
        }
        // What replaces it must not be older.
        self.min_source = self.min_source.max(draft.source);
        if !same {
            self.discard_prior();
        }
        self.prior = Some(Prior { entry, ..Prior::of_l2(draft, marked) });
        if allowed == Use::WhileRevalidating {
            self.tell(false);
        }
        None
    }

    /// What L1 has is not what L2 has.
    pub(super) fn discard_prior(&mut self) {
        if let Some(entry) = self.prior.take().and_then(|prior| prior.entry) {
            self.inner.local.discard(self.lease.key(), &entry);
        }
    }

    /// The answer without a load, if the loader failed a moment ago.
    pub(super) fn left_alone(&self) -> Option<Got<V>> {
        let alone = self.inner.throttle.holds(self.lease.key(), Instant::now());
        let prior = self.prior.as_ref().filter(|_| alone)?;
        (!self.servable_for(prior, true).is_zero() && self.inner.policy.outlives_errors())
            .then(|| Got { degraded: true, ..prior.got(self.inner.local.clock().now()) })
    }

    /// The value that the loader may say is not modified.
    pub(super) fn previous(&self) -> Option<Arc<V>> {
        self.prior.as_ref().and_then(|prior| prior.value.clone())
    }

    /// Does `work`; when it takes longer than `soft`, its callers may have the stale value.
    pub(super) async fn softly<T>(
        &self,
        soft: Option<Duration>,
        layer: Layer,
        work: impl Future<Output = T>,
    ) -> T {
        let Some(soft) = soft else { return work.await };
        tokio::pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = sleep(soft) => {}
        }
        if self.tell(true) {
            self.inner.counters.soft_timeout(layer);
        }
        work.await
    }

    /// Lets those who wait have the stale value, if they may: at once, or because it takes too
    /// long (`slow`).
    pub(super) fn tell(&self, slow: bool) -> bool {
        let Some(prior) = &self.prior else { return false };
        let left = self.servable_for(prior, slow);
        if left.is_zero() || slow && !prior.trusted {
            return false;
        }
        let at = Instant::now();
        let got = prior.got(self.inner.local.clock().now());
        let got = Got { degraded: got.degraded || slow, ..got };
        self.teller.send_if_modified(|progress| {
            let first = progress.is_none();
            if first {
                *progress = Some(Progress::Interim { got, at, until: at + left });
            }
            first
        })
    }

    fn servable_for(&self, prior: &Prior<V>, on_error: bool) -> Duration {
        if prior.marked && !self.inner.policy.has_window(prior.fresh_until, prior.expires) {
            return Duration::ZERO;
        }
        let now = self.inner.local.clock().now();
        self.inner.policy.servable_for(prior.fresh_until, prior.expires, on_error, now)
    }

    /// The load brought nothing: the stale value, if it may be served, or the failure. Whichever
    /// it is, a value that stays is not loaded again at once.
    pub(super) fn fall_back(&mut self, failure: Failure) -> Ended<V> {
        self.release();
        let (now, tick) = (Instant::now(), self.inner.local.clock().now());
        if let Some(draft) = self.prior.as_mut().and_then(|prior| prior.draft.take()) {
            // So that it need not be read again. If it was overtaken, it stays out.
            let _ = self.lease.fill(draft, tick);
        }
        let Some(prior) = &self.prior else { return Err(failure) };
        let policy = &self.inner.policy;
        let served = policy.outlives_errors() && !self.servable_for(prior, true).is_zero();
        if served || self.wish != Wish::Demand {
            self.inner.throttle.hold(self.lease.key().clone(), now + policy.throttle(), now);
        }
        if !served {
            return Err(failure);
        }
        Ok(Got { degraded: true, ..prior.got(tick) })
    }

    /// Renews the lease in L2 for as long as it is polled.
    async fn keep_lease(&self) -> std::convert::Infallible {
        let every = self.inner.config.lease_ttl / 3;
        if self.token.is_none() {
            return std::future::pending().await;
        }
        loop {
            sleep_until(Instant::now() + every).await;
            if !self.renew_lease().await {
                return std::future::pending().await;
            }
        }
    }
}

impl<K, V> Inner<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Runs a loader under the load timeout, and survives its panic.
    pub(super) async fn run<T>(
        &self,
        running: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let after = self.config.load_timeout;
        let started = Instant::now();
        let (end, answer) = match timeout(after, AssertUnwindSafe(running).catch_unwind()).await {
            Ok(Ok(Ok(loaded))) => (LoadEnd::Ok, Ok(loaded)),
            Ok(Ok(Err(failure))) => (LoadEnd::Failed, Err(failure)),
            Ok(Err(_panic)) => (LoadEnd::Panicked, Err(Failure::Panicked)),
            Err(_) => (LoadEnd::TimedOut, Err(Failure::TimedOut { after })),
        };
        self.counters.load_ended(end, started.elapsed());
        answer
    }
}
