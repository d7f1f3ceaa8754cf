//! Reading along on what a server sends, for the little the driver keeps to itself.
//!
//! Every backend message is a tag byte, four bytes of length (which count
//! themselves) and a body. [`Scanner`] hops from header to header, looks into
//! the bodies of three kinds only, and keeps nothing but the state of the
//! transaction block, the server's role and a few flags.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use tokio::sync::Notify;

/// What a connection's server last said about its session. Written by the
/// stream, read by whoever takes the connection home.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// The status byte of the last `ReadyForQuery`; zero before the first and
    /// after bytes that are no messages.
    status: AtomicU8,
    traces: AtomicU8,
    /// Whether an answer came to its end since that was last asked.
    ready: AtomicBool,
    /// Ends of answers that are to come without an answer.
    bare: AtomicU8,
    /// Whether one came that was not to: requests and answers do not match any more.
    adrift: AtomicBool,
    /// Copies of which an end without an answer may have to be kept from the driver.
    copying: AtomicU32,
    /// What the server said of itself at the login, or since: one that is promoted says so
    /// with its next answer, on every connection that lived through it.
    role: AtomicU8,
    /// Told when that changes.
    turned: Option<Arc<Notify>>,
}

impl Wire {
    /// Of a connection whose node wants to know when the server's role changes.
    pub(crate) fn telling(turned: Arc<Notify>) -> Self {
        Self { turned: Some(turned), ..Self::default() }
    }

    /// Whether the server last said that it is in recovery. None before it has said so, and
    /// of one before PostgreSQL 14, which never does.
    pub(crate) fn in_recovery(&self) -> Option<bool> {
        match self.role.load(Ordering::Acquire) {
            STANDBY => Some(true),
            WRITER => Some(false),
            _ => None,
        }
    }

    /// Whether the server was last ready for a query outside of any
    /// transaction block.
    pub(crate) fn is_idle(&self) -> bool {
        self.status.load(Ordering::Acquire) == IDLE
    }

    /// Whether an answer came to its end since the last call.
    pub(crate) fn take_ready(&self) -> bool {
        self.ready.swap(false, Ordering::AcqRel)
    }

    /// Something is about to be sent that is answered by `ReadyForQuery` alone.
    pub(crate) fn expect_bare(&self) {
        self.bare.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether the server answered more often than it was asked. After a `COPY` that it refuses
    /// tokio-postgres sends the end of one all the same, and takes the answer to that for
    /// the answer to what is sent next.
    pub(crate) fn is_adrift(&self) -> bool {
        self.adrift.load(Ordering::Acquire)
    }

    /// Whether such an answer is to come.
    pub(crate) fn expects_bare(&self) -> bool {
        self.bare.load(Ordering::Acquire) > 0
    }

    /// A `COPY` is about to be asked for. If the server refuses it, or fails before it has read the
    /// whole request, the driver's end of the copy is answered by itself. That answer, which would be
    /// taken for the answer to what is sent next, is taken out of the stream.
    pub(crate) fn begin_copy(&self) {
        self.copying.fetch_add(1, Ordering::AcqRel);
    }

    /// There was such an answer to the first of them, or there will be none.
    pub(crate) fn copy_settled(&self) {
        let one_less = |copies: u32| copies.checked_sub(1);
        let _ = self.copying.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less);
    }

    /// Whether an answer may have to be taken out.
    pub(crate) fn is_copying(&self) -> bool {
        self.copying.load(Ordering::Acquire) > 0
    }

    /// What the session may have kept, though no text of a statement told.
    pub(crate) fn traces(&self) -> Traces {
        Traces(self.traces.load(Ordering::Acquire))
    }

    /// The session is as new.
    pub(crate) fn forget_traces(&self) {
        self.traces.store(0, Ordering::Release);
    }

    pub(crate) fn note(&self, event: Event) {
        let trace = match event {
            Event::Ready(status) => {
                self.status.store(status, Ordering::Release);
                return self.ready.store(true, Ordering::Release);
            }
            Event::Bare => {
                let one_less = |bare: u8| bare.checked_sub(1);
                if self.bare.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less).is_err() {
                    self.adrift.store(true, Ordering::Release);
                }
                return;
            }
            Event::Lost => return self.status.store(0, Ordering::Release),
            Event::Command(tag) if tag.starts_with(b"PREPARE\0") => PREPARED,
            Event::Command(tag) if tag.starts_with(b"DEALLOCATE") => FORGOTTEN,
            Event::Command(tag) if tag.starts_with(b"DISCARD ALL") => FORGOTTEN,
            Event::Command(_) | Event::CopyIn => return,
            Event::Parameter(setting) => match setting.strip_prefix(ROLE) {
                // Nothing that the session did.
                Some(value) => return self.note_role(value.starts_with(b"on")),
                None => CHANGED,
            },
            Event::Notification => CHANGED,
        };
        self.traces.fetch_or(trace, Ordering::AcqRel);
    }

    fn note_role(&self, in_recovery: bool) {
        let role = if in_recovery { STANDBY } else { WRITER };
        let before = self.role.swap(role, Ordering::AcqRel);
        if before != role
            && before != UNKNOWN
            && let Some(turned) = &self.turned
        {
            turned.notify_one();
        }
    }
}

/// Signs of state that a session may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Traces(u8);

impl Traces {
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// A statement was prepared by SQL, under a name of the borrower's.
    pub(crate) fn prepared(self) -> bool {
        self.0 & PREPARED != 0
    }

    /// Prepared statements were dropped by SQL, perhaps those of the cache.
    pub(crate) fn forgotten(self) -> bool {
        self.0 & FORGOTTEN != 0
    }
}

/// A message worth a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// `ReadyForQuery` with its status: `I` idle, `T` in a transaction block, `E`
    /// in a failed one.
    Ready(u8),
    /// A `ReadyForQuery` follows, with no answer since the one before.
    Bare,
    /// `CommandComplete`, the beginning of its tag, padded with zeros.
    Command([u8; PEEKED]),
    /// `ParameterStatus`: a setting that the server reports has changed. Its name and value,
    /// each ended by a zero, as far as they fit.
    Parameter([u8; PEEKED]),
    /// `NotificationResponse`: the session listens.
    Notification,
    /// `CopyInResponse`: rows may come.
    CopyIn,
    /// A length that cannot be. Nothing is understood from here on.
    Lost,
}

/// Finds the events in a stream of backend messages that comes in pieces of
/// any size. Costs about a nanosecond a message.
#[derive(Debug)]
pub(crate) struct Scanner {
    state: State,
    /// Whether there was an answer since the last `ReadyForQuery`.
    answered: bool,
}

#[derive(Debug)]
enum State {
    /// In a header, of which `have` bytes are there.
    Header {
        bytes: [u8; HEADER],
        have: usize,
    },
    /// In a body that is looked into.
    Peek {
        tag: u8,
        seen: [u8; PEEKED],
        have: usize,
        left: usize,
    },
    /// In a body of no interest.
    Skip {
        left: usize,
    },
    Lost,
}

impl Scanner {
    pub(crate) fn new() -> Self {
        Self { state: BETWEEN, answered: true }
    }

    /// For a stream that begins with so many bytes which are no message.
    #[cfg(feature = "tls")]
    pub(crate) fn after(bytes: usize) -> Self {
        Self { state: State::Skip { left: bytes }, answered: true }
    }

    /// Whether what was taken in so far ends within the header of a `ReadyForQuery`.
    pub(crate) fn is_within_ready(&self) -> bool {
        matches!(&self.state, State::Header { bytes, have } if *have > 0 && bytes[0] == READY)
    }

    /// Whether an answer has begun that has not come to its end.
    pub(crate) fn is_answering(&self) -> bool {
        self.answered
    }

    /// Whether it ends between two messages.
    pub(crate) fn is_between(&self) -> bool {
        matches!(&self.state, State::Header { have: 0, .. })
    }

    /// Takes in the next bytes.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut on: impl FnMut(Event)) {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Header { bytes: header, have } => {
                    let taken = take(&mut bytes, HEADER - *have);
                    header[*have..*have + taken.len()].copy_from_slice(taken);
                    *have += taken.len();
                    if *have == HEADER {
                        match header[0] {
                            READY if std::mem::take(&mut self.answered) => {}
                            READY => on(Event::Bare),
                            // Of their own accord.
                            NOTICE | PARAMETER | NOTIFICATION => {}
                            _ => self.answered = true,
                        }
                        self.state = begin(*header, &mut on);
                    }
                }
                State::Skip { left } => {
                    *left -= take(&mut bytes, *left).len();
                    if *left == 0 {
                        self.state = BETWEEN;
                    }
                }
                State::Peek { tag, seen, have, left } => {
                    let taken = take(&mut bytes, *left);
                    *left -= taken.len();
                    let kept = taken.len().min(PEEKED - *have);
                    seen[*have..*have + kept].copy_from_slice(&taken[..kept]);
                    *have += kept;
                    if *left == 0 {
                        on(match *tag {
                            READY => Event::Ready(seen[0]),
                            PARAMETER => Event::Parameter(*seen),
                            _ => Event::Command(*seen),
                        });
                        self.state = BETWEEN;
                    }
                }
                State::Lost => return,
            }
        }
    }
}

/// What follows a header. Messages without a body end here.
fn begin(header: [u8; HEADER], on: &mut impl FnMut(Event)) -> State {
    let [tag, a, b, c, d] = header;
    let length = i32::from_be_bytes([a, b, c, d]);
    let Some(left) = usize::try_from(length).ok().and_then(|length| length.checked_sub(4)) else {
        on(Event::Lost);
        return State::Lost;
    };
    match tag {
        NOTIFICATION => on(Event::Notification),
        COPY_IN => on(Event::CopyIn),
        READY | COMMAND | PARAMETER if left > 0 => {
            return State::Peek { tag, seen: [0; PEEKED], have: 0, left };
        }
        _ => {}
    }
    if left == 0 { BETWEEN } else { State::Skip { left } }
}

fn take<'a>(bytes: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(most.min(bytes.len()));
    *bytes = rest;
    taken
}

const BETWEEN: State = State::Header { bytes: [0; HEADER], have: 0 };
const HEADER: usize = 5;
/// Enough of a command's tag, and of a setting with its value, to tell those that matter.
const PEEKED: usize = 17;
/// The setting that says whether the server is in recovery, since PostgreSQL 14.
const ROLE: &[u8] = b"in_hot_standby\0";

const READY: u8 = b'Z';
const COMMAND: u8 = b'C';
const PARAMETER: u8 = b'S';
const NOTIFICATION: u8 = b'A';
const COPY_IN: u8 = b'G';
const NOTICE: u8 = b'N';
const IDLE: u8 = b'I';

const UNKNOWN: u8 = 0;
const STANDBY: u8 = 1;
const WRITER: u8 = 2;

const PREPARED: u8 = 1;
const FORGOTTEN: u8 = 2;
const CHANGED: u8 = 4;

#[cfg(test)]
mod tests;
