//! The slots of one series. An idle series has none.

use std::collections::VecDeque;

use super::Tick;

/// What a series gained during a slot.
pub(crate) trait Delta {
    fn is_empty(&self) -> bool;
    fn absorb(&mut self, later: &Self);
}

impl Delta for u64 {
    fn is_empty(&self) -> bool {
        *self == 0
    }

    fn absorb(&mut self, later: &Self) {
        *self = self.wrapping_add(*later);
    }
}

/// Slots in rising order of the tick that ended them.
pub(crate) struct History<D> {
    /// `None` while there are none: most series are idle.
    slots: Option<Box<Slots<D>>>,
}

type Slots<D> = VecDeque<(u64, D)>;

impl<D> Default for History<D> {
    fn default() -> Self {
        Self { slots: None }
    }
}

impl<D: Delta> History<D> {
    /// Ends a slot: keeps `delta` unless it is empty, folds and forgets what
    /// the tick says.
    pub(crate) fn push(&mut self, tick: &Tick, delta: D) {
        if !delta.is_empty() {
            self.slots.get_or_insert_default().push_back((tick.index, delta));
        }
        let Some(slots) = &mut self.slots else {
            return;
        };
        if let Some((first, last)) = tick.fold {
            fold(slots, first, last);
        }
        while slots.front().is_some_and(|(at, _)| *at < tick.oldest) {
            slots.pop_front();
        }
        if slots.is_empty() {
            self.slots = None;
        }
    }

    /// The slots from the tick `from` on.
    pub(crate) fn since(&self, from: u64) -> impl Iterator<Item = &D> {
        let from = move |slots: &Slots<D>| slots.partition_point(|(at, _)| *at < from);
        self.slots.iter().flat_map(move |slots| slots.range(from(slots)..)).map(|(_, delta)| delta)
    }
}

/// Makes one slot, ending with tick `last`, of the slots of `first..=last`.
fn fold<D: Delta>(slots: &mut Slots<D>, first: u64, last: u64) {
    let start = slots.partition_point(|(at, _)| *at < first);
    let end = slots.partition_point(|(at, _)| *at <= last);
    let mut group = slots.drain(start..end);
    let Some((_, mut whole)) = group.next() else {
        return;
    };
    for (_, part) in group {
        whole.absorb(&part);
    }
    slots.insert(start, (last, whole));
}

#[cfg(test)]
mod tests;
