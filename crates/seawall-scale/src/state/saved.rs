use std::time::Duration;

use seawall_signal::Hold;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::changes::{Change, Changes, MAX_CHANGES};
use super::starts::Starts;
use super::unsampled::Unsampled;
use super::{
    Added, Freeze, Line, MAX_ADDED, MAX_WISHES, Panic, Pin, State, Throughputs, Wall, Wish,
};
use crate::offset;

/// A [`State`] that can be written down: every instant is a number of
/// nanoseconds from a reference that the caller chooses.
///
/// To survive a restart save with the present instant as the reference, and
/// restore with the instant at which that moment was: the present one, less the
/// time that has passed since.
///
/// One of an older version loads: what it does not have is not remembered. One
/// of a newer version is refused, and so is one without a size. Its lists are
/// bounded, also when they are read: below 100 KB as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedState {
    current: u32,
    #[serde(default)]
    last_up: Option<i64>,
    #[serde(default)]
    last_down: Option<i64>,
    /// When, and how many.
    #[serde(default)]
    added: Vec<(i64, u32)>,
    /// When, no smaller than, no larger than.
    #[serde(default)]
    wishes: Vec<(i64, u32, u32)>,
    /// Since when, and whether raised.
    #[serde(default)]
    holds: Vec<(Option<i64>, bool)>,
    #[serde(default)]
    freeze: Option<SavedFreeze>,
    #[serde(default)]
    pin: Option<SavedPin>,
    /// When, added, removed.
    #[serde(default)]
    changes: Vec<(i64, u32, u32)>,
    /// When last over the threshold, and the most wished for.
    #[serde(default)]
    panics: Vec<Option<(i64, u32)>>,
    #[serde(default)]
    active: Option<i64>,
    /// Nanoseconds.
    #[serde(default)]
    starts: Vec<u64>,
    /// When, and nanoseconds after 1970.
    #[serde(default)]
    wall: Option<(i64, i64)>,
    /// Names of instances without a sample.
    #[serde(default)]
    unsampled: Vec<String>,
    #[serde(default)]
    lines: Vec<SavedLine>,
    /// The present size, and since when.
    #[serde(default)]
    steady: Option<(u32, i64)>,
    /// Size; when, and how much it got done.
    #[serde(default)]
    throughputs: Vec<(u32, Vec<(i64, f64)>)>,
}

/// A [`Line`] that can be written down.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct SavedLine {
    since: Option<i64>,
    least: f64,
    before: Option<f64>,
    refused: Option<f64>,
}

/// A [`Freeze`] that can be written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedFreeze {
    until: Option<i64>,
    only_down: bool,
    by: String,
}

/// A [`Pin`] that can be written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPin {
    size: u32,
    until: Option<i64>,
    by: String,
}

impl State {
    /// Writes it down, with instants counted from `reference`.
    #[must_use]
    pub fn save(&self, reference: Instant) -> SavedState {
        let from = |at: Instant| offset::from(reference, at);
        SavedState {
            current: self.current,
            last_up: self.last_up.map(from),
            last_down: self.last_down.map(from),
            added: self.added.iter().map(|added| (from(added.at), added.count)).collect(),
            wishes: self.wishes.iter().map(|wish| (from(wish.at), wish.high, wish.low)).collect(),
            holds: self
                .holds
                .iter()
                .map(|hold| (hold.since().map(from), hold.is_raised()))
                .collect(),
            freeze: self.freeze.as_ref().map(|freeze| SavedFreeze::new(freeze, reference)),
            pin: self.pin.as_ref().map(|pin| SavedPin::new(pin, reference)),
            changes: self.changes.0.iter().map(|c| (from(c.at), c.added, c.removed)).collect(),
            panics: self
                .panics
                .iter()
                .map(|panic| panic.map(|panic| (from(panic.last), panic.peak)))
                .collect(),
            active: self.active.map(from),
            starts: self.starts.0.iter().map(|took| nanos(*took)).collect(),
            wall: self.wall.map(|wall| (from(wall.at), wall.unix)),
            unsampled: self.unsampled.0.clone(),
            lines: self.lines.iter().map(|line| SavedLine::new(line, reference)).collect(),
            steady: self.throughputs.steady.map(|(size, since)| (size, from(since))),
            throughputs: self
                .throughputs
                .sizes
                .iter()
                .map(|(size, all)| {
                    (*size, all.iter().map(|&(at, rate)| (from(at), rate)).collect())
                })
                .collect(),
        }
    }
}

impl SavedState {
    /// The state, with instants counted from `reference`.
    #[must_use]
    pub fn restore(&self, reference: Instant) -> State {
        let to = |at: i64| offset::to(reference, at);
        let change = |&(at, added, removed): &_| Change { at: to(at), added, removed };
        State {
            current: self.current,
            last_up: self.last_up.map(to),
            last_down: self.last_down.map(to),
            added: newest(&self.added, MAX_ADDED)
                .map(|&(at, count)| Added { at: to(at), count })
                .collect(),
            wishes: newest(&self.wishes, MAX_WISHES)
                .map(|&(at, high, low)| Wish { at: to(at), high, low })
                .collect(),
            holds: self.holds.iter().map(|&(since, raised)| hold(since.map(to), raised)).collect(),
            freeze: self.freeze.as_ref().map(|freeze| freeze.restore(reference)),
            pin: self.pin.as_ref().map(|pin| pin.restore(reference)),
            changes: Changes(newest(&self.changes, MAX_CHANGES).map(change).collect()),
            panics: self
                .panics
                .iter()
                .map(|panic| panic.map(|(last, peak)| Panic { last: to(last), peak }))
                .collect(),
            active: self.active.map(to),
            starts: self.starts.iter().fold(Starts::default(), |mut starts, took| {
                starts.push(Duration::from_nanos(*took));
                starts
            }),
            wall: self.wall.map(|(at, unix)| Wall { at: to(at), unix }),
            unsampled: Unsampled::of(&self.unsampled),
            lines: self.lines.iter().map(|line| line.restore(reference)).collect(),
            throughputs: Throughputs::new(
                self.steady.map(|(size, since)| (size, to(since))),
                self.throughputs
                    .iter()
                    .map(|(size, all)| {
                        (*size, all.iter().map(|&(at, rate)| (to(at), rate)).collect())
                    })
                    .collect(),
            ),
        }
    }
}

impl SavedLine {
    fn new(line: &Line, reference: Instant) -> Self {
        let &Line { since, least, before, refused } = line;
        let since = since.map(|since| offset::from(reference, since));
        Self { since, least, before, refused }
    }

    fn restore(&self, reference: Instant) -> Line {
        let &Self { since, least, before, refused } = self;
        Line { since: since.map(|since| offset::to(reference, since)), least, before, refused }
    }
}

/// The newest of a list, oldest first, and no more than are ever kept.
fn newest<T>(all: &[T], most: usize) -> impl Iterator<Item = &T> {
    all.iter().skip(all.len().saturating_sub(most))
}

impl SavedFreeze {
    pub(crate) fn new(freeze: &Freeze, reference: Instant) -> Self {
        let until = freeze.until.map(|until| offset::from(reference, until));
        Self { until, only_down: freeze.only_down, by: freeze.by.clone() }
    }

    pub(crate) fn restore(&self, reference: Instant) -> Freeze {
        let until = self.until.map(|until| offset::to(reference, until));
        Freeze { until, only_down: self.only_down, by: self.by.clone() }
    }
}

impl SavedPin {
    pub(crate) fn new(pin: &Pin, reference: Instant) -> Self {
        let until = pin.until.map(|until| offset::from(reference, until));
        Self { size: pin.size, until, by: pin.by.clone() }
    }

    pub(crate) fn restore(&self, reference: Instant) -> Pin {
        let until = self.until.map(|until| offset::to(reference, until));
        Pin { size: self.size, until, by: self.by.clone() }
    }
}

fn hold(since: Option<Instant>, raised: bool) -> Hold {
    match since {
        None => Hold::default(),
        Some(since) if raised => Hold::raised_since(since),
        Some(since) => Hold::pending_since(since),
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
