//! Writes and removals: on a task of their own, so that none stops half-way.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::marks::Stamps;
use super::{Cache, Inner, Lease};
use crate::key::CacheKey;
use crate::loaded::{Answer, Loaded};
use crate::local::{Draft, Kept};
use crate::outcome::{L2Write, Written};
use crate::record;
use crate::remote::Put;
use crate::remote::guarded::Guarded;
use crate::stats::Refusal;

impl<K, V> Cache<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Caches `value` (or a [`Loaded`], to choose its TTL, tags and source version) under `key`, in
    /// both layers, over whatever is there; loads in flight are not kept.
    ///
    /// A value with a source version does not replace one with a newer source version, and loads
    /// on this node are told to reach it ([`Load::min_source`](crate::Load::min_source)) for the
    /// tombstone TTL. A value that is [`uncached`](Loaded::uncached), or has a TTL of zero or tags
    /// that are not valid, removes the key.
    ///
    /// If L2 does not acknowledge it, L1 holds the value and the old entry in L2 is removed as
    /// soon as L2 is back: see [`L2Write::Pending`].
    ///
    /// Once polled, it runs to its end even if the future is dropped.
    pub async fn set<Q>(&self, key: &Q, value: impl Into<Loaded<V>>) -> Written
    where
        K: Borrow<Q>,
        Q: CacheKey + ToOwned<Owned = K> + ?Sized,
    {
        let write = Write::Set(value.into());
        Box::pin(self.inner.write(key.to_owned(), write)).await
    }

    /// Removes `key` from both layers. When it has returned, no read on this node answers with
    /// what was there before, and no load that began before, on any node, is kept.
    ///
    /// If L2 does not acknowledge it, this process repeats it until L2 does, and until then does
    /// not read the key from L2: see [`L2Write::Pending`].
    ///
    /// Other nodes hear of it if the remote tells them; else they may hold the old value in their
    /// L1 for up to their [`l1_ttl`](crate::CacheConfig::l1_ttl).
    ///
    /// Once polled, it runs to its end even if the future is dropped.
    pub async fn remove<Q>(&self, key: &Q) -> Written
    where
        K: Borrow<Q>,
        Q: CacheKey + ToOwned<Owned = K> + ?Sized,
    {
        self.remove_after(key, 0).await
    }

    /// [`remove`](Self::remove) because of a write to the source that has version `source`, such
    /// as the commit LSN of a PostgreSQL transaction. For the tombstone TTL from now on, loads of
    /// `key` are told to reach it ([`Load::min_source`](crate::Load::min_source)), and what is
    /// older is not cached, on any node: a lagging replica cannot bring the old value back.
    pub async fn remove_after<Q>(&self, key: &Q, source: u64) -> Written
    where
        K: Borrow<Q>,
        Q: CacheKey + ToOwned<Owned = K> + ?Sized,
    {
        Box::pin(self.inner.write(key.to_owned(), Write::Remove { source })).await
    }

    /// Somebody who comes to this node knows of a write of `key` on another: from now on no read
    /// here answers with anything older, and no caller joins a load from before, even if the remote
    /// has not told this node yet or tells nothing. `version` is what that write returned
    /// ([`Written::version`]); it may travel with the one who wrote, in a message, or in a cookie that
    /// is signed.
    ///
    /// What is as new or newer stays. The version has to come from somebody who is trusted: one that no
    /// write returned makes no answer wrong, but if it is higher than all that were, the entry leaves L1,
    /// and none comes back for as long as loads or writes of the key go on one into the next, as
    /// those of a hot key may. Cost: a short lock; nothing is asked.
    pub fn told<Q>(&self, key: &Q, version: u64)
    where
        K: Borrow<Q>,
        Q: CacheKey + ToOwned<Owned = K> + ?Sized,
    {
        self.inner.local.entry_changed(key.to_owned(), Some(version));
    }
}

/// What to do to a key.
enum Write<V> {
    Set(Loaded<V>),
    Remove { source: u64 },
}

impl<K, V> Inner<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Writes many keys, a key that stands twice in the order it stands.
    pub(super) async fn set_many(self: &Arc<Self>, entries: Vec<(K, Loaded<V>)>) -> Vec<Written> {
        let writes = entries.into_iter().map(|(key, loaded)| (key, Write::Set(loaded)));
        self.write_many(writes.collect()).await
    }

    pub(super) async fn remove_many(self: &Arc<Self>, keys: &[K]) -> Vec<Written> {
        let writes = keys.iter().map(|key| (key.clone(), Write::Remove { source: 0 }));
        self.write_many(writes.collect()).await
    }

    async fn write(self: &Arc<Self>, key: K, write: Write<V>) -> Written {
        if self.remote.is_none() {
            // It waits for nothing, so it cannot be dropped half-way.
            return self.act(key, write).await;
        }
        self.detached(|inner| async move { inner.act(key, write).await }).await.unwrap_or(UNTOLD)
    }

    async fn write_many(self: &Arc<Self>, writes: Vec<(K, Write<V>)>) -> Vec<Written> {
        let count = writes.len();
        let all = self.detached(|inner| async move {
            // Keys that stand twice go in rounds, so that the last one written is the last one.
            let mut rounds: Vec<Vec<(usize, K, Write<V>)>> = Vec::new();
            let mut seen = std::collections::HashMap::new();
            for (index, (key, write)) in writes.into_iter().enumerate() {
                let round: &mut usize = seen.entry(key.clone()).or_default();
                if rounds.len() <= *round {
                    rounds.push(Vec::new());
                }
                rounds[*round].push((index, key, write));
                *round += 1;
            }
            let mut written = vec![UNTOLD; count];
            for round in rounds {
                let acts = round.into_iter().map(|(index, key, write)| {
                    let inner = Arc::clone(&inner);
                    async move { (index, inner.act(key, write).await) }
                });
                let mut acts = stream::iter(acts).buffer_unordered(AT_ONCE);
                while let Some((index, outcome)) = acts.next().await {
                    written[index] = outcome;
                }
            }
            written
        });
        all.await.unwrap_or_else(|| vec![UNTOLD; count])
    }

    /// Does `act` on a task of its own, also if the returned future is dropped. `None`: the
    /// runtime is shutting down.
    pub(super) async fn detached<T, Fut>(
        self: &Arc<Self>,
        act: impl FnOnce(Arc<Self>) -> Fut,
    ) -> Option<T>
    where
        T: Send + 'static,
        Fut: Future<Output = T> + Send + 'static,
    {
        self.background.ensure(self);
        let alive = self.tasks.subscribe();
        let acting = act(Arc::clone(self));
        let task = async move {
            let done = acting.await;
            drop(alive);
            done
        };
        match tokio::spawn(task.in_current_span()).await {
            Ok(done) => Some(done),
            // The value's own code panicked: its panic, not ours.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => None,
        }
    }

    async fn act(&self, key: K, write: Write<V>) -> Written {
        let mut lease = self.local.lease(key);
        self.throttle.forget(lease.key());
        let written = match write {
            Write::Set(loaded) => self.set(&mut lease, loaded).await,
            Write::Remove { source } => {
                self.counters.invalidated("key");
                self.remove(&lease, source).await
            }
        };
        self.tidy();
        written
    }

    async fn set(&self, lease: &mut Lease<K, V>, loaded: Loaded<V>) -> Written {
        let now = Instant::now();
        let skipped = if self.remote.is_some() { L2Write::Skipped } else { L2Write::NotConfigured };
        let value = match loaded.answer {
            Answer::Value(ref value) => Some(value),
            Answer::Absent => None,
            Answer::NotModified => return Written { l1: false, l2: skipped, version: None },
        };
        let life = self.policy.life(loaded.ttl, loaded.stale_for, value.is_none(), rand::random());
        if !loaded.cached || life.fresh.is_zero() {
            return self.remove(lease, 0).await;
        }
        if !loaded.tags_are_valid() {
            self.counters.refused(Refusal::Tag);
            let removed = self.remove(lease, 0).await;
            let stored = removed.l2 == L2Write::Done;
            let l2 = if stored { L2Write::Unstorable } else { removed.l2 };
            return Written { l1: false, l2, ..removed };
        }
        if loaded.source > 0 && loaded.source < self.sources.get(lease.key(), now) {
            lease.remove();
            let l2 = if self.remote.is_some() { L2Write::Superseded } else { skipped };
            return Written { l1: false, l2, version: None };
        }
        // A later load must not bring back what this one replaces.
        self.sources.raise(lease.key().clone(), loaded.source, now);
        let (namespace, tags) =
            tokio::join!(self.namespace_stamp(), self.tag_stamps_now(&loaded.tags));
        // What is written without its stamps would be gone at once, and hide what was there.
        let stamped = namespace.is_ok() && matches!(tags, Stamps::Known(_));
        let tags = match tags {
            Stamps::Known(tags) | Stamps::Guessed(tags) => tags,
            // A tag that cannot be compared later would not be invalidated then.
            Stamps::Moved => {
                self.counters.refused(Refusal::Tag);
                return Written { l1: false, ..self.remove(lease, 0).await };
            }
        };
        let Loaded { answer, source, tags: names, .. } = loaded;
        let mut draft = Draft {
            value: match answer {
                Answer::Value(value) => Some(Arc::new(value)),
                _ => None,
            },
            at: self.local.clock().now(),
            age: Duration::ZERO,
            fresh: life.fresh,
            hard: life.hard,
            l1: self.policy.l1_share(),
            delta: Duration::ZERO,
            version: lease.written(),
            source,
            node: 0,
            namespace: namespace.unwrap_or_else(|last| last),
            tags,
            degraded: false,
        };
        let l2 = match &self.remote {
            Some(remote) => {
                let names = stamped.then_some(&*names);
                self.put(remote, lease, &mut draft, names).await
            }
            None => {
                draft.version = self.local.next_version();
                L2Write::NotConfigured
            }
        };
        // A newer one may have begun after this, and ended before.
        let overtaken = source > 0 && source < self.sources.get(lease.key(), Instant::now());
        let version = matches!(l2, L2Write::Done | L2Write::Unstorable).then_some(draft.version);
        if overtaken || l2 == L2Write::Superseded {
            lease.remove();
            return Written { l1: false, l2, version };
        }
        let issued = l2 != L2Write::Pending;
        // L2 has no word on it: another write may be in its place.
        draft.degraded = !issued;
        let kept = lease.end_write(draft, issued, self.local.clock().now());
        Written { l1: kept != Kept::No, l2, version }
    }

    /// Writes an entry to L2 and notes the version it got there. Without the names of its tags, it
    /// cannot be written, and what is there is removed.
    async fn put(
        &self,
        remote: &Guarded,
        lease: &mut Lease<K, V>,
        draft: &mut Draft<V>,
        tags: Option<&[Box<str>]>,
    ) -> L2Write {
        let text = self.text(lease.key());
        draft.node = remote.node(&text);
        let keep = self.config.tombstone_ttl;
        let record = tags.and_then(|tags| self.encode(&text, draft, tags));
        lease.send();
        let Some(record) = record else {
            return self.remove_for(remote, &text, draft).await;
        };
        match remote.put(&text, record, draft.hard, keep).await {
            Ok(Put::Stored(version)) => {
                draft.version = version;
                L2Write::Done
            }
            Ok(Put::Superseded) => L2Write::Superseded,
            Err(error) => {
                self.counters.remote_error(&error);
                L2Write::Pending
            }
        }
    }

    /// Removes what is there in favour of a value that L2 cannot hold.
    async fn remove_for(&self, remote: &Guarded, text: &str, draft: &mut Draft<V>) -> L2Write {
        match remote.remove(text, draft.source, self.config.tombstone_ttl).await {
            // L1's entry has the tombstone's version: whoever writes next overtakes both.
            Ok(version) => draft.version = version,
            Err(error) => {
                self.counters.remote_error(&error);
                return L2Write::Pending;
            }
        }
        // The tombstone kept what a newer source asked for; a put would have told so.
        let sure = draft.source == 0
            || remote.read(text).await.is_ok_and(|fetched| {
                let there = record::peek(fetched.bytes.as_deref().unwrap_or_default());
                there.source <= draft.source
            });
        if sure { L2Write::Unstorable } else { L2Write::Superseded }
    }

    async fn remove(&self, lease: &Lease<K, V>, source: u64) -> Written {
        // First, so that who loads from now on knows.
        self.sources.raise(lease.key().clone(), source, Instant::now());
        lease.remove();
        let Some(remote) = &self.remote else {
            return Written { l1: true, l2: L2Write::NotConfigured, version: None };
        };
        let text = self.text(lease.key());
        let (l2, version) = match remote.remove(&text, source, self.config.tombstone_ttl).await {
            Ok(version) => (L2Write::Done, Some(version)),
            Err(error) => {
                self.counters.remote_error(&error);
                (L2Write::Pending, None)
            }
        };
        // Again: a read may have brought the old entry back before L2 knew.
        lease.remove();
        Written { l1: true, l2, version }
    }
}

/// What is said of a write whose task the runtime dropped at its shutdown.
const UNTOLD: Written = Written { l1: false, l2: L2Write::Pending, version: None };

/// Writes of a batch that are under way at the same time.
const AT_ONCE: usize = 128;
