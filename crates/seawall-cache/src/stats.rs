//! Counts, for `Cache::stats` and for the `metrics` facade.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

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
    /// Loads and back-fills not kept, because the key was written or removed meanwhile or the
    /// loader's source was too old.
    pub refused_fills: u64,
    /// Entries in L1, roughly; expired ones count until they are evicted.
    pub entries: u64,
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
}

/// The counters of one cache. Handles are looked up once, when the cache is built.
pub(crate) struct Counters {
    cache: String,
    l1_hits: Count,
    l1_absent: Count,
    l2_hits: Count,
    l2_absent: Count,
    loaded: Count,
    loaded_absent: Count,
    failed: Count,
    missed: Count,
    loads: [Count; 4],
    load_seconds: Histogram,
    refused: [Count; 3],
    l2_errors: AtomicU64,
    corrupt: AtomicU64,
    entries: Gauge,
}

impl Counters {
    pub(crate) fn new(cache: &str) -> Self {
        describe();
        let request = |layer: &'static str, result: &'static str| {
            Count::new(counter!("seawall_cache_requests_total",
                "cache" => cache.to_owned(), "layer" => layer, "result" => result))
        };
        let load = |result: &'static str| {
            Count::new(counter!("seawall_cache_loads_total",
                "cache" => cache.to_owned(), "result" => result))
        };
        let refused = |reason: &'static str| {
            Count::new(counter!("seawall_cache_refused_fills_total",
                "cache" => cache.to_owned(), "reason" => reason))
        };
        Self {
            l1_hits: request("l1", "hit"),
            l1_absent: request("l1", "absent"),
            l2_hits: request("l2", "hit"),
            l2_absent: request("l2", "absent"),
            loaded: request("loader", "hit"),
            loaded_absent: request("loader", "absent"),
            failed: request("loader", "error"),
            missed: request("l2", "miss"),
            loads: ["ok", "error", "panicked", "timed_out"].map(load),
            load_seconds: histogram!("seawall_cache_load_seconds", "cache" => cache.to_owned()),
            refused: ["l1", "l2", "source"].map(refused),
            l2_errors: AtomicU64::new(0),
            corrupt: AtomicU64::new(0),
            entries: gauge!("seawall_cache_entries", "cache" => cache.to_owned()),
            cache: cache.to_owned(),
        }
    }

    pub(crate) fn answered<V>(&self, got: &Got<V>) {
        match (got.layer, got.is_absent()) {
            (Layer::L1, false) => &self.l1_hits,
            (Layer::L1, true) => &self.l1_absent,
            (Layer::L2, false) => &self.l2_hits,
            (Layer::L2, true) => &self.l2_absent,
            (Layer::Loader, false) => &self.loaded,
            (Layer::Loader, true) => &self.loaded_absent,
        }
        .add();
    }

    /// A read without a loader found nothing.
    pub(crate) fn missed(&self) {
        self.missed.add();
    }

    /// A read with a loader got an error from it.
    pub(crate) fn failed(&self) {
        self.failed.add();
    }

    pub(crate) fn load_ended(&self, end: LoadEnd, took: Duration) {
        self.loads[end as usize].add();
        self.load_seconds.record(took.as_secs_f64());
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        self.refused[refusal as usize].add();
    }

    // These two are off every fast path and have many labels: looked up when they happen.

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

    pub(crate) fn entries(&self, entries: u64) {
        self.entries.set(entries as f64);
    }

    pub(crate) fn snapshot(&self, entries: u64) -> Stats {
        let loaded = self.loaded.get() + self.loaded_absent.get() + self.failed.get();
        Stats {
            l1_hits: self.l1_hits.get() + self.l1_absent.get(),
            l2_hits: self.l2_hits.get() + self.l2_absent.get(),
            misses: loaded + self.missed.get(),
            loads: self.loads.iter().map(Count::get).sum(),
            load_errors: self.loads[1..].iter().map(Count::get).sum(),
            l2_errors: self.l2_errors.load(Ordering::Relaxed),
            corrupt: self.corrupt.load(Ordering::Relaxed),
            refused_fills: self.refused.iter().map(Count::get).sum(),
            entries,
        }
    }
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
    describe_gauge!("seawall_cache_entries", "Entries in L1.");
    describe_gauge!("seawall_cache_breaker_open", "1 while the remote store is not asked.");
    describe_gauge!("seawall_cache_pending_removals", "Removals L2 has not acknowledged.");
}

#[cfg(test)]
mod tests;
