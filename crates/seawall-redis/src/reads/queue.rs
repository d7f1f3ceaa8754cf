//! Keys that wait to be sent.

use std::task::{Context, Waker};

use bytes::Bytes;
use fred::error::{Error, ErrorKind};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::lost;

pub(super) type Reply = Result<Option<Bytes>, Error>;

/// A key, and who asked for it.
pub(super) struct Ask {
    pub(super) key: Bytes,
    pub(super) waiting: Waiting,
}

/// Who waits for an answer.
pub(super) struct Waiting {
    pub(super) reply: oneshot::Sender<Reply>,
    pub(super) until: Instant,
}

/// Between those who ask and the task that sends.
pub(super) struct Queue {
    /// Most that may wait, sent or not.
    bound: usize,
    state: Mutex<State>,
}

struct State {
    up: bool,
    asks: Vec<Ask>,
    /// Keys that were sent and not answered yet, as of the last look.
    sent: usize,
    /// The task's, if it sleeps.
    waker: Option<Waker>,
}

impl Queue {
    pub(super) fn new(bound: usize) -> Self {
        let state = State { up: false, asks: Vec::new(), sent: 0, waker: None };
        Self { bound, state: Mutex::new(state) }
    }

    pub(super) fn is_up(&self) -> bool {
        self.state.lock().up
    }

    pub(super) fn push(
        &self,
        key: Bytes,
        until: Instant,
    ) -> Result<oneshot::Receiver<Reply>, Error> {
        let mut state = self.state.lock();
        if !state.up {
            return Err(lost());
        }
        if state.asks.len() + state.sent >= self.bound {
            return Err(Error::new(ErrorKind::Backpressure, "too many reads wait"));
        }
        let (reply, receiver) = oneshot::channel();
        state.asks.push(Ask { key, waiting: Waiting { reply, until } });
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(receiver)
    }

    /// Takes what waits into `asks`, which is empty, if that is at least so many; and is told of
    /// what comes from then on. `sent` are under way already. How many were left.
    pub(super) fn take(
        &self,
        asks: &mut Vec<Ask>,
        at_least: usize,
        sent: usize,
        context: &Context<'_>,
    ) -> usize {
        let mut state = self.state.lock();
        let left = state.asks.len();
        if left == 0 || left >= at_least {
            std::mem::swap(&mut state.asks, asks);
            state.sent = sent + asks.len();
            if state.waker.is_none() {
                state.waker = Some(context.waker().clone());
            }
            return 0;
        }
        left
    }

    /// Those that wait for too long, out of what waits to be sent. When the next will have.
    pub(super) fn late(&self, now: Instant) -> (Vec<Ask>, Option<Instant>) {
        let mut state = self.state.lock();
        let late = state.asks.extract_if(.., |ask| ask.waiting.until <= now).collect();
        (late, state.asks.iter().map(|ask| ask.waiting.until).min())
    }

    /// There is a connection, until what is returned is dropped.
    pub(super) fn up(&self) -> Up<'_> {
        self.state.lock().up = true;
        Up(self)
    }
}

pub(super) struct Up<'a>(&'a Queue);

impl Drop for Up<'_> {
    fn drop(&mut self) {
        let asks = {
            let mut state = self.0.state.lock();
            (state.up, state.sent, state.waker) = (false, 0, None);
            std::mem::take(&mut state.asks)
        };
        // Dropping the senders tells those that wait, but not under the lock.
        drop(asks);
    }
}
