//! Counts, for `Cache::stats` and for the `metrics` facade.

mod striped;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use self::striped::Striped;
use crate::local::Tick;
use crate::outcome::{Got, Layer};
use crate::record::Damage;
use crate::remote::RemoteError;

/// What a cache has done since it was built. Reads and writes of other threads go on meanwhile,
/// so the numbers are not one consistent moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Reads that L1 answered.
    pub l1_hits: u64,
    /// Reads that L2 answered, those that joined one included.
    pub l2_hits: u64,
    /// Reads that neither could answer.
    pub misses: u64,
    /// Loader runs.
    pub loads: u64,
    /// Loader runs that failed, panicked or timed out.
    pub load_errors: u64,
    /// Calls to L2 that failed or were not made because it is out of reach.
    pub l2_errors: u64,
    /// Records in L2 that were not valid entries of this cache.
    pub corrupt: u64,
    /// Loads and back-fills not kept, because the key was written, removed or cleared meanwhile or
    /// the loader's source was too old.
    pub refused_fills: u64,
    /// Reads that were answered past the TTL; they count as hits too.
    pub stale: u64,
    /// Loads that no caller waited for: ahead of the TTL, or behind a stale answer.
    pub refreshes: u64,
    /// Times this node waited for another to load a key.
    pub lease_waits: u64,
    /// Entries of L1 that were compared with L2 in the background and had changed there.
    pub dropped: u64,
    /// Entries in L1, roughly; expired ones count until they are evicted.
    pub entries: u64,
    /// The sum of their weights: bytes, if the cache has a weigher, else as many as entries.
    pub weight: u64,
    /// Entries that made room for others.
    pub evictions: u64,
}

/// How full L1 is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Filling {
    pub(crate) entries: u64,
    pub(crate) weight: u64,
    pub(crate) evictions: u64,
}

/// How a loader run ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LoadEnd {
    Ok,
    Failed,
    Panicked,
    TimedOut,
}

/// Why something was not kept.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refusal {
    /// Written or removed on this node meanwhile.
    L1,
    /// Written or removed on another node meanwhile.
    L2,
    /// The loader's source is older than the last removal asks for.
    Source,
    /// A tag of it was invalidated meanwhile, or is not valid.
    Tag,
    /// This node had lost its lease.
    Fenced,
}

/// What became of a wish to load a key of L2.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LeaseEnd {
    Granted,
    Held,
    Moved,
    Error,
    /// It ended while the loader ran.
    Lost,
}

/// The counters of one cache. Handles are looked up once, when the cache is built.
pub(crate) struct Counters {
    cache: String,
    /// By [`hit_kind`]. These alone are counted on the hot path.
    l1: Striped<3>,
    l2_hits: Count,
    l2_absent: Count,
    l2_stale: Count,
    loaded: Count,
    loaded_absent: Count,
    loaded_stale: Count,
    failed: Count,
    missed: Count,
    loads: [Count; 4],
    load_seconds: Histogram,
    refused: [Count; 5],
    refreshes: [Count; 2],
    leases: [Count; 5],
    lease_waits: AtomicU64,
    lease_wait_seconds: Histogram,
    kept: Count,
    dropped: Count,
    unchecked: Count,
    staleness: Gauge,
    /// `cache_hits_total` of L2, if it is asked for.
    alias: Option<Counter>,
    l2_errors: AtomicU64,
    corrupt: AtomicU64,
    entries: Gauge,
    weight: Gauge,
    evictions: Counter,
}

impl Counters {
    pub(crate) fn new(cache: &str, hits_alias: bool) -> Self {
        describe();
        let request = |layer: &'static str, result: &'static str| {
            Count::new(counter!("seawall_cache_requests_total",
                "cache" => cache.to_owned(), "layer" => layer, "result" => result))
        };
        let l1 = |result: &'static str| {
            counter!("seawall_cache_requests_total",
                "cache" => cache.to_owned(), "layer" => "l1", "result" => result)
        };
        let load = |result: &'static str| {
            Count::new(counter!("seawall_cache_loads_total",
                "cache" => cache.to_owned(), "result" => result))
        };
        let refresh = |reason: &'static str| {
            Count::new(counter!("seawall_cache_refreshes_total",
                "cache" => cache.to_owned(), "reason" => reason))
        };
        let lease = |result: &'static str| {
            Count::new(counter!("seawall_cache_leases_total",
                "cache" => cache.to_owned(), "result" => result))
        };
        let revalidated = |result: &'static str| {
            Count::new(counter!("seawall_cache_revalidations_total",
                "cache" => cache.to_owned(), "result" => result))
        };
        let alias = |level: &'static str| counter!("cache_hits_total", "level" => level, "key_type" => cache.to_owned());
        let refused = |reason: &'static str| {
            Count::new(counter!("seawall_cache_refused_fills_total",
                "cache" => cache.to_owned(), "reason" => reason))
        };
        Self {
            l1: Striped::new(["hit", "absent", "stale"].map(l1), hits_alias.then(|| alias("l1"))),
            l2_hits: request("l2", "hit"),
            l2_absent: request("l2", "absent"),
            l2_stale: request("l2", "stale"),
            loaded: request("loader", "hit"),
            loaded_absent: request("loader", "absent"),
            loaded_stale: request("loader", "stale"),
            failed: request("loader", "error"),
            missed: request("l2", "miss"),
            loads: ["ok", "error", "panicked", "timed_out"].map(load),
            load_seconds: histogram!("seawall_cache_load_seconds", "cache" => cache.to_owned()),
            refused: ["l1", "l2", "source", "tag", "fenced"].map(refused),
            refreshes: ["early", "stale"].map(refresh),
            leases: ["granted", "held", "moved", "error", "lost"].map(lease),
            lease_waits: AtomicU64::new(0),
            lease_wait_seconds: histogram!("seawall_cache_lease_wait_seconds",
                "cache" => cache.to_owned()),
            kept: revalidated("kept"),
            dropped: revalidated("dropped"),
            unchecked: revalidated("error"),
            staleness: gauge!("seawall_cache_staleness_seconds", "cache" => cache.to_owned()),
            alias: hits_alias.then(|| alias("l2")),
            l2_errors: AtomicU64::new(0),
            corrupt: AtomicU64::new(0),
            entries: gauge!("seawall_cache_entries", "cache" => cache.to_owned()),
            weight: gauge!("seawall_cache_weight", "cache" => cache.to_owned()),
            evictions: counter!("seawall_cache_evictions_total", "cache" => cache.to_owned()),
            cache: cache.to_owned(),
        }
    }

    /// A read found its answer in L1 at `now`, fresh; `absent`: that there is no value. The hot
    /// path.
    #[inline]
    pub(crate) fn hit(&self, absent: bool, now: Tick) {
        self.l1.add(usize::from(absent), now);
    }

    /// A read got its answer, later.
    pub(crate) fn answered<V>(&self, got: &Got<V>) {
        let counts = match got.layer {
            Layer::L1 => return self.l1.add_at_once(hit_kind(got)),
            Layer::L2 => [&self.l2_hits, &self.l2_absent, &self.l2_stale],
            Layer::Loader => [&self.loaded, &self.loaded_absent, &self.loaded_stale],
        };
        counts[hit_kind(got)].add();
        if let Some(alias) = &self.alias
            && got.layer == Layer::L2
        {
            alias.increment(1);
        }
    }

    /// A read with a loader ended.
    pub(crate) fn ended<V, E>(&self, ended: &Result<Got<V>, E>) {
        match ended {
            Ok(got) => self.answered(got),
            Err(_) => self.failed.add(),
        }
    }

    /// A read without a loader found nothing.
    pub(crate) fn missed(&self) {
        self.missed.add();
    }

    pub(crate) fn load_ended(&self, end: LoadEnd, took: Duration) {
        self.loads[end as usize].add();
        self.load_seconds.record(took.as_secs_f64());
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        self.refused[refusal as usize].add();
    }

    /// A load began that no caller waits for: `early`, or else behind a stale answer.
    pub(crate) fn refreshing(&self, early: bool) {
        self.refreshes[usize::from(!early)].add();
    }

    pub(crate) fn leased(&self, end: LeaseEnd) {
        self.leases[end as usize].add();
    }

    pub(crate) fn lease_waited(&self, waited: Duration) {
        self.lease_waits.fetch_add(1, Ordering::Relaxed);
        self.lease_wait_seconds.record(waited.as_secs_f64());
    }

    /// An entry was compared with L2; `same`: it stays.
    pub(crate) fn revalidated(&self, same: bool) {
        if same { &self.kept } else { &self.dropped }.add();
    }

    /// An entry could not be compared with L2.
    pub(crate) fn not_revalidated(&self) {
        self.unchecked.add();
    }

    pub(crate) fn staleness(&self, staleness: Duration) {
        self.staleness.set(staleness.as_secs_f64());
    }

    // These are off every fast path and have many labels: looked up when they happen.

    pub(crate) fn l2_error(&self, kind: &'static str) {
        self.l2_errors.fetch_add(1, Ordering::Relaxed);
        counter!("seawall_cache_l2_errors_total", "cache" => self.cache.clone(), "kind" => kind)
            .increment(1);
    }

    pub(crate) fn remote_error(&self, error: &RemoteError) {
        self.l2_error(error.as_str());
        tracing::debug!(cache = self.cache, error = error as &dyn std::error::Error, "L2 failed");
    }

    pub(crate) fn corrupt(&self, damage: Damage) {
        self.corrupt.fetch_add(1, Ordering::Relaxed);
        counter!("seawall_cache_corrupt_total",
            "cache" => self.cache.clone(), "reason" => damage.as_str())
        .increment(1);
    }

    /// A stale answer was given because `layer` was slow.
    pub(crate) fn soft_timeout(&self, layer: Layer) {
        counter!("seawall_cache_soft_timeouts_total",
            "cache" => self.cache.clone(), "layer" => layer.as_str())
        .increment(1);
    }

    /// An invalidation was asked for.
    pub(crate) fn invalidated(&self, kind: &'static str) {
        counter!("seawall_cache_invalidations_total",
            "cache" => self.cache.clone(), "kind" => kind)
        .increment(1);
    }

    pub(crate) fn filling(&self, filling: Filling) {
        self.l1.flush();
        self.entries.set(filling.entries as f64);
        self.weight.set(filling.weight as f64);
        self.evictions.absolute(filling.evictions);
    }

    pub(crate) fn snapshot(&self, filling: Filling) -> Stats {
        self.l1.flush();
        let loaded = self.loaded.get() + self.loaded_absent.get() + self.failed.get();
        let [l1_hits, l1_absent, l1_stale] = [0, 1, 2].map(|kind| self.l1.get(kind));
        let stale = [l1_stale, self.l2_stale.get(), self.loaded_stale.get()];
        Stats {
            l1_hits: l1_hits + l1_absent + l1_stale,
            l2_hits: self.l2_hits.get() + self.l2_absent.get() + stale[1],
            misses: loaded + self.missed.get(),
            loads: self.loads.iter().map(Count::get).sum(),
            load_errors: self.loads[1..].iter().map(Count::get).sum(),
            l2_errors: self.l2_errors.load(Ordering::Relaxed),
            corrupt: self.corrupt.load(Ordering::Relaxed),
            refused_fills: self.refused.iter().map(Count::get).sum(),
            stale: stale.iter().sum(),
            refreshes: self.refreshes.iter().map(Count::get).sum(),
            lease_waits: self.lease_waits.load(Ordering::Relaxed),
            dropped: self.dropped.get(),
            entries: filling.entries,
            weight: filling.weight,
            evictions: filling.evictions,
        }
    }
}

/// Stale, known to be absent, or neither.
fn hit_kind<V>(got: &Got<V>) -> usize {
    if got.is_stale() { 2 } else { usize::from(got.is_absent()) }
}

/// A count kept twice: for `stats` and for the recorder.
struct Count {
    own: AtomicU64,
    recorded: Counter,
}

impl Count {
    fn new(recorded: Counter) -> Self {
        Self { own: AtomicU64::new(0), recorded }
    }

    fn add(&self) {
        self.own.fetch_add(1, Ordering::Relaxed);
        self.recorded.increment(1);
    }

    fn get(&self) -> u64 {
        self.own.load(Ordering::Relaxed)
    }
}

fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!("seawall_cache_requests_total", "Reads, by the layer that ended them.");
    describe_counter!("seawall_cache_loads_total", "Loader runs, by how they ended.");
    describe_histogram!("seawall_cache_load_seconds", Unit::Seconds, "How long loaders ran.");
    describe_counter!("seawall_cache_refused_fills_total", "Loads and back-fills not kept.");
    describe_counter!("seawall_cache_l2_errors_total", "Calls to L2 that failed or were skipped.");
    describe_counter!("seawall_cache_corrupt_total", "Records in L2 that are not valid entries.");
    describe_counter!("seawall_cache_refreshes_total", "Loads that no caller waited for.");
    describe_counter!("seawall_cache_soft_timeouts_total", "Stale answers for want of time.");
    describe_counter!("seawall_cache_leases_total", "Wishes to load a key of L2.");
    describe_histogram!(
        "seawall_cache_lease_wait_seconds",
        Unit::Seconds,
        "How long a load waited for that of another node."
    );
    describe_counter!("seawall_cache_invalidations_total", "Invalidations asked for here.");
    describe_counter!("seawall_cache_revalidations_total", "Entries compared with L2 by version.");
    describe_gauge!(
        "seawall_cache_staleness_seconds",
        Unit::Seconds,
        "Every write acknowledged longer ago than this has been told."
    );
    describe_counter!("cache_hits_total", "Hits, by layer and namespace.");
    describe_gauge!("seawall_cache_entries", "Entries in L1.");
    describe_gauge!("seawall_cache_weight", "The weight of L1: bytes, if there is a weigher.");
    describe_counter!("seawall_cache_evictions_total", "Entries that made room for others.");
    describe_gauge!("seawall_cache_breaker_open", "1 while the remote store is not asked.");
    describe_gauge!("seawall_cache_pending_removals", "Removals L2 has not acknowledged.");
}

#[cfg(test)]
mod tests;
