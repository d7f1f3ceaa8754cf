//! The right to write one key of L1, as of one moment.

use std::hash::Hash;
use std::sync::Arc;

use tokio::sync::{Notify, watch};

use super::clock::Tick;
use super::entry::{Draft, Entry};
use super::judge::Stamped;
use super::table::{Hold, Kept};
use super::{Begun, Flight, Landed, Local};
use crate::key::CacheKey;

/// Remembers what the fences of a key stood at. Dropping it gives it back, and ends the load it
/// leads: callers that come later start a new one.
pub(crate) struct Lease<K: Hash + Eq, V, R> {
    local: Arc<Local<K, V, R>>,
    key: K,
    hold: Hold,
    epoch: u64,
}

impl<K: Hash + Eq, V, R> Lease<K, V, R> {
    pub(super) fn new(local: &Arc<Local<K, V, R>>, key: K, hold: Hold, epoch: u64) -> Self {
        Self { local: Arc::clone(local), key, hold, epoch }
    }

    pub(crate) fn key(&self) -> &K {
        &self.key
    }
}

impl<K, V, R> Lease<K, V, R>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Before L2 is read again under the same lease (another node's load has landed): from here on
    /// the lease is as good as a new one, and what is read may be kept although the key changed
    /// since the lease was taken. A load that was displaced can be joined again, through `sender`,
    /// unless a younger one is there. Not between asking and filling: what was asked before counts
    /// no more.
    pub(crate) fn renew(&mut self, sender: &watch::Sender<Option<R>>) {
        // Before the fences, as when it was taken.
        self.epoch = self.local.coherence.epoch();
        self.local.table.renew(&self.key, &mut self.hold, Begun::now(sender));
    }

    /// The load was granted the lease in L2 under `token`.
    pub(crate) fn granted(&self, token: u64) {
        self.local.table.granted(&self.key, token);
    }

    /// The lease in L2 of a load of this node that this one displaced: nobody needs to wait for
    /// that. `None` if there is none, or if this load was displaced itself.
    pub(crate) fn take_over(&self) -> Option<u64> {
        self.local.table.take_over(&self.key, &self.hold)
    }

    /// To be called right before the fill or put of this lease is sent to L2: changes that L2
    /// tells of from here on may be its own.
    pub(crate) fn send(&mut self) {
        self.local.table.send(&self.key, &mut self.hold);
    }

    /// Keeps what a load or a back-fill brought, unless
    /// - the key was written or removed on this node since the lease was taken,
    /// - L2 told of a change since (for what L2 stored after [`send`](Self::send): of a newer one),
    /// - a newer version is in, or
    /// - a mark says by now that it is gone.
    ///
    /// For [`Kept::Check`] the version must be compared with L2's: that is queued already.
    pub(crate) fn fill(&self, draft: Draft<V>, now: Tick) -> (Kept, Entry<V>) {
        let (entry, stamped) = self.entry(draft, now);
        if stamped == Stamped::Gone {
            return (Kept::No, entry);
        }
        let kept = self.local.table.fill(&self.key, &self.hold, entry.clone());
        (self.checked(kept, Some(&entry)), entry)
    }

    /// A write ended: keeps its entry, unless the key was removed on this node since the lease was
    /// taken, or a newer write is in. Voids the loads in flight: they may have read L2 before the
    /// write got there. `issued`: L2 acknowledged it and issued its version, or there is no L2.
    ///
    /// Whatever it returns, L1 does not have what was there before.
    pub(crate) fn end_write(&self, draft: Draft<V>, issued: bool, now: Tick) -> Kept {
        let (entry, stamped) = self.entry(draft, now);
        if stamped == Stamped::Gone {
            self.remove();
            return Kept::No;
        }
        // What was not sent is not checked.
        let copy = self.hold.is_sent().then(|| entry.clone());
        let kept = self.local.table.end_write(&self.key, &self.hold, entry, issued);
        self.checked(kept, copy.as_ref())
    }

    /// Removes the entry and voids all that is in flight.
    pub(crate) fn remove(&self) {
        self.local.table.remove(&self.key);
    }

    /// The newest version that a write got while this lease was held.
    pub(crate) fn written(&self) -> u64 {
        self.local.table.written(&self.key)
    }

    /// Woken (all that wait) when another node's lease on the key may have ended or the key
    /// changed. Ask for the `Notified` and [`enable`](tokio::sync::futures::Notified::enable) it
    /// before asking L2, so that nothing falls in between.
    pub(crate) fn landing(&self) -> Arc<Notify> {
        self.local.table.landing(&self.key).0
    }

    /// The entry, and what its marks say now.
    fn entry(&self, draft: Draft<V>, now: Tick) -> (Entry<V>, Stamped) {
        let local = &self.local;
        let mut entry = Entry::new(draft, self.epoch);
        let (stamped, validated) = local.validation(&self.key, &entry, self.epoch, self.epoch, now);
        entry.set_validated(validated);
        if !entry.degraded()
            && let Some(until) = local.timed_until(&entry)
        {
            entry.recheck_at(until);
        }
        (entry, stamped)
    }

    fn checked(&self, kept: Kept, entry: Option<&Entry<V>>) -> Kept {
        if kept == Kept::Check
            && let Some(entry) = entry
        {
            self.local.check_later(self.key.clone(), entry.clone());
        }
        kept
    }
}

impl<K: Hash + Eq, V, R> Drop for Lease<K, V, R> {
    fn drop(&mut self) {
        self.local.table.release(&self.key, &self.hold);
    }
}

/// How a caller that missed goes on.
pub(crate) enum Join<K: Hash + Eq, V, R> {
    /// Someone filled it in the meantime. `degraded` as in
    /// [`Look::Degraded`](super::Look::Degraded).
    Hit { entry: Entry<V>, degraded: bool },
    /// A load is in flight. Wait for it, or, with a stale value at hand, do not.
    Wait(Flight<R>),
    /// One is in flight, and it is not known yet whether an invalidation that this caller must
    /// see came after it began: wait for [certainty](Local::certainty) and ask again.
    Doubt(K),
    /// This caller runs the load, holding the lease, and answers through the sender.
    Lead(Lease<K, V, R>, watch::Sender<Option<R>>),
}

impl super::table::Landing for Landed {
    fn wake(&self) {
        self.0.notify_waiters();
    }
}
