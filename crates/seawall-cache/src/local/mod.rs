//! L1: entries in memory, what keeps stale ones out, and the loads in flight. All of it
//! synchronous: nothing here waits, and L2 is asked by others.
//!
//! Reads touch the engine, one entry and one atomic only. See `docs/protocol.md` for how the parts
//! work together:
//! - [`table`]: fences per key, single flight. Everything that writes an entry first takes a
//!   [`Lease`] on its key.
//! - [`coherence`]: the epoch of the cache, which moves when many entries may be concerned, and
//!   the links over which L2 tells of changes.
//! - [`cells`]: what is known of the marks of tags and of the namespace.
//! - [`judge`]: whether an entry from an earlier epoch is still right.
//! - [`watch`]: what L2 tells; [`checks`]: what must be compared with L2 in the background.

mod cell;
mod cells;
mod checks;
mod clock;
mod coherence;
pub(crate) mod engine;
mod entry;
mod flights;
mod judge;
mod lease;
mod look;
mod options;
mod plain;
mod shelf;
mod sweep;
pub(crate) mod table;
mod watch;

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use foldhash::fast::RandomState;

pub(crate) use self::cell::{Advance, Ask, Cell};
use self::cells::Cells;
pub(crate) use self::checks::Check;
use self::checks::Checks;
pub(crate) use self::clock::{Clock, Tick};
pub(crate) use self::coherence::{Coherence, Mode};
use self::engine::{AnyEngine, Engine as _, own};
use self::entry::Phase;
pub(crate) use self::entry::{Draft, Entry};
pub(crate) use self::flights::Flight;
use self::flights::{Begun, Landed};
use self::judge::Right;
pub(crate) use self::judge::Stamped;
pub(crate) use self::lease::{Join, Lease};
pub(crate) use self::look::Look;
pub(crate) use self::options::Options;
pub(crate) use self::plain::Plain;
use self::shelf::Store;
pub(crate) use self::shelf::Weigher;
pub(crate) use self::table::Kept;
use self::table::{Item as _, Table};
use crate::budget::Member;
use crate::key::CacheKey;
use crate::marks::{Mark, MarkChange};
use crate::stats::Filling;
use crate::text;

/// L1 of one cache. `R` is what a load in flight will answer.
pub(crate) struct Local<K, V, R> {
    name: Box<str>,
    table: Table<K, Store<K, V>, Begun<R>, Landed, RandomState>,
    coherence: Coherence,
    cells: Cells,
    checks: Checks<K, V>,
    clock: Clock,
    /// How far ahead of its end an entry may be refreshed: nanoseconds per microsecond of its
    /// delta.
    ahead: u64,
    /// For how long a mark is good that nobody tells the changes of.
    mark_bound: Duration,
    /// Versions for caches without an L2.
    versions: AtomicU64,
    /// A change was told of a key that cannot be read from its text.
    unreadable: AtomicBool,
}

impl<K, V, R> Local<K, V, R>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    pub(crate) fn new(options: Options<K, V>) -> Self {
        let hasher = RandomState::default();
        let clock = options.clock;
        let mode = if options.remote { Mode::Timed } else { Mode::Alone };
        let mark = (mode == Mode::Alone).then(|| Mark::new(FIRST_VERSION));
        let text = text::namespace(&options.namespace);
        let namespace = Cell::new(&text, entry::node(options.node), mark, Tick::FIRST);
        let store = Store::new(options.engine, options.capacity, options.weigher, clock);
        let bound = options.max_staleness.map_or(options.l1_ttl, |max| max.min(options.l1_ttl));
        Self {
            name: options.namespace.into(),
            table: Table::new(store, STRIPES, hasher),
            coherence: Coherence::new(mode, options.max_staleness),
            // A load may wait for another node for as long as its loader may then run.
            cells: Cells::new(namespace, options.load_timeout.saturating_mul(2)),
            checks: Checks::new(),
            clock,
            ahead: (options.refresh_beta.max(0.0) * FARTHEST * 1_000.0) as u64,
            mark_bound: bound,
            versions: AtomicU64::new(FIRST_VERSION),
            unreadable: AtomicBool::new(false),
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn coherence(&self) -> &Coherence {
        &self.coherence
    }

    /// What L1 has of `key` at `now`.
    #[cfg(test)]
    pub(crate) fn look<Q>(&self, key: &Q, now: Tick) -> Look<V>
    where
        K: Borrow<Q>,
        Q: CacheKey + ?Sized,
    {
        match self.hit(key, now) {
            Ok(_) => self.table.shelf().look(key).map_or(Look::Miss, Look::Hit),
            Err(looked) => looked.0,
        }
    }

    /// A hit on `key` at `now`; else what L1 has of it, which may be a [`Look::Hit`] too, one that
    /// was not plain, and the exact time by which that is so. `now` may be the clock's
    /// [`latest`](Clock::latest): what is not plain by that is looked at again by the exact time.
    ///
    /// The hot path: one look-up in the engine, two atomics that are seldom written, no lock, no
    /// allocation, no clone but that of the value. Only a hit that is the first of its entry since
    /// the epoch moved does more.
    ///
    /// The engine hands out two words, and what is not plain goes another way: a result through
    /// memory would cost as much as the look-up, since the processor cannot load in one piece what
    /// was just stored in several.
    #[inline]
    pub(crate) fn hit<Q>(&self, key: &Q, now: Tick) -> Result<Plain<V>, Box<(Look<V>, Tick)>>
    where
        K: Borrow<Q>,
        Q: CacheKey + ?Sized,
    {
        let mut odd = None;
        let found =
            self.table.shelf().engine().read(key, |entry| match entry.phase(now, self.ahead) {
                Phase::Fresh if self.vouches(&entry, now) => {
                    Plain::of(entry, self.clock.earliest(now))
                }
                phase => {
                    odd = Some(Box::new((own(entry), phase)));
                    Plain::NONE
                }
            });
        match (found, odd) {
            (Some(plain), None) => Ok(plain),
            (_, odd) => Err(self.look_at(key, odd, now)),
        }
    }

    #[cold]
    fn look_at<Q>(&self, key: &Q, odd: Option<Odd<V>>, now: Tick) -> Box<(Look<V>, Tick)>
    where
        K: Borrow<Q>,
        Q: CacheKey + ?Sized,
    {
        let coarse = self.clock.is_coarse();
        let now = if coarse { self.clock.now() } else { now };
        let look = match odd.map(|odd| *odd) {
            Some((entry, phase)) => {
                // By a coarse clock it may only have seemed to be over.
                let phase = if coarse { entry.phase(now, self.ahead) } else { phase };
                self.look_closer(key, entry, phase, now)
            }
            None => Look::Miss,
        };
        Box::new((look, now))
    }

    /// What L1 has of `key` at `now`; the engine does not learn of it.
    pub(crate) fn peek<Q>(&self, key: &Q, now: Tick) -> Look<V>
    where
        K: Borrow<Q>,
        Q: CacheKey + ?Sized,
    {
        match self.table.shelf().look(key) {
            Some(entry) => {
                let phase = entry.phase(now, self.ahead);
                self.look_closer(key, entry, phase, now)
            }
            None => Look::Miss,
        }
    }

    /// Whether `entry` needs no closer look.
    #[inline]
    fn vouches(&self, entry: &Entry<V>, now: Tick) -> bool {
        entry.validated() == self.coherence.epoch() && self.coherence.is_trusted(now)
    }

    /// A lease on `key`, for a back-fill or a write.
    pub(crate) fn lease(self: &Arc<Self>, key: K) -> Lease<K, V, R> {
        // Before the fences: what happens in between is then seen by one of the two.
        let epoch = self.coherence.epoch();
        let hold = self.table.hold(&key);
        Lease::new(self, key, hold, epoch)
    }

    /// L2 was asked for the version of `entry`, of `key`: it is `there`, a node and a version.
    /// `epoch`: the cache's before L2 was asked. Another version: the entry goes. On another node
    /// too: the one that tells of it would not be heeded. The same, and its marks are
    /// known (so tell their cells first): nothing from before that epoch is held against it any
    /// more. Returns whether L2 has the same, and no mark says that it is gone.
    pub(crate) fn settle(
        &self,
        key: &K,
        entry: &Entry<V>,
        there: (u32, u64),
        epoch: u64,
        now: Tick,
    ) -> bool {
        // It may have been looked at since it was copied.
        let known = self.table.shelf().look(key).filter(|known| known.is(entry));
        let entry = known.as_ref().unwrap_or(entry);
        let (stamped, validated) = self.validation(key, entry, entry.validated(), epoch, now);
        let (node, version) = there;
        let on_it = entry.node() == entry::node(node);
        let same = entry.version() > 0 && entry.version() == version && on_it;
        if !same || stamped == Stamped::Gone {
            self.discard(key, entry);
            return false;
        }
        if stamped == Stamped::Fresh {
            self.confirm(key, entry, Right { epoch: validated, namespace: 0 });
        }
        true
    }

    /// Removes `entry` if it is still there; voids nothing. Returns whether it was.
    pub(crate) fn discard(&self, key: &K, entry: &Entry<V>) -> bool {
        self.table.discard(key, entry)
    }

    /// The cell of the namespace's mark.
    pub(crate) fn namespace(&self) -> &Arc<Cell> {
        self.cells.namespace()
    }

    /// The cell of the tag whose mark is `text` and lies on `node`. To be held for as long as what
    /// it knows matters: by the entries that have the tag, and by whoever reads or advances it.
    pub(crate) fn tag(&self, text: &str, node: u32) -> Arc<Cell> {
        let mark = (self.coherence.mode() == Mode::Alone).then(|| Mark::new(FIRST_VERSION));
        self.cells.tag(text, entry::node(node), mark)
    }

    /// The stamp of `cell` for a load that began at `began`. `None`: ask L2, for the mark before
    /// the load, or with `began` for one that has not moved since; without an L2, the entry
    /// cannot be kept.
    pub(crate) fn stamp(&self, cell: &Cell, began: Tick) -> Option<u64> {
        cell.stamp(&self.coherence, began, self.mark_bound)
    }

    /// To be called right before L2 is asked for a mark.
    pub(crate) fn ask(&self, now: Tick) -> Ask {
        Cell::ask(&self.coherence, now)
    }

    /// L2 answered `mark` for `cell`. `held`: since when that is known to have been it; the moment
    /// the answer came, or an earlier one for a mark that was
    /// [`unmoved`](crate::MarkRead::unmoved) since. Returns whether the answer is good to compare
    /// entries with: it is not if the mark changed after it was asked for, or a younger answer is
    /// in. A read that asked for it itself may use it all the same: see [`compare`](Self::compare).
    pub(crate) fn learn(&self, cell: &Cell, ask: Ask, mark: Mark, held: Tick) -> bool {
        cell.learn(&self.coherence, ask, mark, held)
    }

    /// Begins to advance the mark of `cell` in L2: from now on entries from before are gone or
    /// stale here, whatever L2 says or fails to say; also those that are read from L2, until
    /// [`advanced`](Self::advanced) is called. For that the caller keeps the cell and repeats the
    /// advance until L2 acknowledges it.
    pub(crate) fn begin_advance(&self, cell: &Cell, change: MarkChange, now: Tick) -> Advance {
        cell.begin(&self.coherence, now, change)
    }

    /// L2 acknowledged the advance, and the mark is now `mark`. `now`: when the answer came.
    pub(crate) fn advanced(&self, cell: &Arc<Cell>, advance: Advance, mark: Mark, now: Tick) {
        if cell.advanced(&self.coherence, advance, mark, now) {
            self.queue(Check::Mark(Arc::clone(cell)));
        }
        self.remember(cell, now);
    }

    /// For loads that began before the advance of `cell`, do not hold it yet, and cannot ask L2
    /// when they do.
    fn remember(&self, cell: &Arc<Cell>, now: Tick) {
        if !Arc::ptr_eq(cell, self.cells.namespace()) {
            self.cells.remember(cell, now);
        }
    }

    /// The stamp of `cell` for a load that began at `began`, if L2 cannot be asked: what was known
    /// then, right or not; 0 if nothing was. `None`: it was advanced since, or may have been here.
    pub(crate) fn guess(&self, cell: &Cell, began: Tick) -> Option<u64> {
        cell.known_at(began).filter(|stamp| *stamp > 0 || self.cells.forgotten() < began)
    }

    /// Without an L2: advances the mark of `cell` at `now`.
    pub(crate) fn advance_alone(&self, cell: &Arc<Cell>, change: MarkChange, now: Tick) {
        cell.advance_alone(&self.coherence, self.next_version(), change, now);
        self.remember(cell, now);
    }

    /// Who comes from now on joins no load that began before: many entries were invalidated, and
    /// which ones a load concerns is not known before its end.
    pub(crate) fn displace(&self) {
        self.table.displace();
    }

    /// From now on the remote tells of changes.
    pub(crate) fn watched(&self) {
        self.coherence.watched();
    }

    /// A version newer than all before, for caches without an L2.
    pub(crate) fn next_version(&self) -> u64 {
        self.versions.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Waits until something must be compared with L2. One waiter.
    pub(crate) async fn checks(&self) {
        self.checks.filled().await;
    }

    /// What must be compared with L2, oldest first. The caller asks L2 and then calls
    /// [`settle`](Self::settle) or [`learn`](Self::learn); if L2 does not answer,
    /// [`discard`](Self::discard) or [`doubt`](Self::doubt); and
    /// [`settle_marks`](Self::settle_marks) in the end.
    pub(crate) fn take_checks(&self, at_most: usize) -> Vec<Check<K, V>> {
        self.checks.take(at_most)
    }

    /// The mark of `cell` could not be read although it may have changed: it is not known.
    pub(crate) fn doubt(&self, cell: &Cell) {
        cell.doubt(&self.coherence);
    }

    /// Nothing in L1 is trusted from here on before its version was compared.
    pub(crate) fn distrust(&self) {
        self.coherence.lost(None);
        self.displace();
    }

    /// The engine, for its capacity and its housekeeping. Entries go in through leases only.
    pub(crate) fn engine(&self) -> &AnyEngine<K, Entry<V>> {
        self.table.shelf().engine()
    }

    /// Entries, roughly: expired ones count until they are evicted or swept.
    pub(crate) fn len(&self) -> u64 {
        self.table.shelf().engine().len()
    }

    pub(crate) fn filling(&self) -> Filling {
        let engine = self.table.shelf().engine();
        let (entries, weight) = (engine.len(), engine.weight());
        Filling { entries, weight, evictions: engine.evicted() }
    }

    /// Keys with leases: 0 when nothing is in flight.
    #[cfg(test)]
    pub(crate) fn leased(&self) -> usize {
        self.table.held()
    }

    fn check_later(&self, key: K, entry: Entry<V>) {
        self.queue(Check::Entry(key, entry));
    }

    fn queue(&self, check: Check<K, V>) {
        if !self.checks.push(check) {
            self.distrust();
        }
    }

    /// Until when the marks of `entry` are good, where only time says so.
    fn timed_until(&self, entry: &Entry<V>) -> Option<Tick> {
        let cells = entry.tags().iter().map(|(cell, _)| cell).chain([self.cells.namespace()]);
        cells.filter_map(|cell| cell.timed_until(&self.coherence, self.mark_bound)).min()
    }
}

impl<K, V, R> fmt::Debug for Local<K, V, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").field("coherence", &self.coherence).finish_non_exhaustive()
    }
}

impl<K, V, R> Member for Local<K, V, R>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
    R: Send + Sync + 'static,
{
    fn used(&self) -> u64 {
        self.engine().weight()
    }

    fn capacity(&self) -> u64 {
        self.engine().capacity()
    }

    fn most(&self) -> u64 {
        self.engine().most()
    }

    fn set_capacity(&self, capacity: u64) {
        self.engine().set_capacity(capacity);
    }

    fn settle(&self) -> bool {
        self.engine().upkeep()
    }
}

/// An entry that is no plain hit, and why if it is time.
type Odd<V> = Box<(Entry<V>, Phase)>;

/// Locks that misses and writes spread over.
const STRIPES: usize = 64;

/// Marks of caches without an L2 begin with this version.
const FIRST_VERSION: u64 = 1;

/// XFetch begins where a draw would have to be under e^-16, one in nine million.
const FARTHEST: f64 = 16.0;

#[cfg(test)]
mod tests;
