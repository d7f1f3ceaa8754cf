//! What a store has not acknowledged. Pure: time comes in as an argument.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::marks::MarkChange;

/// A bounded table of keys to remove and marks to advance. Until a key has left it, the key is
/// not read from the store; if the table ever overflowed, no key is, until it is empty and every
/// record that may have been meant has expired.
#[derive(Debug)]
pub(crate) struct Pending {
    keys: HashMap<Box<str>, Waiting>,
    capacity: usize,
    next: u64,
    overflowed: bool,
    blind_until: Option<Instant>,
}

/// Something that waits for the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Tells this from what was asked of the key later.
    pub(crate) sequence: u64,
    pub(crate) task: Task,
    since: Instant,
}

/// What the store is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Task {
    /// Removes an entry.
    Remove { source: u64, keep: Duration },
    /// Advances a mark, once for each.
    Advance(Vec<MarkChange>),
}

impl Task {
    /// Both, or something that does at least as much.
    fn and(self, earlier: &Self) -> Self {
        match (self, earlier) {
            (Self::Remove { source, keep }, Self::Remove { source: known, .. }) => {
                Self::Remove { source: source.max(*known), keep }
            }
            (Self::Advance(changes), Self::Advance(known)) => {
                let mut all = known.clone();
                all.retain(|known| !changes.contains(known));
                all.extend(changes);
                if all.contains(&MarkChange::Hard) || all.len() > MAX_CHANGES {
                    all = vec![MarkChange::Hard];
                }
                Self::Advance(all)
            }
            // A text names an entry or a mark, never both.
            (task, _) => task,
        }
    }
}

impl Pending {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { keys: HashMap::new(), capacity, next: 0, overflowed: false, blind_until: None }
    }

    /// Remembers a task. `longest` is the longest any record may still live.
    /// Returns whether the table has just overflowed.
    pub(crate) fn remember(
        &mut self,
        key: &str,
        task: Task,
        longest: Duration,
        now: Instant,
    ) -> bool {
        if self.keys.len() >= self.capacity && !self.keys.contains_key(key) {
            self.blind_until = self.blind_until.max(Some(now + longest));
            return !std::mem::replace(&mut self.overflowed, true);
        }
        let sequence = self.sequence();
        let task = match self.keys.get(key) {
            Some(known) => task.and(&known.task),
            None => task,
        };
        self.keys.insert(key.into(), Waiting { sequence, task, since: now });
        false
    }

    /// Whether every key may be read: told without a look at the clock.
    pub(crate) fn hides_nothing(&self) -> bool {
        self.keys.is_empty() && self.blind_until.is_none()
    }

    /// Whether `key` must not be read from the store.
    pub(crate) fn hides(&self, key: &str, now: Instant) -> bool {
        self.blinds(now) || self.keys.contains_key(key)
    }

    /// Whether no key at all may be read from the store.
    pub(crate) fn blinds(&self, now: Instant) -> bool {
        (self.overflowed && !self.keys.is_empty())
            || self.blind_until.is_some_and(|until| now < until)
    }

    /// A number greater than that of everything remembered so far.
    pub(crate) fn sequence(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The store acknowledged a write to `key` that began at `sequence`, or the removal of that
    /// number: what was remembered before it is settled.
    pub(crate) fn settle(&mut self, key: &str, sequence: u64) {
        if self.keys.get(key).is_some_and(|waiting| waiting.sequence <= sequence) {
            self.keys.remove(key);
        }
        if self.keys.is_empty() {
            self.overflowed = false;
        }
    }

    /// The store acknowledged an advance of the mark `key` that began at `sequence`: what was
    /// remembered before it is settled as far as this did it.
    pub(crate) fn settle_advance(&mut self, key: &str, sequence: u64, change: &MarkChange) {
        let Some(waiting) = self.keys.get_mut(key) else { return };
        let Task::Advance(changes) = &mut waiting.task else { return };
        if waiting.sequence <= sequence {
            changes.retain(|known| known != change && *change != MarkChange::Hard);
            if changes.is_empty() {
                self.settle(key, sequence);
            }
        }
    }

    /// Up to `limit` tasks that have waited for `age`: long enough for the write that was not
    /// acknowledged to have taken effect or never to do so.
    pub(crate) fn due(
        &self,
        limit: usize,
        age: Duration,
        now: Instant,
    ) -> Vec<(Box<str>, Waiting)> {
        let ripe = self.keys.iter().filter(|(_, waiting)| now >= waiting.since + age);
        ripe.take(limit).map(|(key, waiting)| (key.clone(), waiting.clone())).collect()
    }

    /// Puts a task off, as if it had just been asked for.
    pub(crate) fn defer(&mut self, key: &str, now: Instant) {
        if let Some(waiting) = self.keys.get_mut(key) {
            waiting.since = now;
        }
    }

    /// Puts off all tasks whose key `is` one of those.
    pub(crate) fn defer_all(&mut self, is: impl Fn(&str) -> bool, now: Instant) {
        for (_, waiting) in self.keys.iter_mut().filter(|(key, _)| is(key)) {
            waiting.since = now;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}

/// Changes of one mark that are remembered one by one.
const MAX_CHANGES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn removal(source: u64) -> Task {
        Task::Remove { source, keep: Duration::from_secs(60) }
    }

    fn clear(pattern: &str) -> MarkChange {
        MarkChange::Clear { pattern: pattern.into(), hard: false }
    }

    fn advance(change: MarkChange) -> Task {
        Task::Advance(vec![change])
    }

    fn task(pending: &Pending, now: Instant) -> Task {
        pending.due(8, Duration::ZERO, now)[0].1.task.clone()
    }
    const LONGEST: Duration = Duration::from_secs(300);

    #[tokio::test]
    async fn a_remembered_key_is_hidden_until_settled() {
        let now = Instant::now();
        let mut pending = Pending::new(2);
        assert!(!pending.remember("a", removal(0), LONGEST, now));
        assert!(pending.hides("a", now));
        assert!(!pending.hides("b", now));
        let (_, waiting) = pending.due(8, Duration::ZERO, now)[0].clone();
        pending.settle("a", waiting.sequence);
        assert!(!pending.hides("a", now));
    }

    #[tokio::test]
    async fn an_older_acknowledgement_does_not_settle_a_newer_removal() {
        let now = Instant::now();
        let mut pending = Pending::new(2);
        let before = pending.sequence();
        pending.remember("a", removal(7), LONGEST, now);
        pending.settle("a", before);
        assert!(pending.hides("a", now));
        pending.remember("a", removal(3), LONGEST, now);
        assert_eq!(task(&pending, now), removal(7), "the newest source stays");
    }

    #[tokio::test]
    async fn overflow_hides_every_key_until_drained_and_expired() {
        let now = Instant::now();
        let mut pending = Pending::new(1);
        pending.remember("a", removal(0), LONGEST, now);
        assert!(pending.remember("b", removal(0), LONGEST, now), "told once");
        assert!(!pending.remember("c", removal(0), LONGEST, now));
        assert!(pending.hides("unrelated", now));
        let (key, waiting) = pending.due(8, Duration::ZERO, now)[0].clone();
        pending.settle(&key, waiting.sequence);
        assert!(pending.hides("b", now + LONGEST / 2), "drained, but `b` may still be there");
        assert!(!pending.hides("b", now + LONGEST));
    }

    #[tokio::test]
    async fn a_removal_waits_out_the_write_it_follows() {
        let now = Instant::now();
        let mut pending = Pending::new(1);
        pending.remember("a", removal(0), LONGEST, now);
        let age = Duration::from_millis(100);
        assert!(pending.due(8, age, now).is_empty());
        assert_eq!(pending.due(8, age, now + age).len(), 1);
    }

    #[tokio::test]
    async fn what_is_put_off_makes_way_for_the_rest() {
        let now = Instant::now();
        let mut pending = Pending::new(8);
        for key in ["a:1", "a:2", "b:1"] {
            pending.remember(key, removal(0), LONGEST, now);
        }
        let age = Duration::from_millis(100);
        pending.defer_all(|key| key.starts_with("a:"), now + age);
        let due = pending.due(8, age, now + age);
        assert_eq!((due.len(), &*due[0].0), (1, "b:1"));
        assert_eq!(pending.due(8, age, now + age * 2).len(), 3);
    }

    #[tokio::test]
    async fn changes_of_a_mark_add_up_and_a_hard_one_covers_them() {
        let now = Instant::now();
        let mut pending = Pending::new(8);
        for change in [clear("a*"), MarkChange::Soft, clear("a*"), clear("b*")] {
            pending.remember("ns#ns", advance(change), LONGEST, now);
        }
        let all = vec![MarkChange::Soft, clear("a*"), clear("b*")];
        assert_eq!(task(&pending, now), Task::Advance(all));
        pending.remember("ns#ns", advance(MarkChange::Hard), LONGEST, now);
        pending.remember("ns#ns", advance(clear("a*")), LONGEST, now);
        assert_eq!(task(&pending, now), advance(MarkChange::Hard));
    }

    #[tokio::test]
    async fn too_many_changes_become_one_of_everything() {
        let now = Instant::now();
        let mut pending = Pending::new(8);
        for pattern in 0..=MAX_CHANGES {
            pending.remember("ns#ns", advance(clear(&pattern.to_string())), LONGEST, now);
        }
        assert_eq!(task(&pending, now), advance(MarkChange::Hard));
    }

    #[tokio::test]
    async fn an_acknowledged_change_settles_no_other_one() {
        let now = Instant::now();
        let mut pending = Pending::new(8);
        pending.remember("ns#ns", advance(clear("a*")), LONGEST, now);
        pending.remember("ns#ns", advance(clear("b*")), LONGEST, now);
        let sequence = pending.sequence();
        pending.settle_advance("ns#ns", sequence, &clear("a*"));
        assert_eq!(task(&pending, now), advance(clear("b*")));
        pending.settle_advance("ns#ns", 0, &clear("b*"));
        assert!(pending.hides("ns#ns", now), "that one began before");
        pending.settle_advance("ns#ns", sequence, &MarkChange::Hard);
        assert!(!pending.hides("ns#ns", now));
    }
}
