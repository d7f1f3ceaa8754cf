//! One mark, as far as this node knows it.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use parking_lot::RwLock;

use super::clock::Tick;
use super::coherence::{Coherence, Mode};
use super::entry;
use crate::marks::{Mark, MarkChange, Verdict, glob};

/// One mark, as far as this node knows it. Reads and changes are atomic.
///
/// What it knows may serve for two things. To *compare* entries with, it must be what the mark is
/// now: L2 was asked after the last change it told of, and its link has been up since, or, where
/// L2 tells nothing, it was asked no longer ago than L1 may answer by itself. To *stamp* loads
/// with, it must be what the mark was at some moment before the load began; older is safe.
#[derive(Debug)]
pub(crate) struct Cell {
    text: Box<str>,
    /// The L2 node that serves the mark, as of when L2 was last asked for it.
    node: AtomicU16,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    known: Option<Known>,
    /// The epoch of the last change that L2 told of without its version.
    changed: u64,
    /// The newest version that L2 told of.
    told: u64,
    /// `known` is an advance of ours, whose echo L2 has still to send.
    awaits_echo: bool,
    /// Advances of ours that L2 has not acknowledged.
    pending: Vec<Pending>,
}

/// A mark as it was read.
#[derive(Debug)]
struct Known {
    mark: Mark,
    version: u64,
    /// The epoch when L2 was asked.
    asked: u64,
    /// When L2 was asked.
    read: Tick,
    /// From when on it has been known.
    held: Tick,
}

/// An advance that holds on this node already.
#[derive(Debug)]
struct Pending {
    /// The epoch it made.
    epoch: u64,
    change: MarkChange,
}

/// What L2 was asked, and when: the answer counts only if nothing happened since.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    epoch: u64,
    at: Tick,
}

/// An advance of ours on its way to L2.
#[derive(Debug)]
#[must_use = "tell the cell how it ended"]
pub(crate) struct Advance {
    ask: Ask,
    /// The epoch it made.
    epoch: u64,
}

/// What a mark says of an entry, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The mark is known, or its link is down and this is the last that was known.
    Known {
        verdict: Verdict,
        /// The version of the mark it was compared with.
        version: u64,
        /// Its link is down.
        degraded: bool,
    },
    /// L2 must be asked. The verdict is that of the mark as it was last known.
    Unknown(Verdict),
}

/// What a change that L2 told of asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It was known already.
    Nothing,
    /// The mark must be read again.
    Read,
}

impl Cell {
    /// `mark`: what it is known to have been since `held`, without an L2.
    pub(super) fn new(text: &str, node: u16, mark: Option<Mark>, held: Tick) -> Self {
        let known =
            mark.map(|mark| Known { version: mark.version(), mark, asked: 0, read: held, held });
        let state = State { known, ..State::default() };
        Self { text: text.into(), node: AtomicU16::new(node), state: RwLock::new(state) }
    }

    /// The mark's name in L2.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The mark is on `node` by now: slots move, and nothing may have been known of the nodes when
    /// this was made. To be called before L2 is asked for it. If it moves after that, messages of
    /// `node` are said to be lost, and L2 is asked again.
    pub(crate) fn place(&self, node: u32) {
        self.node.store(entry::node(node), Ordering::Relaxed);
    }

    fn node(&self) -> u16 {
        self.node.load(Ordering::Relaxed)
    }

    /// To be called before L2 is asked for the mark.
    pub(super) fn ask(coherence: &Coherence, now: Tick) -> Ask {
        Ask { epoch: coherence.epoch(), at: now }
    }

    /// See [`Local::learn`](crate::local::Local::learn).
    pub(super) fn learn(&self, coherence: &Coherence, ask: Ask, mark: Mark, held: Tick) -> bool {
        let mut state = self.state.write();
        let version = mark.version();
        if let Some(known) = &state.known {
            let older = ask.at < known.read || ask.at == known.read && version < known.version;
            if older || ask.epoch < known.asked {
                return false;
            }
        }
        if state.changed > ask.epoch || version < state.told {
            return false;
        }
        let same = state.known.as_ref().filter(|known| known.version == version);
        let held = same.map_or(held, |known| known.held.min(held));
        if same.is_none() {
            coherence.advance();
        }
        state.awaits_echo &= same.is_some();
        state.known = Some(Known { mark, version, asked: ask.epoch, read: ask.at, held });
        true
    }

    /// See [`Local::begin_advance`](crate::local::Local::begin_advance).
    pub(super) fn begin(&self, coherence: &Coherence, now: Tick, change: MarkChange) -> Advance {
        let mut state = self.state.write();
        // As L2 will tell of the advance, in the epoch before it.
        let ask = Self::ask(coherence, now);
        let epoch = coherence.advance();
        if state.pending.len() >= Mark::MAX_CLEARS {
            // More is invalidated than was asked for, never less.
            state.pending.clear();
            state.pending.push(Pending { epoch, change: MarkChange::Hard });
        } else {
            state.pending.push(Pending { epoch, change });
        }
        Advance { ask, epoch }
    }

    /// L2 acknowledged the advance, and the mark is now `mark`. Returns whether to read it again
    /// in the background: L2 told of a change meanwhile, ours, another's, or both in one message.
    #[expect(clippy::needless_pass_by_value, reason = "it has ended")]
    pub(super) fn advanced(
        &self,
        coherence: &Coherence,
        advance: Advance,
        mark: Mark,
        now: Tick,
    ) -> bool {
        let Advance { ask, epoch } = advance;
        let mut state = self.state.write();
        let version = mark.version();
        state.pending.retain(|pending| pending.epoch != epoch);
        if state.known.as_ref().is_some_and(|known| known.version >= version) {
            return false;
        }
        if version < state.told {
            // Another advanced it further, and that is still to be read.
            coherence.advance();
            return true;
        }
        let told = state.changed > ask.epoch;
        state.awaits_echo = !told && state.told < version;
        let asked = coherence.advance();
        state.known = Some(Known { mark, version, asked, read: ask.at, held: now });
        told
    }

    /// Without an L2: the mark advances here.
    pub(super) fn advance_alone(
        &self,
        coherence: &Coherence,
        version: u64,
        change: MarkChange,
        now: Tick,
    ) {
        let mut state = self.state.write();
        if let Some(known) = &mut state.known {
            known.version = known.mark.advance(change, version);
            known.held = now;
            coherence.advance();
        }
    }

    /// L2 told that the mark was advanced, and to which `version`, if it says so.
    pub(super) fn changed(&self, coherence: &Coherence, version: Option<u64>) -> Told {
        let mut state = self.state.write();
        match version {
            Some(version) => {
                state.told = state.told.max(version);
                if state.known.as_ref().is_some_and(|known| known.version >= version) {
                    return Told::Nothing;
                }
                coherence.advance();
            }
            None if state.awaits_echo => state.awaits_echo = false,
            None => state.changed = coherence.advance(),
        }
        Told::Read
    }

    /// See [`Local::doubt`](crate::local::Local::doubt).
    pub(super) fn doubt(&self, coherence: &Coherence) {
        let mut state = self.state.write();
        state.awaits_echo = false;
        state.changed = coherence.advance();
    }

    /// What the mark says of an entry with `stamp` that was right as of epoch `since`; for one
    /// that was just read from L2, 0. `key` is its key as [`CacheKey`](crate::CacheKey) writes it.
    pub(super) fn check<'k>(
        &self,
        coherence: &Coherence,
        stamp: u64,
        since: u64,
        key: impl Fn() -> Cow<'k, str>,
        now: Tick,
        bound: Duration,
    ) -> Standing {
        let state = self.state.read();
        let mut verdict = Verdict::Fresh;
        for pending in &state.pending {
            if (since | 1) < pending.epoch {
                verdict = verdict.max(says(&pending.change, &key));
            }
        }
        let Some(known) = &state.known else {
            return Standing::Unknown(verdict);
        };
        // From the future: this mark is not the present one.
        if stamp > known.version {
            return Standing::Unknown(verdict);
        }
        verdict = verdict.max(known.mark.check(stamp, &key));
        match state.cover(known, coherence, self.node()) {
            Cover::Full => Standing::Known { verdict, version: known.version, degraded: false },
            Cover::Down => Standing::Known { verdict, version: known.version, degraded: true },
            Cover::Timed if now < known.read.plus(bound) => {
                Standing::Known { verdict, version: known.version, degraded: false }
            }
            Cover::Timed | Cover::None => Standing::Unknown(verdict),
        }
    }

    /// The stamp for a load that began at `began`: what the mark was at or before that moment.
    /// `None` if this node does not know, or not well enough: L2 must be asked.
    pub(super) fn stamp(&self, coherence: &Coherence, began: Tick, bound: Duration) -> Option<u64> {
        let state = self.state.read();
        let known = state.known.as_ref().filter(|known| known.held <= began)?;
        let recent = began < known.read.plus(bound);
        match state.cover(known, coherence, self.node()) {
            Cover::Full => Some(known.version),
            // Not for long: loads with stamps of long ago are gone on other nodes.
            Cover::Timed | Cover::Down => recent.then_some(known.version),
            Cover::None => None,
        }
    }

    /// The version that was known at `moment`, right or not; `None` if it has changed since. 0 if
    /// none was ever known.
    pub(super) fn known_at(&self, moment: Tick) -> Option<u64> {
        match &self.state.read().known {
            None => Some(0),
            Some(known) => (known.held <= moment).then_some(known.version),
        }
    }

    /// The version that was last known, right or not: the stamp of what L2 has no word on.
    pub(crate) fn last_known(&self) -> Option<u64> {
        self.state.read().known.as_ref().map(|known| known.version)
    }

    /// Until when entries may be compared with what is known, where only time says so.
    pub(super) fn timed_until(&self, coherence: &Coherence, bound: Duration) -> Option<Tick> {
        if coherence.mode() != Mode::Timed {
            return None;
        }
        self.state.read().known.as_ref().map(|known| known.read.plus(bound))
    }
}

/// How far what is known can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cover {
    /// L2 would have told of a change.
    Full,
    /// The link is down, and was up until then.
    Down,
    /// Nobody tells: only time says.
    Timed,
    /// It changed, or a change may have been missed.
    None,
}

impl State {
    fn cover(&self, known: &Known, coherence: &Coherence, node: u16) -> Cover {
        let mode = coherence.mode();
        if mode == Mode::Alone {
            return Cover::Full;
        }
        let node = coherence.node(node);
        if self.changed > known.asked || self.told > known.version || node.missed_since(known.asked)
        {
            Cover::None
        } else if mode == Mode::Timed {
            Cover::Timed
        } else if node.up {
            Cover::Full
        } else {
            Cover::Down
        }
    }
}

/// What `change` says of an entry from before it.
fn says<'k>(change: &MarkChange, key: &impl Fn() -> Cow<'k, str>) -> Verdict {
    let hard = match change {
        MarkChange::Hard => true,
        MarkChange::Soft => false,
        MarkChange::Clear { pattern, hard } if glob::matches(pattern, &key()) => *hard,
        MarkChange::Clear { .. } => return Verdict::Fresh,
    };
    if hard { Verdict::Gone } else { Verdict::Stale }
}
