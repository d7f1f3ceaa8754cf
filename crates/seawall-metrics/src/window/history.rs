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
    slots: VecDeque<(u64, D)>,
}

impl<D> Default for History<D> {
    fn default() -> Self {
        Self { slots: VecDeque::new() }
    }
}

impl<D: Delta> History<D> {
    /// Ends a slot: keeps `delta` unless it is empty, folds and forgets what
    /// the tick says.
    pub(crate) fn push(&mut self, tick: &Tick, delta: D) {
        if !delta.is_empty() {
            self.slots.push_back((tick.index, delta));
        }
        if let Some((first, last)) = tick.fold {
            self.fold(first, last);
        }
        while self.slots.front().is_some_and(|(at, _)| *at < tick.oldest) {
            self.slots.pop_front();
        }
        if self.slots.is_empty() {
            self.slots = VecDeque::new();
        }
    }

    /// The slots from the tick `from` on.
    pub(crate) fn since(&self, from: u64) -> impl Iterator<Item = &D> {
        let start = self.slots.partition_point(|(at, _)| *at < from);
        self.slots.range(start..).map(|(_, delta)| delta)
    }

    /// Makes one slot, ending with tick `last`, of the slots of `first..=last`.
    fn fold(&mut self, first: u64, last: u64) {
        let start = self.slots.partition_point(|(at, _)| *at < first);
        let end = self.slots.partition_point(|(at, _)| *at <= last);
        let mut group = self.slots.drain(start..end);
        let Some((_, mut whole)) = group.next() else {
            return;
        };
        for (_, part) in group {
            whole.absorb(&part);
        }
        self.slots.insert(start, (last, whole));
    }
}

#[cfg(test)]
mod tests;
