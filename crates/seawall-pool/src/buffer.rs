//! Writes that were not sent, waiting for a primary.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use crate::buffer::config::BufferConfig;
use crate::buffer::line::{Entry, Line};
use crate::buffer::metrics::BufferMetrics;
use crate::error::Error;
use crate::metrics::Labels;
use crate::monitor::Board;

pub(crate) mod config;
mod line;
pub(crate) mod metrics;

/// The buffer of one pool.
pub(crate) struct Buffer {
    config: BufferConfig,
    on: bool,
    line: Mutex<Line<oneshot::Sender<Turn>>>,
    /// Whether somebody waits or has the turn: a look without the lock.
    busy: AtomicBool,
    /// Whether a task has the nodes looked at.
    looking: AtomicBool,
    metrics: BufferMetrics,
}

impl Buffer {
    pub(crate) fn new(config: &BufferConfig, may_fail_over: bool, labels: &Labels) -> Self {
        Self {
            config: config.clone(),
            on: may_fail_over && !config.is_off(),
            line: Mutex::default(),
            busy: AtomicBool::new(false),
            looking: AtomicBool::new(false),
            metrics: BufferMetrics::new(labels),
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.line.lock().waiting()
    }

    /// Whether those who come now are to stand behind others.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    /// All who wait, and all who come, learn that the pool is closed.
    pub(crate) fn close(&self) {
        let left = self.line.lock().close();
        drop(left);
    }

    fn note(&self, line: &Line<oneshot::Sender<Turn>>) {
        self.busy.store(line.is_busy(), Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a double")]
        self.metrics.waiting.set(line.waiting() as f64);
    }
}

/// The place of one write in the line.
#[derive(Default)]
pub(crate) struct Place {
    number: Option<u64>,
    turn: Option<Turn>,
    since: Option<Instant>,
}

impl Place {
    pub(crate) fn has_turn(&self) -> bool {
        self.turn.is_some()
    }

    /// It has a connection: the next may go.
    pub(crate) fn served(&mut self) {
        self.turn = None;
    }
}

impl Board {
    /// Waits until there is a primary and it is the caller's turn, at most until `limit`. Its
    /// write was not sent, for `cause`.
    ///
    /// Cancel safe: who leaves is out of the line, and a turn that comes too late goes to the
    /// next.
    pub(crate) async fn wait_for_primary(
        self: &Arc<Self>,
        place: &mut Place,
        limit: Instant,
        cause: Error,
    ) -> Result<(), Error> {
        let buffer = &self.buffer;
        place.turn = None;
        let again = place.since.is_some();
        let began = *place.since.get_or_insert_with(Instant::now);
        if again {
            // Not past `limit` either, however often a primary comes that will not serve.
            if Instant::now() >= limit.min(began + buffer.config.max_wait) {
                return Err(self.too_late(began, cause));
            }
            // There was one, and it would not serve: not again at once.
            sleep(LOOK_EVERY).await;
        } else if began >= limit {
            return Err(cause);
        }
        let (teller, told) = oneshot::channel();
        let bounds = (buffer.config.max_writes, buffer.config.max_wait);
        let entry = {
            let mut line = buffer.line.lock();
            let (open, now) = (self.takes_writes(), Instant::now());
            let entry = line.enter(place.number, open, now, bounds, || teller);
            buffer.note(&line);
            entry
        };
        let (number, until) = match entry {
            Entry::Go => return Ok(()),
            Entry::Wait { number, until } => (number, until),
            Entry::Late if again => return Err(self.too_late(began, cause)),
            Entry::Late => {
                buffer.metrics.late.increment(1);
                return Err(cause);
            }
            Entry::Full { waiting } => {
                buffer.metrics.full.increment(1);
                return Err(Error::BufferFull { waiting });
            }
            Entry::Closed => return Err(Error::Closed),
        };
        if place.number.is_none() {
            buffer.metrics.buffered.increment(1);
        }
        place.number = Some(number);
        let _place = InLine { board: self, number };
        self.keep_looking();
        // It may have come back before there was anybody to tell.
        self.let_go();
        let until = until.min(began + buffer.config.max_wait).min(limit);
        match timeout_at(until, told).await {
            Ok(Ok(turn)) => {
                buffer.metrics.seconds.record(began.elapsed().as_secs_f64());
                place.turn = Some(turn);
                Ok(())
            }
            Ok(Err(_)) => Err(Error::Closed),
            // Not for want of a primary, but behind others who wait for its connections: it
            // joins them, and is told by the pool why there is none.
            Err(_) if self.takes_writes() => {
                buffer.metrics.seconds.record(began.elapsed().as_secs_f64());
                Ok(())
            }
            Err(_) => Err(self.too_late(began, cause)),
        }
    }

    /// A write has waited in vain.
    fn too_late(&self, began: Instant, cause: Error) -> Error {
        self.buffer.metrics.late.increment(1);
        Error::NoPrimary { waited: began.elapsed(), source: Box::new(cause) }
    }

    /// Lets the next one go, if there is a primary and nobody has the turn.
    pub(crate) fn let_go(self: &Arc<Self>) {
        loop {
            let next = {
                let mut line = self.buffer.line.lock();
                let next = line.pop(self.takes_writes());
                self.buffer.note(&line);
                next
            };
            let Some((_, teller)) = next else { return };
            match teller.send(Turn(Some(Arc::clone(self)))) {
                Ok(()) => return,
                // It has left. Not by dropping the turn, which would do all this again.
                Err(mut turn) => {
                    turn.0 = None;
                    self.buffer.line.lock().turn_over();
                }
            }
        }
    }

    /// Has the nodes looked at more often than they are by themselves while writes wait.
    fn keep_looking(self: &Arc<Self>) {
        if self.buffer.looking.swap(true, Ordering::AcqRel) {
            return;
        }
        let board = Arc::clone(self);
        self.spawn(async move {
            loop {
                board.look();
                sleep(LOOK_EVERY).await;
                let line = board.buffer.line.lock();
                if line.waiting() == 0 {
                    // Under the lock, so that who comes next starts another.
                    board.buffer.looking.store(false, Ordering::Release);
                    return;
                }
            }
        });
    }
}

/// The right to go to the primary before all who wait.
pub(crate) struct Turn(Option<Arc<Board>>);

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(board) = self.0.take() {
            board.buffer.line.lock().turn_over();
            board.let_go();
        }
    }
}

/// Somebody in the line, until told or gone.
struct InLine<'b> {
    board: &'b Board,
    number: u64,
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        let mut line = self.board.buffer.line.lock();
        line.leave(self.number);
        self.board.buffer.note(&line);
    }
}

/// How soon a promotion is noticed while writes wait, one probe's time aside.
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests;
