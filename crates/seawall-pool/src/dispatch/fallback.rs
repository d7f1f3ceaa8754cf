//! How many reads the primary serves at a time in place of its replicas.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;

use super::Search;
use crate::error::Error;
use crate::node::Node;
use crate::route::Intent;

/// The reads on the primary of a pool that has replicas. Served in turn.
pub(crate) struct Fallback {
    all: Gate,
    /// Those of analytics, which would otherwise take places in which they wait for the few connections
    /// that analytics may have.
    analytics: Gate,
    waiting: AtomicUsize,
    share: f64,
    most_waiting: usize,
}

/// The right to read on the primary. Given up when dropped.
pub(crate) struct Place {
    _one: OwnedSemaphorePermit,
    _of_analytics: Option<OwnedSemaphorePermit>,
}

impl Fallback {
    pub(crate) fn new(share: f64, most_waiting: usize) -> Self {
        let (all, analytics) = (Gate::new(), Gate::new());
        Self { all, analytics, waiting: AtomicUsize::new(0), share, most_waiting }
    }

    /// Nobody reads there any more.
    pub(crate) fn close(&self) {
        self.all.places.close();
        self.analytics.places.close();
    }

    /// Keeps to the share of `max_size`, and analytics to so many, whatever those have become.
    fn fit(&self, max_size: usize, analytics: usize) {
        let most = places_of(max_size, self.share);
        self.all.fit(most);
        self.analytics.fit(analytics.clamp(1, most));
    }

    /// A place, if there is one and nobody waits for it.
    fn try_enter(&self, is_analytics: bool) -> Option<Place> {
        let free = |gate: &Gate| Arc::clone(&gate.places).try_acquire_owned().ok();
        let of_analytics = if is_analytics { Some(free(&self.analytics)?) } else { None };
        Some(Place { _one: free(&self.all)?, _of_analytics: of_analytics })
    }

    async fn enter(&self, is_analytics: bool) -> Result<Place, AcquireError> {
        let of_analytics = if is_analytics { Some(self.analytics.enter().await?) } else { None };
        Ok(Place { _one: self.all.enter().await?, _of_analytics: of_analytics })
    }
}

/// So many at a time.
struct Gate {
    places: Arc<Semaphore>,
    /// How many may be there, and how many places are to be taken away yet.
    counts: Mutex<(usize, usize)>,
}

impl Gate {
    fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(0)), counts: Mutex::default() }
    }

    /// If it is less than before, places are taken away as they come free and nobody waits for them.
    fn fit(&self, wanted: usize) {
        let mut counts = self.counts.lock();
        let (have, debt) = &mut *counts;
        if wanted > *have {
            let more = wanted - *have;
            let forgiven = more.min(*debt);
            *debt -= forgiven;
            self.places.add_permits(more - forgiven);
        } else {
            *debt += *have - wanted;
        }
        *have = wanted;
        *debt -= self.places.forget_permits(*debt);
    }

    async fn enter(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        Arc::clone(&self.places).acquire_owned().await
    }
}

impl<'p> Search<'p> {
    /// Waits until `node` may serve the read, if it is the primary and stands in for replicas.
    /// Cancel safe.
    pub(crate) async fn admit(&mut self, node: &Arc<Node>) -> Result<(), Error> {
        self.admitted = None;
        let fallback = &self.pool.fallback;
        let stands_in = node.is_primary() && !self.pool.router.is_trivial();
        if self.request.intent == Intent::Write || !stands_in || fallback.share >= 1.0 {
            return Ok(());
        }
        let (max_size, analytics) = {
            let books = node.books.lock();
            (books.max(), books.max_analytics())
        };
        fallback.fit(max_size, analytics);
        let is_analytics = self.request.intent == Intent::Analytics;
        if let Some(place) = fallback.try_enter(is_analytics) {
            self.admitted = Some(place);
            return Ok(());
        }
        node.metrics.capped.increment(1);
        let waiting = fallback.waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = scopeguard::guard(&fallback.waiting, |waiting| {
            waiting.fetch_sub(1, Ordering::Relaxed);
        });
        if waiting >= fallback.most_waiting {
            node.metrics.failed_acquires.increment(1);
            node.metrics.shed.increment(1);
            return Err(Error::QueueFull { node: Arc::clone(&node.name), waiting });
        }
        let until = self.patience.until();
        match timeout_at(until, fallback.enter(is_analytics)).await {
            Ok(Ok(place)) => {
                self.admitted = Some(place);
                Ok(())
            }
            Ok(Err(_)) => Err(Error::Closed),
            Err(_) => {
                node.metrics.failed_acquires.increment(1);
                Err(node.timed_out(self.patience.limit))
            }
        }
    }

    /// The place on the primary that was got, for who keeps the connection.
    pub(crate) fn take_place(&mut self) -> Option<Place> {
        self.admitted.take()
    }
}

fn places_of(max_size: usize, share: f64) -> usize {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of at most 10 000"
    )]
    let places = (max_size as f64 * share).round() as usize;
    places.clamp(1, max_size.max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Fallback, places_of};

    proptest! {
        /// However often the size changes while places are taken and given up, those taken from
        /// then on never go over the share.
        #[test]
        fn never_more_read_there_than_the_share_of_the_size_says(
            steps in prop::collection::vec((0u8..3, 1usize..30), 1..100)
        ) {
            let fallback = Fallback::new(0.5, 10);
            let mut taken = Vec::new();
            let mut max = 8;
            for (what, size) in steps {
                match what {
                    0 => max = size,
                    1 => drop(taken.pop()),
                    _ => {}
                }
                fallback.fit(max, max);
                let most = places_of(max, 0.5);
                match fallback.try_enter(max % 2 == 0) {
                    Some(place) => {
                        taken.push(place);
                        prop_assert!(taken.len() <= most, "{} of {most}", taken.len());
                    }
                    None => prop_assert!(taken.len() >= most, "{} of {most}", taken.len()),
                }
            }
        }
    }
}
