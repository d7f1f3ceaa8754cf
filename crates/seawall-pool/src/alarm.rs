//! Telling those who wait for a connection that their time is up.
//!
//! One timer for all who wait at a node, not one each: under load nearly every wait ends with a
//! connection, long before its time, and setting a timer and taking it back would cost more than the
//! rest of the wait. It is set for the earliest end there was when it was last looked at; whoever
//! has less time than that moves it up.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::checkout::Teller;
use crate::node::Node;

impl Node {
    /// Has somebody look at `until`, when the time of one who waits now is up.
    #[inline]
    pub(crate) fn ring_at(self: &Arc<Self>, alarm: Alarm) {
        match alarm {
            Alarm::Set => {}
            Alarm::Earlier => self.alarm.notify_one(),
            Alarm::Off => {
                let watch = Watch(Arc::downgrade(self));
                self.spawn(run(watch, Arc::clone(&self.alarm)));
            }
        }
    }

    /// Takes those out of the line whose time is up, and tells them how things are at this
    /// moment; says when to look again.
    fn ring(&self) -> Option<Instant> {
        let (late, next) = self.books.lock().expire(Instant::now());
        self.tell(late);
        next
    }

    /// The same, by the pool's own upkeep: the runtime on which somebody looks may be there and
    /// not run, as one of a single thread between two calls of `block_on`.
    pub(crate) fn ring_for_the_forgotten(&self, now: Instant) {
        let late = self.books.lock().forgotten(now);
        self.tell(late);
    }

    fn tell(&self, late: Vec<Teller>) {
        if late.is_empty() {
            return;
        }
        let status = self.status();
        for teller in late {
            // Each knows its own limit.
            drop(teller.send(Err(self.timed_out_as(status.clone(), Duration::MAX))));
        }
    }
}

/// What is to be done about the alarm when somebody begins to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// Nothing: it rings early enough.
    Set,
    /// It is to ring earlier.
    Earlier,
    /// It is off.
    Off,
}

async fn run(mut watch: Watch, moved: Arc<Notify>) {
    // Not held while it sleeps, or it would keep the node.
    while let Some(next) = watch.0.upgrade().and_then(|node| node.ring()) {
        let _ = timeout_at(next, moved.notified()).await;
    }
    // It is off, or on again by somebody else.
    watch.0 = Weak::new();
}

/// Somebody who looks, on the runtime of one who waited. Should that end, those of other runtimes
/// stand in line anew, and one of them looks. Should it stand still, the upkeep tells them, up to a
/// `reap_interval` late.
struct Watch(Weak<Node>);

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(node) = self.0.upgrade() else { return };
        let waiting = node.books.lock().unwatched();
        waiting.into_iter().for_each(drop::<Teller>);
    }
}
