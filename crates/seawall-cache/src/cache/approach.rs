//! What a read does before it waits for anything.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;

use tokio::time::Instant;

use super::flight::{self, Ended, Progress};
use super::leader::{Leader, Wish};
use super::loader::Loader;
use super::look::{Asked, Looked};
use super::{Inner, Lease};
use crate::error::Error;
use crate::key::CacheKey;
use crate::local::{Draft, Entry, Flight, Join, Kept, Look, Plain, Tick};
use crate::outcome::{Freshness, Got, Layer};
use crate::staleness::Use;
use crate::stats::Refusal;

/// What L1 says where it has no plain hit.
pub(super) enum First<V> {
    Hit(Got<V>),
    /// A hit whose reader was drawn to refresh it.
    Early(Got<V>, Entry<V>),
    /// Not for L1 alone to answer.
    Else(Look<V>),
}

/// A stale answer, and the entry to refresh behind it.
type Served<'l, V> = (Got<V>, Option<&'l Entry<V>>);

/// How a caller goes on whom L1 could not answer.
pub(super) enum Joined<K: Hash + Eq, V> {
    /// Someone filled it in the meantime.
    Hit(Got<V>),
    /// A load is in flight.
    Wait(Flight<Progress<V>>),
    /// The caller leads a new one.
    Lead(Box<Leader<K, V>>),
}

/// What a read does next.
pub(super) enum Next<V> {
    Answer(Got<V>),
    Wait(Flight<Progress<V>>),
}

impl<K, V> Inner<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// The whole of a hit; else what L1 has and when, for [`first`](Self::first).
    #[inline]
    pub(super) fn plain<Q>(&self, key: &Q) -> Result<Plain<V>, Box<(Look<V>, Tick)>>
    where
        K: Borrow<Q>,
        Q: CacheKey + ?Sized,
    {
        let now = self.local.clock().latest();
        let plain = self.local.hit(key, now)?;
        self.counters.hit(plain.is_absent(), now);
        Ok(plain)
    }

    /// What L1 says where [`plain`](Self::plain) found `look` at `now`.
    #[cold]
    pub(super) fn first(&self, look: Look<V>, now: Tick) -> First<V> {
        match look {
            Look::Hit(entry) => {
                let got = entry.got(Layer::L1, now);
                self.counters.hit(got.is_absent(), now);
                First::Hit(got)
            }
            Look::Early(entry) => {
                let got = entry.got(Layer::L1, now);
                self.counters.hit(got.is_absent(), now);
                let left = entry.fresh_until().since(now);
                if self.policy.refreshes(left, entry.delta(), rand::random()) {
                    First::Early(got, entry)
                } else {
                    First::Hit(got)
                }
            }
            Look::Degraded(entry) => {
                let got = Got { degraded: true, ..entry.got(Layer::L1, now) };
                self.counters.hit(got.is_absent(), now);
                First::Hit(got)
            }
            look => First::Else(look),
        }
    }

    pub(super) fn peek<Q>(&self, key: &Q) -> Option<Got<V>>
    where
        K: Borrow<Q>,
        Q: CacheKey + ?Sized,
    {
        let now = self.local.clock().now();
        match self.local.peek(key, now) {
            Look::Hit(entry) | Look::Early(entry) => Some(entry.got(Layer::L1, now)),
            Look::Degraded(entry) => Some(Got { degraded: true, ..entry.got(Layer::L1, now) }),
            look => self.stale(&look, Use::WhileRevalidating, now),
        }
    }

    /// The stale value of `look`, if it may be served at once (`at_least`
    /// [`Use::WhileRevalidating`]) or in place of an error.
    pub(super) fn stale(&self, look: &Look<V>, at_least: Use, now: Tick) -> Option<Got<V>> {
        let Look::Stale { entry, marked, degraded } = look else { return None };
        let allowed = self.policy.allows(entry.fresh_until(), entry.expires(), *marked, now);
        (allowed >= at_least).then(|| {
            let got = entry.got(Layer::L1, now);
            let degraded = got.degraded || *degraded || allowed == Use::OnError;
            Got { freshness: Freshness::Stale, degraded, ..got }
        })
    }

    pub(super) async fn get_slowly(
        self: &Arc<Self>,
        key: K,
        look: Look<V>,
    ) -> Result<Option<Got<V>>, Error> {
        if let Some(got) = self.stale(&look, Use::WhileRevalidating, self.local.clock().now()) {
            self.counters.answered(&got);
            return Ok(Some(got));
        }
        let Some(remote) = &self.remote else {
            self.counters.missed();
            return Ok(None);
        };
        self.background.ensure(self);
        let lease = self.local.lease(key);
        let min_source = self.sources.get(lease.key(), Instant::now());
        let text = self.text(lease.key());
        let asked = Asked { key: lease.key(), text: &text, min_source, known: look.entry() };
        let looked = self.look(remote, asked).await;
        self.answer_get(&lease, looked, &look)
    }

    /// What a read without a loader answers after its look into L2.
    pub(super) fn answer_get(
        &self,
        lease: &Lease<K, V>,
        looked: Looked<V>,
        look: &Look<V>,
    ) -> Result<Option<Got<V>>, Error> {
        match looked {
            Looked::Found { draft, marked, .. } => {
                let now = self.local.clock().now();
                let (fresh_until, expires) =
                    (draft.at.plus(draft.fresh), draft.at.plus(draft.hard));
                let allowed = self.policy.allows(fresh_until, expires, marked, now);
                let got = self.keep(lease, draft);
                let freshness = match allowed {
                    Use::Fresh => Freshness::Fresh,
                    Use::WhileRevalidating => Freshness::Stale,
                    Use::OnError | Use::Dead => {
                        self.counters.missed();
                        return Ok(None);
                    }
                };
                let got = Got { freshness, ..got };
                self.counters.answered(&got);
                Ok(Some(got))
            }
            Looked::Miss { seen, removed, .. } => {
                // L2 has lost what was evicted, and has taken away all else.
                let trusted = matches!(look, Look::Stale { .. });
                if let Some(entry) = look.entry()
                    && (!trusted || removed || seen.version != 0)
                {
                    self.local.discard(lease.key(), entry);
                }
                self.counters.missed();
                Ok(None)
            }
            Looked::Failed(error) => Err(Error::Remote(error)),
        }
    }

    /// Keeps in L1 what L2 had.
    pub(super) fn keep(&self, lease: &Lease<K, V>, draft: Draft<V>) -> Got<V> {
        let now = self.local.clock().now();
        let (kept, entry) = lease.fill(draft, now);
        if kept == Kept::No {
            self.counters.refused(Refusal::L1);
        }
        self.tidy();
        entry.got(Layer::L2, now)
    }

    pub(super) async fn load_slowly(
        self: &Arc<Self>,
        key: K,
        look: Look<V>,
        loader: Loader<V>,
    ) -> Ended<V> {
        let ended = match self.approach(key, &look, loader).await {
            Next::Answer(got) => Ok(got),
            Next::Wait(flight) => flight::wait(flight).await,
        };
        self.counters.ended(&ended);
        ended
    }

    async fn approach(self: &Arc<Self>, key: K, look: &Look<V>, loader: Loader<V>) -> Next<V> {
        let now = self.local.clock().now();
        if let Some((got, refresh)) = self.serve_stale(&key, look, now) {
            if let Some(entry) = refresh {
                self.refresh(key, entry, Wish::Stale, loader);
            }
            return Next::Answer(got);
        }
        match self.join(key, now).await {
            Joined::Hit(got) => Next::Answer(got),
            Joined::Wait(flight) => Next::Wait(flight),
            Joined::Lead(leader) => {
                let flight = leader.teller.subscribe();
                leader.start(loader);
                Next::Wait(flight)
            }
        }
    }

    /// How a caller goes on whom L1 could not answer.
    pub(super) async fn join(self: &Arc<Self>, mut key: K, now: Tick) -> Joined<K, V> {
        let arrived = self.local.arrival();
        loop {
            match self.local.join(key, now, arrived) {
                Join::Hit { entry, degraded } => {
                    let got = entry.got(Layer::L1, now);
                    return Joined::Hit(Got { degraded: got.degraded || degraded, ..got });
                }
                Join::Wait(flight) => return Joined::Wait(flight),
                Join::Lead(lease, teller) => {
                    let leader = Leader::new(self, lease, teller, Wish::Demand);
                    return Joined::Lead(Box::new(leader));
                }
                Join::Doubt(of) => {
                    self.background.ensure(self);
                    self.local.certainty(arrived).await;
                    key = of;
                }
            }
        }
    }

    /// The stale answer that `look` allows without waiting, if any, and the entry to refresh
    /// behind it, unless its loader is left alone.
    pub(super) fn serve_stale<'l>(
        &self,
        key: &K,
        look: &'l Look<V>,
        now: Tick,
    ) -> Option<Served<'l, V>> {
        let entry = look.entry()?;
        if let Some(got) = self.stale(look, Use::WhileRevalidating, now) {
            let alone = self.throttle.holds(key, Instant::now());
            return Some((got, (!alone).then_some(entry)));
        }
        let got = self.stale(look, Use::OnError, now)?;
        self.throttle.holds(key, Instant::now()).then_some((got, None))
    }

    /// A reader of `entry` was drawn to refresh it.
    pub(super) fn refresh_ahead(self: &Arc<Self>, key: K, entry: &Entry<V>, loader: Loader<V>) {
        if !self.throttle.holds(&key, Instant::now()) {
            self.refresh(key, entry, Wish::Early, loader);
        }
    }

    fn refresh(self: &Arc<Self>, key: K, entry: &Entry<V>, wish: Wish, loader: Loader<V>) {
        if let Join::Lead(lease, teller) = self.local.refresh(key, entry) {
            self.counters.refreshing(wish == Wish::Early);
            Leader::new(self, lease, teller, wish).start(loader);
        }
    }
}
