//! What happened: every call with its beginning, end and outcome.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;
use seawall_pool::Lsn;
use tokio::time::Instant;

/// A place for data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// Everybody appends to it.
    List(usize),
    /// One session writes it, with growing values, until it does not know what became
    /// of one.
    Register(usize),
}

#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Appends to a list, or sets a register.
    Write {
        key: Key,
        value: i64,
    },
    Read {
        key: Key,
    },
    /// Takes over another session's token, which covers its calls that ended by then.
    Take {
        from: usize,
        until: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A write took effect on this timeline, at this position at most, if that is known.
    Written {
        timeline: u32,
        lsn: Option<Lsn>,
        port: i32,
    },
    /// A read saw this, on a standby or not.
    Saw {
        values: Vec<i64>,
        standby: bool,
        port: i32,
    },
    Taken,
    /// The statement did not reach the server.
    NotSent,
    /// It reached the server and changed nothing.
    NoEffect,
    /// It may have taken effect, now or later: an answer was lost, or the caller left.
    Unknown,
}

#[derive(Clone, Debug)]
pub(crate) struct Op {
    pub(crate) session: usize,
    pub(crate) act: Act,
    /// Numbers of one clock that all share: what ended before another began has the lower.
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) outcome: Outcome,
    /// For people: since the start, and what was met.
    pub(crate) at: (Duration, Duration),
    pub(crate) remark: String,
}

/// A replica became the primary.
#[derive(Clone, Debug)]
pub(crate) struct Promotion {
    /// From here on the old primary was going.
    pub(crate) began: u64,
    /// Where the new timeline leaves the old one.
    pub(crate) switch: Lsn,
    pub(crate) timeline: u32,
    /// Whether all that was acknowledged had to be on the new primary.
    pub(crate) lossless: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) ops: Vec<Op>,
    pub(crate) promotion: Option<Promotion>,
    /// What the primary had in the end.
    pub(crate) last: BTreeMap<Key, Vec<i64>>,
    /// What was done to the servers, for people.
    pub(crate) faults: Vec<(Duration, String)>,
}

/// Keeps a history while it happens.
pub(crate) struct Recorder {
    start: Instant,
    state: Mutex<(u64, History)>,
}

/// A call that has begun.
#[derive(Clone, Copy)]
pub(crate) struct Begun {
    began: u64,
    at: Duration,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), state: Mutex::default() }
    }

    /// The next number of the clock.
    pub(crate) fn tick(&self) -> u64 {
        let mut state = self.state.lock();
        state.0 += 1;
        state.0
    }

    pub(crate) fn begin(&self) -> Begun {
        Begun { began: self.tick(), at: self.start.elapsed() }
    }

    /// Returns the number of the end.
    pub(crate) fn end(
        &self,
        begun: Begun,
        session: usize,
        act: Act,
        outcome: Outcome,
        remark: String,
    ) -> u64 {
        let at = (begun.at, self.start.elapsed());
        let mut state = self.state.lock();
        state.0 += 1;
        let ended = state.0;
        state.1.ops.push(Op { session, act, began: begun.began, ended, outcome, at, remark });
        ended
    }

    pub(crate) fn fault(&self, what: String) {
        self.state.lock().1.faults.push((self.start.elapsed(), what));
    }

    pub(crate) fn promoted(&self, promotion: Promotion) {
        self.state.lock().1.promotion = Some(promotion);
    }

    pub(crate) fn finish(&self, last: BTreeMap<Key, Vec<i64>>) -> History {
        let mut history = std::mem::take(&mut self.state.lock().1);
        history.last = last;
        history
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.at.0.as_micros(), self.at.1.as_micros());
        write!(f, "{from:>9} to {to:>9} us  session {}  ", self.session)?;
        match &self.act {
            Act::Write { key, value } => write!(f, "write {value} to {key:?}")?,
            Act::Read { key } => write!(f, "read {key:?}")?,
            Act::Take { from, .. } => write!(f, "take the token of session {from}")?,
        }
        match &self.outcome {
            Outcome::Written { timeline, lsn, port } => {
                let lsn = lsn.unwrap_or_default();
                write!(f, ": done on {port}, timeline {timeline}, {lsn}")?;
            }
            Outcome::Saw { values, standby, port } => {
                let node = if *standby { "standby" } else { "primary" };
                write!(f, ": {values:?} on {node} {port}")?;
            }
            other => write!(f, ": {other:?}")?,
        }
        if self.remark.is_empty() { Ok(()) } else { write!(f, "  ({})", self.remark) }
    }
}
