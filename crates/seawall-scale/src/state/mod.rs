//! What a group remembers between two decisions.

mod changes;
mod command;
mod line;
#[cfg(feature = "serde")]
mod saved;
mod starts;
mod throughput;
mod unsampled;

use std::collections::VecDeque;
use std::time::Duration;

use seawall_signal::Hold;
use tokio::time::Instant;

use crate::{Action, Decision, Policy};
use changes::Changes;
pub(crate) use command::Wall;
pub use command::{Freeze, Pin};
pub(crate) use line::Line;
#[cfg(feature = "serde")]
pub use saved::SavedState;
#[cfg(feature = "log")]
pub use saved::{SavedFreeze, SavedPin};
use starts::Starts;
pub(crate) use throughput::{Throughput, Throughputs};
use unsampled::Unsampled;

/// What a group remembers between two decisions.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// How many instances there are.
    pub current: u32,
    /// When the group last grew.
    pub last_up: Option<Instant>,
    /// When the group last shrank; forgotten when it grows.
    pub last_down: Option<Instant>,
    /// Growth since the last scale-down, oldest first.
    added: VecDeque<Added>,
    /// Raw wishes, oldest first.
    wishes: VecDeque<Wish>,
    /// One for each rule, in order.
    holds: Vec<Hold>,
    /// An order to leave the size alone.
    pub freeze: Option<Freeze>,
    /// An order to have a certain size.
    pub pin: Option<Pin>,
    changes: Changes,
    /// One for each burst, in order.
    panics: Vec<Option<Panic>>,
    /// When the group was last known, or had to be taken, to be active.
    active: Option<Instant>,
    starts: Starts,
    wall: Option<Wall>,
    unsampled: Unsampled,
    /// One for each dependency, in order.
    lines: Vec<Line>,
    throughputs: Throughputs,
}

/// A burst that is going on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Panic {
    /// When it was last over its threshold.
    pub(crate) last: Instant,
    /// The most that was wished for in it.
    pub(crate) peak: u32,
}

/// Instances that one decision added.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Added {
    at: Instant,
    count: u32,
}

/// What one evaluation wanted, before windows, cooldowns and limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Wish {
    pub(crate) at: Instant,
    /// No smaller than this may the group become.
    pub(crate) high: u32,
    /// No larger than this may it become.
    pub(crate) low: u32,
}

/// What an evaluation leaves behind.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Memory {
    pub(crate) high: u32,
    pub(crate) low: u32,
    /// The longest stabilisation window: older wishes are forgotten.
    pub(crate) keep: Duration,
    pub(crate) holds: Vec<Hold>,
    pub(crate) panics: Vec<Option<Panic>>,
    pub(crate) active: Option<Instant>,
    /// Whether the change only brings the size back within its bounds.
    pub(crate) corrects: bool,
    pub(crate) lines: Vec<Line>,
    /// What the group got done at its size, if that is all it can.
    pub(crate) throughput: Option<Throughput>,
}

impl State {
    /// A group of `current` instances with no history. Its first
    /// stabilisation window starts with the first decision, as if `current` had
    /// been wished for then: a restarted engine does not rush a scale-down.
    #[must_use]
    pub fn new(current: u32) -> Self {
        Self {
            current,
            last_up: None,
            last_down: None,
            added: VecDeque::new(),
            wishes: VecDeque::new(),
            holds: Vec::new(),
            freeze: None,
            pin: None,
            changes: Changes::default(),
            panics: Vec::new(),
            active: None,
            starts: Starts::default(),
            wall: None,
            unsampled: Unsampled::default(),
            lines: Vec::new(),
            throughputs: Throughputs::default(),
        }
    }

    /// Corrects the size to what the world says, for instance before a
    /// decision. Not a scaling action: starts no cooldown. Instances that are
    /// gone are taken to be the newest.
    pub fn observe(&mut self, current: u32) {
        self.lose_newest(self.current.saturating_sub(current));
        self.current = current;
    }

    /// Forgets the growth that `gone` instances were, the newest first.
    fn lose_newest(&mut self, mut gone: u32) {
        while gone > 0
            && let Some(newest) = self.added.back_mut()
        {
            let of_these = gone.min(newest.count);
            newest.count -= of_these;
            gone -= of_these;
            if newest.count == 0 {
                self.added.pop_back();
            }
        }
    }

    /// Says that at `at` it is `unix` after 1970, for schedules. A later call
    /// replaces it: call it now and then, for clocks are set.
    pub fn set_clock(&mut self, at: Instant, unix: Duration) {
        let unix = i64::try_from(unix.as_nanos()).unwrap_or(i64::MAX);
        self.wall = Some(Wall { at, unix });
    }

    /// Says how long an instance took from the decision to being ready. The
    /// 95th percentile of the last 20, from the third on, replaces
    /// [`Policy::start_delay`].
    pub fn started(&mut self, took: Duration) {
        self.starts.push(took);
    }

    /// Says which instances gave no sample, for reasons: how many they are
    /// [`Fleet::missing`](crate::Fleet::missing) says. Replaces what was said
    /// before. The first 32 are kept, the first 253 bytes of each.
    pub fn unsampled<T: AsRef<str>>(&mut self, names: impl IntoIterator<Item = T>) {
        self.unsampled = Unsampled::of(names);
    }

    /// How long an instance takes to be ready, as far as is known.
    #[must_use]
    pub fn start_delay(&self, policy: &Policy) -> Duration {
        self.starts.p95().unwrap_or(policy.start_delay)
    }

    /// Nanoseconds and all since 1970 at `now`, if the time of day is known.
    pub(crate) fn unix(&self, now: Instant) -> Option<Duration> {
        let unix = self.wall?.unix(now);
        u64::try_from(unix).ok().map(Duration::from_nanos)
    }

    /// Takes over what happened to the group of `live`, and keeps what only this
    /// state has seen: wishes, holds, bursts.
    pub(crate) fn follow(&mut self, live: &Self) {
        self.current = live.current;
        self.last_up = live.last_up;
        self.last_down = live.last_down;
        self.added.clone_from(&live.added);
        self.changes.clone_from(&live.changes);
        self.freeze.clone_from(&live.freeze);
        self.pin.clone_from(&live.pin);
        self.starts.clone_from(&live.starts);
        self.wall = live.wall;
        self.unsampled.clone_from(&live.unsampled);
    }

    /// Records `decision` as carried out at `now`. A correction of a size out
    /// of bounds starts no cooldown: it says nothing about the load.
    pub fn apply(&mut self, decision: &Decision, now: Instant) {
        self.remember(decision, now);
        if decision.action != Action::Hold {
            self.changes.push(now, self.current, decision.target);
        }
        match decision.action {
            // What is gone is not waited for.
            _ if decision.memory.corrects => {
                self.lose_newest(self.current.saturating_sub(decision.target));
            }
            Action::Up => {
                self.last_up = Some(now);
                self.last_down = None;
                self.added.push_back(Added {
                    at: now,
                    count: decision.target.saturating_sub(self.current),
                });
                // Past the cap the two oldest become one that settles late.
                if self.added.len() > MAX_ADDED
                    && let Some(oldest) = self.added.pop_front()
                    && let Some(next) = self.added.front_mut()
                {
                    next.count = next.count.saturating_add(oldest.count);
                }
            }
            Action::Down => {
                self.last_down = Some(now);
                self.added.clear();
            }
            Action::Hold => {}
        }
        self.current = decision.target;
    }

    /// Records what `decision` saw but not that it was carried out: for a dry
    /// run, or when acting failed. The next decision asks again.
    pub fn remember(&mut self, decision: &Decision, now: Instant) {
        let memory = &decision.memory;
        let &Memory { high, low, keep, ref holds, ref panics, active, .. } = memory;
        if self.wishes.is_empty() {
            self.wishes.push_back(Wish { at: now, high: self.current, low: u32::MAX });
        }
        self.wish(Wish { at: now, high, low }, keep);
        self.forget(now, keep);
        self.holds.clone_from(holds);
        self.panics.clone_from(panics);
        self.active = active;
        self.lines.clone_from(&memory.lines);
        if let Some(throughput) = memory.throughput {
            self.throughputs.push(throughput);
        }
    }

    /// Instances younger than `cooldown`, and when the oldest of them is not.
    pub(crate) fn settling(&self, now: Instant, cooldown: Duration) -> (u32, Duration) {
        let mut young = self
            .added
            .iter()
            .map(|added| (added.count, now.saturating_duration_since(added.at)))
            .filter(|(_, age)| *age < cooldown)
            .peekable();
        let oldest = young.peek().map_or(cooldown, |(_, age)| *age);
        let count = young.fold(0_u32, |sum, (count, _)| sum.saturating_add(count));
        (count, cooldown.saturating_sub(oldest))
    }

    /// Forgets what belongs to the policy's entries by position, for a new one.
    fn forget_rules(&mut self) {
        self.holds.clear();
        self.panics.clear();
        self.lines.clear();
    }

    /// Goes on under another policy: what belongs to its entries by position is
    /// forgotten, for they are new ones.
    pub(crate) fn adopt(&mut self, was: &Policy, is: &Policy) {
        self.forget_rules();
        self.unlearn(was, is);
    }

    /// Forgets throughputs that were measured otherwise.
    fn unlearn(&mut self, was: &Policy, is: &Policy) {
        if was.scalability != is.scalability {
            self.throughputs = Throughputs::default();
        }
    }

    /// A copy for another policy than the one it was made under: what belongs to
    /// other rules or bursts by position is not taken for theirs.
    pub(crate) fn under(&self, was: &Policy, is: &Policy) -> Self {
        let mut state = self.clone();
        let same =
            was.rules == is.rules && was.bursts == is.bursts && was.dependencies == is.dependencies;
        if !same {
            state.forget_rules();
        }
        state.unlearn(was, is);
        state
    }

    pub(crate) fn changes(&self) -> &Changes {
        &self.changes
    }

    pub(crate) fn panic(&self, burst: usize) -> Option<Panic> {
        self.panics.get(burst).copied().flatten()
    }

    pub(crate) fn line(&self, dependency: usize) -> Line {
        self.lines.get(dependency).copied().unwrap_or_default()
    }

    pub(crate) fn throughputs(&self) -> &Throughputs {
        &self.throughputs
    }

    pub(crate) fn names_unsampled(&self) -> &Unsampled {
        &self.unsampled
    }

    pub(crate) fn active(&self) -> Option<Instant> {
        self.active
    }

    #[cfg(feature = "schedules")]
    pub(crate) fn wall(&self) -> Option<Wall> {
        self.wall
    }

    pub(crate) fn wishes(&self) -> impl DoubleEndedIterator<Item = &Wish> {
        self.wishes.iter()
    }

    pub(crate) fn hold(&self, rule: usize) -> Hold {
        self.holds.get(rule).copied().unwrap_or_default()
    }

    /// Adds a wish. Where there are more than a window needs, the newest two
    /// become one that binds as strongly as both and not noticeably longer.
    fn wish(&mut self, wish: Wish, keep: Duration) {
        let before = self.wishes.len().checked_sub(2).and_then(|index| self.wishes.get(index));
        let close = before
            .is_some_and(|before| wish.at.saturating_duration_since(before.at) < keep / PER_WINDOW);
        match self.wishes.back_mut() {
            Some(last) if close => {
                last.at = last.at.max(wish.at);
                last.high = last.high.max(wish.high);
                last.low = last.low.min(wish.low);
            }
            _ => self.wishes.push_back(wish),
        }
    }

    /// Drops wishes that no window reaches. Past the cap the two oldest become
    /// one that binds at least as long and as strongly as both.
    fn forget(&mut self, now: Instant, keep: Duration) {
        while self.wishes.len() > 1
            && self
                .wishes
                .front()
                .is_some_and(|wish| now.saturating_duration_since(wish.at) >= keep)
        {
            self.wishes.pop_front();
        }
        if self.wishes.len() > MAX_WISHES
            && let Some(oldest) = self.wishes.pop_front()
            && let Some(next) = self.wishes.front_mut()
        {
            next.high = next.high.max(oldest.high);
            next.low = next.low.min(oldest.low);
        }
    }
}

/// Wishes are kept apart to so small a part of the longest window. That is two
/// hours of decisions at the usual 15 s; of more, several become one.
const PER_WINDOW: u32 = 480;

/// More than any window needs. What is merged at the old end stays young, so
/// that this alone would keep a peak for good: it only bounds what a change of
/// windows leaves behind.
const MAX_WISHES: usize = 1024;

/// Growths kept apart, so that each settles in its own time.
const MAX_ADDED: usize = 64;
