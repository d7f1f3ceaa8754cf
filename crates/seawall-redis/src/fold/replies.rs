//! Who waits for what a command asks.

use std::fmt;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Who waits for the answers to the questions of a command, each in the place of its question.
pub struct Replies<R> {
    /// Those that were not told yet.
    places: Mutex<Vec<Option<Waiting<R>>>>,
}

impl<R> Replies<R> {
    pub(super) fn to(waiting: Vec<Option<Waiting<R>>>) -> Self {
        Self { places: Mutex::new(waiting) }
    }

    /// Answers the question in `place`. Does nothing if that was answered already.
    pub fn tell(&self, place: usize, reply: R) {
        let waiting = self.places.lock().get_mut(place).and_then(Option::take);
        if let Some(waiting) = waiting {
            let _ = waiting.reply.send(reply);
        }
    }

    /// When the first has waited for too long. Who came first is late first: all have the same
    /// patience, or nearly.
    pub(super) fn first(&self) -> Option<Instant> {
        self.places.lock().iter().flatten().find_map(|waiting| waiting.until)
    }

    /// Those that wait for too long.
    pub(super) fn take_late(&self, now: Instant) -> Vec<Waiting<R>> {
        let mut places = self.places.lock();
        places.iter_mut().filter_map(|it| it.take_if(|waiting| waiting.is_late(now))).collect()
    }
}

impl<R> fmt::Debug for Replies<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.places.lock().iter().flatten().count();
        f.debug_struct("Replies").field("waiting", &waiting).finish_non_exhaustive()
    }
}

/// Who waits for an answer.
pub(super) struct Waiting<R> {
    pub(super) reply: oneshot::Sender<R>,
    pub(super) until: Option<Instant>,
}

impl<R> Waiting<R> {
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}
