//! The removals a store has not acknowledged. Pure: time comes in as an argument.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// A bounded table of keys to remove. Until a key has left it, the key is not read from the store;
/// if the table ever overflowed, no key is, until it is empty and every record that may have been
/// meant has expired.
#[derive(Debug)]
pub(crate) struct Pending {
    keys: HashMap<Box<str>, Waiting>,
    capacity: usize,
    next: u64,
    overflowed: bool,
    blind_until: Option<Instant>,
}

/// A removal that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Tells this removal of the key from a later one.
    pub(crate) sequence: u64,
    pub(crate) source: u64,
    pub(crate) keep: Duration,
    since: Instant,
}

impl Pending {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { keys: HashMap::new(), capacity, next: 0, overflowed: false, blind_until: None }
    }

    /// Remembers a removal. `longest` is the longest any record may still live.
    /// Returns whether the table has just overflowed.
    pub(crate) fn remember(
        &mut self,
        key: &str,
        source: u64,
        keep: Duration,
        longest: Duration,
        now: Instant,
    ) -> bool {
        if self.keys.len() >= self.capacity && !self.keys.contains_key(key) {
            self.blind_until = self.blind_until.max(Some(now + longest));
            return !std::mem::replace(&mut self.overflowed, true);
        }
        let sequence = self.sequence();
        let source = self.keys.get(key).map_or(source, |known| known.source.max(source));
        self.keys.insert(key.into(), Waiting { sequence, source, keep, since: now });
        false
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

    /// A number greater than that of every removal remembered so far.
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

    /// Up to `limit` removals that have waited for `age`: long enough for the write that was not
    /// acknowledged to have taken effect or never to do so.
    pub(crate) fn due(
        &self,
        limit: usize,
        age: Duration,
        now: Instant,
    ) -> Vec<(Box<str>, Waiting)> {
        let ripe = self.keys.iter().filter(|(_, waiting)| now >= waiting.since + age);
        ripe.take(limit).map(|(key, waiting)| (key.clone(), *waiting)).collect()
    }

    /// Puts a removal off, as if it had just been asked for.
    pub(crate) fn defer(&mut self, key: &str, now: Instant) {
        if let Some(waiting) = self.keys.get_mut(key) {
            waiting.since = now;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Duration = Duration::from_secs(60);
    const LONGEST: Duration = Duration::from_secs(300);

    #[tokio::test]
    async fn a_remembered_key_is_hidden_until_settled() {
        let now = Instant::now();
        let mut pending = Pending::new(2);
        assert!(!pending.remember("a", 0, KEEP, LONGEST, now));
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
        pending.remember("a", 7, KEEP, LONGEST, now);
        pending.settle("a", before);
        assert!(pending.hides("a", now));
        pending.remember("a", 3, KEEP, LONGEST, now);
        assert_eq!(pending.due(8, Duration::ZERO, now)[0].1.source, 7, "the newest source stays");
    }

    #[tokio::test]
    async fn overflow_hides_every_key_until_drained_and_expired() {
        let now = Instant::now();
        let mut pending = Pending::new(1);
        pending.remember("a", 0, KEEP, LONGEST, now);
        assert!(pending.remember("b", 0, KEEP, LONGEST, now), "told once");
        assert!(!pending.remember("c", 0, KEEP, LONGEST, now));
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
        pending.remember("a", 0, KEEP, LONGEST, now);
        let age = Duration::from_millis(100);
        assert!(pending.due(8, age, now).is_empty());
        assert_eq!(pending.due(8, age, now + age).len(), 1);
    }
}
