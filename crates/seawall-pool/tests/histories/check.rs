//! Whether a history keeps the promises. Knows nothing of servers.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Act, History, Key, Op, Outcome, Promotion};
/// A broken promise, with the numbers of the calls that show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) key: Key,
    pub(crate) value: i64,
    pub(crate) ops: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A session did not see what it, or one whose token it took, had written.
    ReadYourWrites,
    /// A session did not see what it, or one whose token it took, had seen.
    MonotonicReads,
    /// A write was done twice.
    Duplicate,
    /// A write was acknowledged and is gone.
    LostWrite,
    /// A write took effect though its error says that it did not.
    EffectOfAFailure,
    /// A read saw what nobody had written, or not yet.
    FromNowhere,
    /// Two reads of a list saw its elements in different orders.
    Order,
    /// A write went to a primary after another was known to be the newer one.
    Fence,
}

/// What was checked, so that a history in which nothing happened is noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) reads: usize,
    pub(crate) writes: usize,
    pub(crate) failed: usize,
    pub(crate) unknown: usize,
    /// Acknowledged writes that PostgreSQL lost in an asynchronous promotion.
    pub(crate) lost: usize,
    /// Writes seen on a standby, and then not on a primary that was still committing them.
    pub(crate) early: usize,
}

/// Looks at every read and write.
pub(crate) fn check(history: &History) -> Result<Checked, Violation> {
    let mut checker = Checker::new(history)?;
    checker.last_state()?;
    checker.fence()?;
    // Sorted by their ends: whatever a session knew when it began a call comes before.
    let mut order: Vec<_> = (0..history.ops.len()).collect();
    order.sort_by_key(|&op| history.ops[op].ended);
    for op in order {
        checker.step(op)?;
    }
    Ok(checker.checked)
}

struct Checker<'h> {
    history: &'h History,
    /// The call that wrote each value.
    writes: BTreeMap<i64, usize>,
    /// By session: what it must see from now on, and the call it knows that from.
    known: BTreeMap<usize, BTreeMap<(Key, i64), usize>>,
    checked: Checked,
}

impl<'h> Checker<'h> {
    fn new(history: &'h History) -> Result<Self, Violation> {
        let mut writes = BTreeMap::new();
        for (number, op) in history.ops.iter().enumerate() {
            if let Act::Write { value, .. } = op.act {
                assert!(writes.insert(value, number).is_none(), "values are unique");
            }
        }
        Ok(Self { history, writes, known: BTreeMap::new(), checked: Checked::default() })
    }

    /// Nothing twice, nothing lost that was promised, nothing there that failed.
    fn last_state(&mut self) -> Result<(), Violation> {
        for (&key, values) in &self.history.last {
            self.plausible(key, values, None)?;
        }
        for (number, op) in self.history.ops.iter().enumerate() {
            let Act::Write { key, value } = op.act else { continue };
            match &op.outcome {
                Outcome::Written { .. } => {
                    self.checked.writes += 1;
                    if self.is_there(key, value) {
                        continue;
                    }
                    if !self.may_be_lost(op) {
                        return Err(broken(Rule::LostWrite, key, value, vec![number]));
                    }
                    self.checked.lost += 1;
                }
                Outcome::Unknown => self.checked.unknown += 1,
                _ => self.checked.failed += 1,
            }
        }
        Ok(())
    }

    /// Once a write was acknowledged on a newer timeline, no later one is on an older.
    fn fence(&self) -> Result<(), Violation> {
        let written = || {
            self.history.ops.iter().enumerate().filter_map(|(number, op)| match &op.outcome {
                Outcome::Written { timeline, .. } => Some((number, op, *timeline)),
                _ => None,
            })
        };
        for (late, op, timeline) in written() {
            let newer =
                written().find(|(_, other, newer)| other.ended < op.began && *newer > timeline);
            if let Some((early, ..)) = newer {
                let Act::Write { key, value } = op.act else { continue };
                return Err(broken(Rule::Fence, key, value, vec![early, late]));
            }
        }
        Ok(())
    }

    fn step(&mut self, number: usize) -> Result<(), Violation> {
        let op = &self.history.ops[number];
        match (&op.act, &op.outcome) {
            (&Act::Write { key, value }, Outcome::Written { .. }) => {
                self.known.entry(op.session).or_default().insert((key, value), number);
            }
            (&Act::Read { key }, Outcome::Saw { values, standby, .. }) => {
                self.checked.reads += 1;
                self.plausible(key, values, Some(number))?;
                self.recent(number, key, values, *standby)?;
                let known = self.known.entry(op.session).or_default();
                for &value in values.iter().filter(|value| **value != NOTHING) {
                    let source = known.entry((key, value)).or_insert(number);
                    // What the primary has shown is in flight no more.
                    if !standby && is_of_standby(&self.history.ops[*source]) {
                        *source = number;
                    }
                }
            }
            (&Act::Take { from, until }, _) => self.take(op.session, from, until),
            _ => {}
        }
        Ok(())
    }

    /// What a session knows another one had written and seen.
    fn take(&mut self, session: usize, from: usize, until: u64) {
        let theirs = self.known.get(&from).cloned().unwrap_or_default();
        let ours = self.known.entry(session).or_default();
        for (what, source) in theirs {
            if self.history.ops[source].ended <= until {
                ours.entry(what).or_insert(source);
            }
        }
    }

    /// Whether `values` can be what a key held, when `reader` looked or in the end.
    fn plausible(&self, key: Key, values: &[i64], reader: Option<usize>) -> Result<(), Violation> {
        let ops = |number: usize| reader.into_iter().chain([number]).collect::<Vec<_>>();
        let mut seen = BTreeSet::new();
        for &value in values.iter().filter(|value| **value != NOTHING) {
            let Some(&number) = self.writes.get(&value) else {
                let ops = reader.into_iter().collect();
                return Err(broken(Rule::FromNowhere, key, value, ops));
            };
            let write = &self.history.ops[number];
            let ours = matches!(write.act, Act::Write { key: written, .. } if written == key);
            let late = reader.is_some_and(|reader| self.history.ops[reader].ended < write.began);
            if !ours || late {
                return Err(broken(Rule::FromNowhere, key, value, ops(number)));
            }
            if !seen.insert(value) {
                return Err(broken(Rule::Duplicate, key, value, ops(number)));
            }
            if matches!(write.outcome, Outcome::NotSent | Outcome::NoEffect) {
                return Err(broken(Rule::EffectOfAFailure, key, value, ops(number)));
            }
        }
        let Some(reader) = reader else { return Ok(()) };
        let gone = |value: &&i64| **value != NOTHING && !self.is_there(key, **value);
        if let Some(&value) = values.iter().find(gone)
            && !self.may_be_lost(&self.history.ops[self.writes[&value]])
        {
            return Err(broken(Rule::LostWrite, key, value, vec![reader, self.writes[&value]]));
        }
        if let Key::Register(_) = key {
            return Ok(());
        }
        // What is left of it in the end stands there in the same order, with nothing before
        // or between.
        let last = self.history.last.get(&key).map_or(&[][..], Vec::as_slice);
        let kept = values.iter().filter(|value| last.contains(value));
        for (kept, last) in kept.zip(last) {
            if kept != last {
                return Err(broken(Rule::Order, key, *kept, vec![reader, self.writes[kept]]));
            }
        }
        Ok(())
    }

    /// Whether a read saw all that its session knew when it began.
    fn recent(
        &mut self,
        number: usize,
        key: Key,
        values: &[i64],
        standby: bool,
    ) -> Result<(), Violation> {
        let op = &self.history.ops[number];
        let Some(known) = self.known.get(&op.session) else { return Ok(()) };
        let of_key = known.iter().filter(|((of, _), _)| *of == key);
        for (&(_, value), &source) in of_key {
            let shown = match key {
                Key::List(_) => values.contains(&value),
                Key::Register(_) => values.iter().any(|shown| *shown >= value),
            };
            let before = self.history.ops[source].ended < op.began;
            if shown || !before {
                continue;
            }
            let write = &self.history.ops[self.writes[&value]];
            if self.is_past(op) && !self.has_survived(key, value) && self.may_be_lost(write) {
                continue;
            }
            if !standby && self.is_in_flight(source, write, op) {
                self.checked.early += 1;
                continue;
            }
            let rule = match self.history.ops[source].act {
                Act::Write { .. } => Rule::ReadYourWrites,
                _ => Rule::MonotonicReads,
            };
            return Err(broken(rule, key, value, vec![source, self.writes[&value], number]));
        }
        Ok(())
    }

    /// Whether the value was known from a standby only, and was not acknowledged when `read` began:
    /// it was in the log and the primary was yet to show it.
    fn is_in_flight(&self, source: usize, write: &Op, read: &Op) -> bool {
        let acknowledged = matches!(write.outcome, Outcome::Written { .. });
        is_of_standby(&self.history.ops[source]) && (!acknowledged || write.ended > read.began)
    }

    /// Whether the value of a write is part of what there was in the end. A later value of a
    /// register covers it.
    fn is_there(&self, key: Key, value: i64) -> bool {
        let last = self.history.last.get(&key).map_or(&[][..], Vec::as_slice);
        match key {
            Key::List(_) => last.contains(&value),
            Key::Register(_) => last.iter().any(|shown| *shown >= value),
        }
    }

    /// The same where a later value of a register that may be of the new timeline does not count: it was
    /// there whether or not the promotion had lost those before.
    fn has_survived(&self, key: Key, value: i64) -> bool {
        let last = self.history.last.get(&key).map_or(&[][..], Vec::as_slice);
        match key {
            Key::List(_) => last.contains(&value),
            Key::Register(_) => last
                .iter()
                .any(|shown| *shown == value || (*shown > value && !self.may_be_newer(*shown))),
        }
    }

    /// Whether a value may have been written on the new timeline.
    fn may_be_newer(&self, value: i64) -> bool {
        let write = self.writes.get(&value).map(|write| &self.history.ops[*write]);
        let (Some(write), Some(promotion)) = (write, &self.history.promotion) else { return false };
        match write.outcome {
            Outcome::Written { timeline, .. } => timeline >= promotion.timeline,
            _ => write.ended > promotion.began,
        }
    }

    /// Whether PostgreSQL may have lost it: it was not acknowledged, or lies behind the
    /// point where the new timeline leaves the old one.
    fn may_be_lost(&self, write: &Op) -> bool {
        let Some(Promotion { switch, timeline, lossless, .. }) = self.history.promotion else {
            return false;
        };
        match &write.outcome {
            Outcome::Written { .. } if lossless => false,
            Outcome::Written { timeline: on, lsn, .. } => {
                *on < timeline && lsn.is_none_or(|lsn| lsn > switch)
            }
            _ => true,
        }
    }

    /// Whether the promotion had begun before `op` ended.
    fn is_past(&self, op: &Op) -> bool {
        self.history.promotion.as_ref().is_some_and(|promotion| promotion.began < op.ended)
    }
}

fn is_of_standby(op: &Op) -> bool {
    matches!(op.outcome, Outcome::Saw { standby: true, .. })
}

fn broken(rule: Rule, key: Key, value: i64, ops: Vec<usize>) -> Violation {
    Violation { rule, key, value, ops }
}

/// What a register holds before the first write.
pub(crate) const NOTHING: i64 = 0;

#[cfg(test)]
mod tests;
