//! The loads in flight: who leads one, who joins it, and who must not.

use std::sync::Arc;

use tokio::sync::{Notify, watch as channel};
use tokio::time::Instant;

use super::Local;
use super::clock::Tick;
use super::entry::Entry;
use super::lease::{Join, Lease};
use super::look::Look;
use super::table::{Item as _, Joined};
use crate::key::CacheKey;

/// A load in flight, as its waiters see it: empty until it has ended.
pub(crate) type Flight<R> = channel::Receiver<Option<R>>;

/// A load in flight, and since when.
pub(super) struct Begun<R> {
    /// Not after the moment from which on it could be joined.
    at: Instant,
    flight: Flight<R>,
}

/// How many changes of marks had been told when a caller came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival(u64);

/// Wakes the loads of a key that wait for another node.
#[derive(Debug, Clone, Default)]
pub(crate) struct Landed(pub(super) Arc<Notify>);

impl<K, V, R> Local<K, V, R>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// The load of `key`: an entry that came in the meantime, one in flight, or a new one to lead.
    /// `arrived` as [`arrival`](Self::arrival) said when the caller came.
    pub(crate) fn join(self: &Arc<Self>, key: K, now: Tick, arrived: Arrival) -> Join<K, V, R> {
        self.lead(key, arrived, |key| match self.peek(key, now) {
            Look::Hit(entry) | Look::Early(entry) => Some((entry, false)),
            Look::Degraded(entry) => Some((entry, true)),
            _ => None,
        })
    }

    /// A load of `key` that shall replace `entry`, ahead of its time or because it is stale.
    /// [`Join::Hit`] if something else is in already, which is then left alone.
    pub(crate) fn refresh(self: &Arc<Self>, key: K, entry: &Entry<V>) -> Join<K, V, R> {
        self.lead(key, self.arrival(), |key| {
            let there = self.table.shelf().look(key)?;
            (!there.is(entry)).then_some((there, false))
        })
    }

    fn lead(
        self: &Arc<Self>,
        key: K,
        arrived: Arrival,
        look: impl FnOnce(&K) -> Option<(Entry<V>, bool)>,
    ) -> Join<K, V, R> {
        let epoch = self.coherence.epoch();
        let mut sender = None;
        let flight = || Begun::now(sender.insert(channel::Sender::new(None)));
        match self.table.join(&key, || look(&key), flight) {
            Joined::Hit((entry, degraded)) => Join::Hit { entry, degraded },
            Joined::Wait(_) if !self.checks.are_settled(arrived.0) => Join::Doubt(key),
            Joined::Wait(Begun { flight, .. }) => Join::Wait(flight),
            Joined::Lead(hold) => {
                let sender = sender.unwrap_or_else(|| channel::Sender::new(None));
                Join::Lead(Lease::new(self, key, hold, epoch), sender)
            }
        }
    }

    /// To be called when a caller comes: of all that was told by now he sees the effect.
    pub(crate) fn arrival(&self) -> Arrival {
        Arrival(self.checks.marks())
    }

    /// Waits until L2 has said of each mark that it told a change of before `arrived` whether that
    /// concerns the loads in flight: one round trip, or its deadline. After that there is no
    /// [`Join::Doubt`] for this caller. Needs who takes the [checks](Self::checks).
    pub(crate) async fn certainty(&self, arrived: Arrival) {
        self.checks.settled(arrived.0).await;
    }

    /// When the oldest load began that can be joined.
    pub(crate) fn oldest_flight(&self) -> Option<Instant> {
        let mut oldest = None;
        self.table.flights(|begun| {
            oldest = Some(oldest.map_or(begun.at, |oldest: Instant| oldest.min(begun.at)));
        });
        oldest
    }

    /// L2 was asked for `marks` of those that [`take_checks`](Self::take_checks) gave, in their
    /// order, or could not be. `unmoved`: none was advanced since the
    /// [oldest load](Self::oldest_flight) began; otherwise nobody joins the loads from before any
    /// more. Must be called for each in the end, or who comes waits for ever.
    pub(crate) fn settle_marks(&self, marks: u64, unmoved: bool) {
        if !unmoved {
            self.displace();
        }
        self.checks.settle(marks);
    }
}

impl<R> Begun<R> {
    /// The load that answers through `sender`.
    pub(super) fn now(sender: &channel::Sender<Option<R>>) -> Self {
        Self { at: Instant::now(), flight: sender.subscribe() }
    }
}

impl<R> Clone for Begun<R> {
    fn clone(&self) -> Self {
        Self { at: self.at, flight: self.flight.clone() }
    }
}
