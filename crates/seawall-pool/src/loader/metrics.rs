//! The metrics of loaders, registered once per loader.

use std::sync::Once;

use metrics::{Counter, Unit, counter, describe_counter};

use crate::metrics::Labels;

/// The handles of one loader; all loaders of a pool count together.
pub(crate) struct LoaderMetrics {
    pub(crate) loads: Counter,
    pub(crate) keys: Counter,
    pub(crate) queries: Counter,
    pub(crate) splits: Counter,
    pub(crate) shed: Counter,
}

impl LoaderMetrics {
    pub(crate) fn new(labels: &Labels) -> Self {
        static DESCRIBED: Once = Once::new();
        DESCRIBED.call_once(describe);
        Self {
            loads: counter!(LOADS, labels.all()),
            keys: counter!(KEYS, labels.all()),
            queries: counter!(QUERIES, labels.all()),
            splits: counter!(SPLITS, labels.all()),
            shed: counter!(SHED, labels.all()),
        }
    }
}

fn describe() {
    describe_counter!(LOADS, Unit::Count, "Keys that callers of loaders waited for");
    describe_counter!(KEYS, Unit::Count, "Keys that loaders sent to a server");
    describe_counter!(QUERIES, Unit::Count, "Queries that loaders sent");
    describe_counter!(SPLITS, Unit::Count, "Batches of keys halved after an error");
    describe_counter!(SHED, Unit::Count, "Keys refused because too many callers were waiting");
}

const LOADS: &str = "seawall_pool_loader_loads_total";
const KEYS: &str = "seawall_pool_loader_keys_total";
const QUERIES: &str = "seawall_pool_loader_queries_total";
const SPLITS: &str = "seawall_pool_loader_splits_total";
const SHED: &str = "seawall_pool_loader_shed_total";
