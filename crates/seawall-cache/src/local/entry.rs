//! What L1 keeps of an entry.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::cell::Cell;
use super::clock::Tick;
use super::table::Item;
use crate::outcome::{Freshness, Got, Layer};

/// An entry before it is in L1: what a load, a back-fill or a write brought. Durations count from
/// `at`.
#[derive(Debug)]
pub(crate) struct Draft<V> {
    /// `None`: it is known that there is none.
    pub(crate) value: Option<Arc<V>>,
    /// When L2 was asked, or when the loader answered: before it, no time of L2's has passed.
    pub(crate) at: Tick,
    /// How long before `at` the value was loaded.
    pub(crate) age: Duration,
    /// Its soft TTL.
    pub(crate) fresh: Duration,
    /// Its hard TTL.
    pub(crate) hard: Duration,
    /// How long L1 may answer without asking L2. `fill` shortens it to what its marks allow.
    pub(crate) l1: Duration,
    /// How long its load took, for the refresh ahead of time. Zero: it is not refreshed early.
    pub(crate) delta: Duration,
    /// Issued by L2; 0 if L2 had no word on it.
    pub(crate) version: u64,
    /// The source version; 0 if unknown.
    pub(crate) source: u64,
    /// The L2 node that has it.
    pub(crate) node: u32,
    /// The namespace's mark when its load began; 0 if it was never known, which is older than all.
    pub(crate) namespace: u64,
    /// Its tags, with what their marks were when its load began.
    pub(crate) tags: Vec<(Arc<Cell>, u64)>,
    /// Whether it was loaded without L2's word on it.
    pub(crate) degraded: bool,
}

impl<V> Draft<V> {
    /// What its reader gets at `at`, while it is fresh.
    pub(crate) fn got(&self, layer: Layer) -> Got<V> {
        let freshness = Freshness::Fresh;
        Got { value: self.value.clone(), layer, age: self.age, freshness, degraded: self.degraded }
    }
}

/// A value, or the knowledge that there is none. 72 bytes; times are milliseconds since `at`,
/// rounded down, so that nothing lives longer than it may.
///
/// The engine holds it in place. A clone is a snapshot: it allocates nothing, and what is changed
/// in it reaches nobody, so what is to last goes through the engine: see
/// [`Local::confirm`](super::Local::confirm).
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Entry<V> {
    // What every hit reads comes first, close together: 40 bytes, 64 with what a hit reads of the
    // engine's slot in front of it if the key has eight.
    /// The epoch of the cache at which it was last known to be right: see [`super::judge`].
    validated: AtomicU64,
    at: Tick,
    fresh: u32,
    l1: u32,
    /// In microseconds, up to [`MOST_DELTA`]. In the highest bit, whether it is degraded.
    delta: u32,
    age: u32,
    value: Option<Arc<V>>,
    /// A write of ours whose echo L2 has still to send.
    awaits_echo: AtomicBool,
    node: u16,
    hard: u32,
    version: u64,
    /// The namespace's mark when its load began, or any later one that did not concern it.
    namespace: AtomicU64,
    /// What few entries have.
    more: Option<Arc<More>>,
}

#[derive(Debug)]
struct More {
    source: u64,
    tags: Box<[(Arc<Cell>, u64)]>,
}

impl<V> Entry<V> {
    /// `validated`: the epoch of the lease it is filled under.
    pub(super) fn new(draft: Draft<V>, validated: u64) -> Self {
        let more = (draft.source > 0 || !draft.tags.is_empty())
            .then(|| Arc::new(More { source: draft.source, tags: draft.tags.into() }));
        Self {
            value: draft.value,
            version: draft.version,
            at: draft.at,
            validated: AtomicU64::new(validated),
            namespace: AtomicU64::new(draft.namespace),
            more,
            age: millis(draft.age),
            fresh: millis(draft.fresh),
            hard: millis(draft.hard),
            l1: millis(draft.l1),
            delta: u32::try_from(draft.delta.as_micros()).unwrap_or(u32::MAX).min(MOST_DELTA)
                | if draft.degraded { DEGRADED } else { 0 },
            node: node(draft.node),
            awaits_echo: AtomicBool::new(false),
        }
    }

    pub(crate) fn value(&self) -> Option<&Arc<V>> {
        self.value.as_ref()
    }

    /// Issued by L2; 0 if L2 had no word on it.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The source version; 0 if unknown.
    pub(crate) fn source(&self) -> u64 {
        self.more.as_ref().map_or(0, |more| more.source)
    }

    /// Its tags with their stamps.
    pub(crate) fn tags(&self) -> &[(Arc<Cell>, u64)] {
        self.more.as_ref().map_or(&[], |more| &more.tags)
    }

    /// The namespace's stamp.
    pub(crate) fn namespace(&self) -> u64 {
        self.namespace.load(Ordering::Relaxed)
    }

    /// The mark it was compared with has version `stamp` and did not concern it.
    pub(super) fn raise_namespace(&self, stamp: u64) {
        self.namespace.fetch_max(stamp, Ordering::Relaxed);
    }

    /// When L2 was asked for it, or its loader answered.
    pub(super) fn at(&self) -> Tick {
        self.at
    }

    pub(super) fn node(&self) -> u16 {
        self.node
    }

    /// Whether it was loaded without L2's word on it.
    pub(crate) fn degraded(&self) -> bool {
        self.delta & DEGRADED != 0
    }

    /// How long its load took.
    pub(crate) fn delta(&self) -> Duration {
        Duration::from_micros(self.delta_micros())
    }

    fn delta_micros(&self) -> u64 {
        u64::from(self.delta & MOST_DELTA)
    }

    /// When its soft TTL ends.
    pub(crate) fn fresh_until(&self) -> Tick {
        self.at.plus(Duration::from_millis(u64::from(self.fresh)))
    }

    /// When its hard TTL ends: past it, it is not served in any case.
    pub(crate) fn expires(&self) -> Tick {
        self.at.plus(Duration::from_millis(u64::from(self.hard)))
    }

    /// How long ago its value was loaded.
    pub(crate) fn age(&self, now: Tick) -> Duration {
        Duration::from_nanos(self.age_nanos(now))
    }

    pub(super) fn age_nanos(&self, now: Tick) -> u64 {
        now.nanos_since(self.at).saturating_add(nanos(self.age))
    }

    /// What time says of it. `ahead`: nanoseconds before the end of its soft TTL, per microsecond
    /// of its delta, at which it may be refreshed.
    pub(super) fn phase(&self, now: Tick, ahead: u64) -> Phase {
        let past = now.nanos_since(self.at);
        if past >= nanos(self.fresh.min(self.l1)) {
            return if past >= nanos(self.hard) {
                Phase::Expired
            } else if past >= nanos(self.l1) {
                Phase::Recheck
            } else {
                Phase::Stale
            };
        }
        if past.saturating_add(self.delta_micros().saturating_mul(ahead)) >= nanos(self.fresh) {
            Phase::Early
        } else {
            Phase::Fresh
        }
    }

    pub(super) fn validated(&self) -> u64 {
        self.validated.load(Ordering::Relaxed)
    }

    pub(super) fn validate(&self, epoch: u64) {
        self.validated.fetch_max(epoch, Ordering::Relaxed);
    }

    /// Before it is in L1.
    pub(super) fn set_validated(&mut self, epoch: u64) {
        *self.validated.get_mut() = epoch;
    }

    /// Before it is in L1: L1 does not answer with it past `at`.
    pub(super) fn recheck_at(&mut self, at: Tick) {
        self.l1 = self.l1.min(millis(at.since(self.at)));
    }

    /// The value of one that is its reader's own.
    #[cfg(feature = "quick")]
    pub(super) fn take_value(&mut self) -> Option<Arc<V>> {
        self.value.take()
    }

    /// What its reader gets while it is fresh.
    pub(crate) fn got(&self, layer: Layer, now: Tick) -> Got<V> {
        let (age, freshness) = (self.age(now), Freshness::Fresh);
        Got { value: self.value.clone(), layer, age, freshness, degraded: self.degraded() }
    }
}

// By hand: a derive would ask for `V: Clone`, and atomics have none.
impl<V> Clone for Entry<V> {
    fn clone(&self) -> Self {
        Self {
            validated: AtomicU64::new(self.validated()),
            value: self.value.clone(),
            awaits_echo: AtomicBool::new(self.awaits_echo.load(Ordering::Relaxed)),
            namespace: AtomicU64::new(self.namespace()),
            more: self.more.clone(),
            ..*self
        }
    }
}

/// Where an entry stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Fresh,
    /// Fresh, and near enough to its end that a read may refresh it.
    Early,
    /// Past its soft TTL.
    Stale,
    /// L1 has had it for as long as it may without asking L2; fresh or stale.
    Recheck,
    /// Past its hard TTL.
    Expired,
}

impl<V> Item for Entry<V> {
    fn version(&self) -> u64 {
        self.version
    }

    fn source(&self) -> u64 {
        Entry::source(self)
    }

    fn await_echo(&self) {
        self.awaits_echo.store(true, Ordering::Relaxed);
    }

    fn take_echo(&self) -> bool {
        self.awaits_echo.swap(false, Ordering::Relaxed)
    }

    /// Told by what does not change: the version, the moment, the value and the tags, the latter
    /// two by where they are. A twin that passes for the other is the same record of L2, read twice
    /// in one nanosecond, or, without a version, the same knowledge that there is nothing. What is
    /// said of one then holds for the other; to remove it costs a load at worst.
    fn is(&self, other: &Self) -> bool {
        self.version == other.version
            && self.at == other.at
            && self.node == other.node
            && same(self.value.as_ref(), other.value.as_ref())
            && same(self.more.as_ref(), other.more.as_ref())
    }
}

/// Nodes past 65 534 share one state. Clusters have a thousand at most.
pub(super) fn node(node: u32) -> u16 {
    u16::try_from(node).unwrap_or(u16::MAX)
}

fn same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    one.map(Arc::as_ptr) == other.map(Arc::as_ptr)
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

fn nanos(millis: u32) -> u64 {
    u64::from(millis) * 1_000_000
}

/// Half an hour: who loads for longer has other ways to be early.
const MOST_DELTA: u32 = u32::MAX >> 1;

const DEGRADED: u32 = !MOST_DELTA;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::Clock;

    fn draft(at: Tick) -> Draft<u64> {
        let second = Duration::from_secs(1);
        Draft {
            value: Some(Arc::new(7)),
            at,
            age: Duration::ZERO,
            fresh: second,
            hard: second * 2,
            l1: second * 3,
            delta: Duration::ZERO,
            version: 1,
            source: 0,
            node: 0,
            namespace: 1,
            tags: Vec::new(),
            degraded: false,
        }
    }

    #[test]
    fn an_entry_takes_little_room() {
        assert_eq!(size_of::<Entry<u64>>(), 72);
        assert!(Entry::new(draft(Tick::FIRST), 1).more.is_none(), "what few entries have");
    }

    #[tokio::test]
    async fn no_entry_lives_longer_than_it_may() {
        let at = Clock::exact().now();
        let odd = Duration::from_micros(1_999);
        let entry = Entry::new(Draft { fresh: odd, hard: odd, ..draft(at) }, 1);
        assert_eq!(entry.phase(at.plus(Duration::from_micros(999)), 0), Phase::Fresh);
        assert_eq!(entry.phase(at.plus(Duration::from_millis(1)), 0), Phase::Expired);
        let brief = Duration::from_micros(999);
        let entry = Entry::new(Draft { fresh: brief, hard: brief, ..draft(at) }, 1);
        assert_eq!(entry.phase(at, 0), Phase::Expired);
    }

    #[tokio::test]
    async fn odd_durations_make_no_entry_that_lives_for_ever_and_no_panic() {
        let at = Clock::exact().now();
        let most = Duration::MAX;
        let entry =
            Draft { age: most, fresh: most, hard: most, l1: most, delta: most, ..draft(at) };
        let entry = Entry::new(entry, 1);
        let year = Duration::from_secs(365 * 86_400);
        assert_eq!(entry.phase(at.plus(year), u64::MAX), Phase::Expired);
        assert_eq!(entry.phase(at, u64::MAX), Phase::Early);
        assert_eq!(entry.phase(Tick::NEVER, 0), Phase::Expired);
        assert!(!entry.degraded() && entry.delta() > Duration::from_secs(1_800));
    }

    #[tokio::test]
    async fn a_clock_that_has_not_come_to_the_entry_yet_finds_it_fresh() {
        let at = Clock::exact().now();
        let later = at.plus(Duration::from_secs(1));
        assert_eq!(Entry::new(draft(later), 1).phase(at, 0), Phase::Fresh);
        assert_eq!(Entry::new(draft(later), 1).age(at), Duration::ZERO);
    }

    #[test]
    fn many_nodes_share_the_last_state() {
        assert_eq!(
            (node(0), node(65_534), node(65_535), node(u32::MAX)),
            (0, 65_534, u16::MAX, u16::MAX)
        );
    }
}
