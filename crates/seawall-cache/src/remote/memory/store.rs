//! The rules of the store. Pure: time comes in as an argument.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::watchers::Told;
use crate::config::MAX_TTL;
use crate::marks::{Mark, glob};
use crate::record::{self, Peek};
use crate::remote::{Fetched, Fill, Leased, Put, Seen, Ticket};
use crate::text;

pub(super) struct Store {
    records: HashMap<Box<str>, Stored>,
    leases: HashMap<Box<str>, Lease>,
    marks: HashMap<Box<str>, Marked>,
    /// Marks that come back are no older than those that were evicted.
    marks_floor: u64,
    /// The newest version of what was evicted: loads that began before that, and saw nothing, may
    /// have missed it.
    records_floor: u64,
    /// Records that are not tombstones.
    entries: usize,
    capacity: usize,
    epoch: Instant,
    swept: Instant,
}

struct Stored {
    bytes: Bytes,
    /// From then on it is a tombstone.
    expires: Instant,
    /// And from then on nothing.
    dropped: Instant,
    tombstone: bool,
}

struct Lease {
    token: u64,
    /// Whether someone was refused it.
    waited_for: bool,
    ends: Instant,
}

struct Marked {
    mark: Mark,
    expires: Instant,
}

impl Store {
    pub(super) fn new(capacity: usize, now: Instant) -> Self {
        Self {
            records: HashMap::new(),
            leases: HashMap::new(),
            marks: HashMap::new(),
            marks_floor: 0,
            records_floor: 0,
            entries: 0,
            capacity,
            epoch: now,
            swept: now,
        }
    }

    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The clock. It starts far from 0, which stands for absence.
    pub(super) fn micros(&self, now: Instant) -> u64 {
        let before = micros(self.epoch.saturating_duration_since(now));
        let after = micros(now.saturating_duration_since(self.epoch));
        EPOCH_MICROS.saturating_sub(before).saturating_add(after)
    }

    pub(super) fn read(&self, text: &str, now: Instant) -> Fetched {
        let found = self.live(text, now);
        let bytes = found.map(|stored| {
            if stored.expires > now { stored.bytes.clone() } else { record::expired(&stored.bytes) }
        });
        let remaining = found.map(|stored| stored.expires.saturating_duration_since(now));
        Fetched { bytes, remaining: remaining.unwrap_or_default(), now: self.micros(now) }
    }

    pub(super) fn version(&self, text: &str, now: Instant) -> u64 {
        self.peek(text, now).version
    }

    pub(super) fn lease(
        &mut self,
        text: &str,
        seen: Seen,
        token: u64,
        hold: Duration,
        now: Instant,
    ) -> Leased {
        if self.peek(text, now).version != seen.version {
            return Leased::Moved;
        }
        self.clean(now);
        let ends = now + bounded(hold);
        match self.live_lease(text, now) {
            Some(lease) if lease.token != token => {
                lease.waited_for = true;
                Leased::Held { for_at_most: lease.ends - now }
            }
            Some(own) => {
                own.ends = ends;
                Leased::Granted
            }
            None => {
                self.leases.insert(text.into(), Lease { token, waited_for: false, ends });
                Leased::Granted
            }
        }
    }

    pub(super) fn renew(&mut self, text: &str, token: u64, hold: Duration, now: Instant) -> bool {
        let own = self.live_lease(text, now).filter(|lease| lease.token == token);
        own.map(|lease| lease.ends = now + bounded(hold)).is_some()
    }

    pub(super) fn fill(
        &mut self,
        text: &str,
        ticket: Ticket,
        record: &[u8],
        ttl: Duration,
        now: Instant,
    ) -> (Fill, Told) {
        if self.live_lease(text, now).is_some_and(|lease| Some(lease.token) != ticket.token) {
            return (Fill::Fenced, Told::default());
        }
        let mut told = self.end_own_lease(text, ticket.token, now);
        let there = self.peek(text, now);
        let source = record::peek(record).source;
        let waited = Duration::from_micros(self.micros(now).saturating_sub(ticket.seen.at));
        let evicted = ticket.seen.version == 0 && ticket.seen.at <= self.records_floor;
        let fill = if there.version != ticket.seen.version || evicted {
            Fill::Moved
        } else if waited > ticket.keep {
            Fill::Late
        } else if there.tombstone && source < there.source {
            Fill::OldSource
        } else {
            // It replaces a trace, perhaps, for loads that began before that: it stays as long.
            let trace = self.live(text, now).map_or(Duration::ZERO, |there| there.dropped - now);
            let stays = ttl.max(trace.min(ticket.keep));
            let version = self.write(text, record, source, (ttl, stays), now);
            told.changed = Some(version);
            Fill::Stored(version)
        };
        (fill, told)
    }

    pub(super) fn put(
        &mut self,
        text: &str,
        record: &[u8],
        ttl: Duration,
        keep: Duration,
        now: Instant,
    ) -> (Put, Told) {
        let source = record::peek(record).source;
        if source > 0 && self.peek(text, now).source > source {
            return (Put::Superseded, Told::default());
        }
        let version = self.write(text, record, source, (ttl, ttl.max(keep)), now);
        (Put::Stored(version), Told { changed: Some(version), landed: self.end_lease(text, now) })
    }

    pub(super) fn remove(
        &mut self,
        text: &str,
        source: u64,
        keep: Duration,
        now: Instant,
    ) -> (u64, Told) {
        let there = self.peek(text, now);
        let inherits = there.tombstone || source > 0;
        let source = if inherits { source.max(there.source) } else { 0 };
        let tombstone = record::tombstone(text, source);
        let version = self.write(text, &tombstone, source, (keep, keep), now);
        (version, Told { changed: Some(version), landed: self.end_lease(text, now) })
    }

    /// Ends the lease of `text` if it is that of `token`.
    pub(super) fn end_own_lease(&mut self, text: &str, token: Option<u64>, now: Instant) -> Told {
        let own = self.live_lease(text, now).is_some_and(|lease| Some(lease.token) == token);
        Told { changed: None, landed: own && self.end_lease(text, now) }
    }

    /// The mark under `text`, to be advanced: one that is missing may have been anything until now.
    pub(super) fn mark_to_advance(&mut self, text: &str, now: Instant) -> &mut Mark {
        let known = self.marks.get(text).is_some_and(|marked| marked.expires >= now);
        let at = self.micros(now);
        let mark = self.mark(text, now);
        if !known {
            *mark = Mark::new(at.max(mark.version()));
        }
        mark
    }

    /// The mark under `text`, made if it is missing, good for 30 more days.
    pub(super) fn mark(&mut self, text: &str, now: Instant) -> &mut Mark {
        let made = self.micros(now).saturating_sub(micros(Mark::GRACE)).max(self.marks_floor);
        if !self.marks.contains_key(text) {
            self.clean(now);
            self.make_room_for_mark();
        }
        let marked = self
            .marks
            .entry(text.into())
            .or_insert_with(|| Marked { mark: Mark::new(made), expires: now });
        if marked.expires < now {
            marked.mark = Mark::new(made);
        }
        marked.expires = now + MAX_TTL;
        &mut marked.mark
    }

    /// The texts of records, of which some may have expired, that match a glob over plain texts.
    pub(super) fn matching(&self, pattern: &str) -> Vec<Box<str>> {
        let matches =
            |text: &str| text::plain(text).is_some_and(|text| glob::matches(pattern, &text));
        self.records.keys().filter(|text| matches(text)).cloned().collect()
    }

    /// Replaces the entry of `text` by a tombstone if its namespace stamp is older than `before`.
    pub(super) fn sweep(
        &mut self,
        text: &str,
        before: u64,
        keep: Duration,
        now: Instant,
    ) -> Option<Told> {
        let stored = self.live(text, now).filter(|stored| stored.expires > now)?;
        let old = record::namespace_stamp(&stored.bytes)? < before;
        old.then(|| self.remove(text, 0, keep, now).1)
    }

    /// Records, leases, marks.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> [usize; 3] {
        [self.records.len(), self.leases.len(), self.marks.len()]
    }

    fn live(&self, text: &str, now: Instant) -> Option<&Stored> {
        self.records.get(text).filter(|stored| stored.dropped > now)
    }

    fn live_lease(&mut self, text: &str, now: Instant) -> Option<&mut Lease> {
        self.leases.get_mut(text).filter(|lease| lease.ends > now)
    }

    fn peek(&self, text: &str, now: Instant) -> Peek {
        let Some(stored) = self.live(text, now) else { return Peek::default() };
        let there = record::peek(&stored.bytes);
        // Foreign bytes stay foreign.
        let tombstone = there.tombstone || (stored.expires <= now && there != Peek::default());
        Peek { tombstone, ..there }
    }

    /// Ends any lease of `text`. Returns whether someone waited for it.
    fn end_lease(&mut self, text: &str, now: Instant) -> bool {
        self.leases.remove(text).is_some_and(|lease| lease.ends > now && lease.waited_for)
    }

    /// Stores a record that is itself for the first of `ttls`, a tombstone until the second.
    fn write(
        &mut self,
        text: &str,
        record: &[u8],
        source: u64,
        ttls: (Duration, Duration),
        now: Instant,
    ) -> u64 {
        let version = self.micros(now).max(self.peek(text, now).version + 1);
        let (ttl, keep) = (bounded(ttls.0), bounded(ttls.1));
        let bytes = record::stamp(record, version, source, self.micros(now) + micros(ttl));
        let tombstone = record::peek(&bytes).tombstone;
        self.drop_record(text);
        self.clean(now);
        if !tombstone {
            self.make_room();
            self.entries += 1;
        }
        let stored = Stored { bytes, expires: now + ttl, dropped: now + keep, tombstone };
        self.records.insert(text.into(), stored);
        version
    }

    /// Drops what has expired, at most once a second.
    fn clean(&mut self, now: Instant) {
        if now.saturating_duration_since(self.swept) < CLEAN_EVERY {
            return;
        }
        self.swept = now;
        self.records.retain(|_, stored| stored.dropped > now);
        self.leases.retain(|_, lease| lease.ends > now);
        self.marks.retain(|_, marked| marked.expires > now);
        self.entries = self.records.values().filter(|stored| !stored.tombstone).count();
    }

    fn make_room(&mut self) {
        while self.entries >= self.capacity {
            let sample = self.records.iter().filter(|(_, stored)| !stored.tombstone).take(SAMPLE);
            let Some((text, stored)) = sample.min_by_key(|(_, stored)| stored.expires) else {
                return;
            };
            self.records_floor = self.records_floor.max(record::peek(&stored.bytes).version);
            let text = text.clone();
            self.drop_record(&text);
        }
    }

    fn make_room_for_mark(&mut self) {
        if self.marks.len() < self.capacity.max(MIN_MARKS) {
            return;
        }
        let oldest = self.marks.iter().take(SAMPLE).min_by_key(|(_, marked)| marked.mark.version());
        if let Some((text, marked)) = oldest {
            self.marks_floor = self.marks_floor.max(marked.mark.version());
            let text = text.clone();
            self.marks.remove(&text);
        }
    }

    fn drop_record(&mut self, text: &str) {
        if self.records.remove(text).is_some_and(|stored| !stored.tombstone) {
            self.entries -= 1;
        }
    }
}

/// At least a microsecond, since nothing is kept for no time, and at most [`MAX_TTL`].
fn bounded(ttl: Duration) -> Duration {
    ttl.clamp(Duration::from_micros(1), MAX_TTL)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// How many records or marks are compared to find one to evict.
const SAMPLE: usize = 8;

/// Marks that are kept, however small the capacity.
const MIN_MARKS: usize = 1024;

const CLEAN_EVERY: Duration = Duration::from_secs(1);

/// What the clock starts at: 30 days, so that marks made some time ago are after 0.
const EPOCH_MICROS: u64 = 30 * 24 * 3600 * 1_000_000;
