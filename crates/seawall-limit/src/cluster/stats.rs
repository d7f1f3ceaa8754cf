//! The cluster limiter's metrics, with handles made once, and its warnings.

use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use super::decision::Source;
use super::protocol::Mended;

pub(crate) struct Stats {
    sources: [[Counter; 2]; Source::ALL.len()],
    errors: Counter,
    late: Counter,
    values: Counter,
    ttls: Counter,
    returned: Counter,
    settled: Counter,
    outstanding: Gauge,
    nodes: Gauge,
    open: Gauge,
    /// As was told last.
    out_of_reach: AtomicUsize,
}

impl Stats {
    pub(crate) fn new() -> Self {
        describe_counter!(DECISIONS, "Cluster-wide decisions by who made them and by outcome.");
        describe_counter!(ERRORS, "Commands that Redis refused or that failed, by kind.");
        describe_counter!(MENDED, "Keys in Redis that were mended, by what was wrong.");
        describe_counter!(RETURNED, "Leases that were given back to Redis.");
        describe_counter!(SETTLED, "Keys whose spending without Redis was charged to it.");
        describe_gauge!(OUTSTANDING, "Units taken from Redis and not spent yet.");
        describe_gauge!(NODES, "Nodes alive, as this one sees it.");
        describe_gauge!(OPEN, "Masters that are out of reach.");
        let of = |source: Source| {
            let handle = |outcome: &'static str| counter!(DECISIONS, "source" => source.word(), "outcome" => outcome);
            [handle("allowed"), handle("rejected")]
        };
        Self {
            sources: Source::ALL.map(of),
            errors: counter!(ERRORS, "kind" => "error"),
            late: counter!(ERRORS, "kind" => "timeout"),
            values: counter!(MENDED, "what" => "value"),
            ttls: counter!(MENDED, "what" => "ttl"),
            returned: counter!(RETURNED),
            settled: counter!(SETTLED),
            outstanding: gauge!(OUTSTANDING),
            nodes: gauge!(NODES),
            open: gauge!(OPEN),
            out_of_reach: AtomicUsize::new(0),
        }
    }

    pub(crate) fn decided(&self, source: Source, allowed: bool) {
        self.sources[source as usize][usize::from(!allowed)].increment(1);
    }

    pub(crate) fn mended(&self, mended: Mended) {
        match mended {
            Mended::Nothing => {}
            Mended::Value => self.values.increment(1),
            Mended::Ttl => self.ttls.increment(1),
        }
    }

    pub(crate) fn late(&self) {
        self.late.increment(1);
    }

    pub(crate) fn redis_failed(&self, error: &fred::error::Error) {
        self.errors.increment(1);
        tracing::debug!(%error, "Redis refused a decision");
    }

    pub(crate) fn returned(&self, count: u64) {
        self.returned.increment(count);
    }

    pub(crate) fn settled(&self, count: u64) {
        self.settled.increment(count);
    }

    pub(crate) fn seen(&self, outstanding: u64, nodes: u32) {
        self.outstanding.set(outstanding as f64);
        self.nodes.set(f64::from(nodes));
    }

    /// So many masters are not asked. One warning about the first, one word when all are again.
    pub(crate) fn out_of_reach(&self, nodes: usize) {
        let before = self.out_of_reach.swap(nodes, Ordering::Relaxed);
        if before == nodes {
            return;
        }
        self.open.set(nodes as f64);
        if before == 0 {
            tracing::warn!(nodes, "Redis is out of reach: quotas take their failure modes");
        } else if nodes == 0 {
            tracing::info!("Redis answers again");
        }
    }
}

const DECISIONS: &str = "seawall_limit_cluster_decisions_total";
const ERRORS: &str = "seawall_limit_cluster_errors_total";
const MENDED: &str = "seawall_limit_cluster_mended_total";
const RETURNED: &str = "seawall_limit_cluster_leases_returned_total";
const SETTLED: &str = "seawall_limit_cluster_settled_total";
const OUTSTANDING: &str = "seawall_limit_cluster_leased_units";
const NODES: &str = "seawall_limit_cluster_nodes";
const OPEN: &str = "seawall_limit_cluster_open_nodes";
