//! The metrics of a pool, registered once and cached per node.

use std::sync::Once;

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use crate::ledger::Reason;
use crate::route::Intent;

mod labels;

pub(crate) use labels::Labels;

/// The handles of one node.
pub(crate) struct NodeMetrics {
    reads: Counter,
    writes: Counter,
    analytics: Counter,
    pub(crate) query_seconds: Histogram,
    pub(crate) acquire_seconds: Histogram,
    pub(crate) idle: Gauge,
    pub(crate) used: Gauge,
    pub(crate) waiting: Gauge,
    pub(crate) max: Gauge,
    pub(crate) utilisation: Gauge,
    scaled: [Counter; 2],
    pub(crate) up: Gauge,
    pub(crate) lag_bytes: Gauge,
    pub(crate) lag_seconds: Gauge,
    pub(crate) failed_acquires: Counter,
    pub(crate) failed_queries: Counter,
    pub(crate) slow: Counter,
    pub(crate) slow_plans: Counter,
    pub(crate) retried: Counter,
    pub(crate) discarded: Counter,
    pub(crate) opened: Counter,
    pub(crate) connect_seconds: Histogram,
    pub(crate) failed_connects: Counter,
    pub(crate) shed: Counter,
    pub(crate) hopeless: Counter,
    #[cfg(feature = "classify")]
    pub(crate) overruled: Counter,
    pub(crate) saturated: Counter,
    pub(crate) spilled: Counter,
    pub(crate) capped: Counter,
    pub(crate) failovers: Counter,
    pub(crate) moved: Counter,
    pub(crate) fenced: Gauge,
    pub(crate) resets: Counter,
    pub(crate) cancelled: Counter,
    pub(crate) healed: Counter,
    pub(crate) leaks: Counter,
    closed: [Counter; REASONS.len()],
}

impl NodeMetrics {
    pub(crate) fn new(labels: &Labels) -> Self {
        static DESCRIBED: Once = Once::new();
        DESCRIBED.call_once(describe);
        let queries = |op| counter!(QUERIES, labels.and("op", op));
        let connections = |state| gauge!(CONNECTIONS, labels.and("state", state));
        let errors = |phase| counter!(ERRORS, labels.and("phase", phase));
        let node = || labels.all();
        Self {
            reads: queries(Intent::Read.name()),
            writes: queries(Intent::Write.name()),
            analytics: queries(Intent::Analytics.name()),
            query_seconds: histogram!(QUERY_SECONDS, node()),
            acquire_seconds: histogram!(ACQUIRE_SECONDS, node()),
            idle: connections("idle"),
            used: connections("used"),
            waiting: gauge!(WAITING, node()),
            max: gauge!(MAX, node()),
            utilisation: gauge!(UTILISATION, node()),
            scaled: ["shrink", "grow"]
                .map(|direction| counter!(SCALED, labels.and("direction", direction))),
            up: gauge!(NODE_UP, node()),
            lag_bytes: gauge!(LAG_BYTES, node()),
            lag_seconds: gauge!(LAG_SECONDS, node()),
            failed_acquires: errors("acquire"),
            failed_queries: errors("query"),
            slow: counter!(SLOW, node()),
            slow_plans: counter!(SLOW_PLANS, node()),
            retried: counter!(RETRIED, node()),
            discarded: counter!(DISCARDED, node()),
            opened: counter!(OPENED, node()),
            connect_seconds: histogram!(CONNECT_SECONDS, node()),
            failed_connects: errors("connect"),
            shed: counter!(SHED, node()),
            hopeless: counter!(HOPELESS, node()),
            #[cfg(feature = "classify")]
            overruled: counter!(OVERRULED, node()),
            saturated: counter!(SATURATED, node()),
            spilled: counter!(SPILLED, node()),
            capped: counter!(CAPPED, node()),
            moved: counter!(MOVED, node()),
            failovers: counter!(FAILOVERS, node()),
            fenced: gauge!(FENCED, node()),
            resets: counter!(RESETS, node()),
            cancelled: counter!(CANCELLED, node()),
            healed: counter!(HEALED, node()),
            leaks: counter!(LEAKS, node()),
            closed: REASONS.map(|(_, reason)| counter!(CLOSED, labels.and("reason", reason))),
        }
    }

    /// Connections closed for `reason`.
    pub(crate) fn closed(&self, reason: Reason) -> &Counter {
        let index = REASONS.iter().position(|(other, _)| *other == reason);
        &self.closed[index.unwrap_or_default()]
    }

    /// Times the size was changed to follow the load.
    pub(crate) fn scaled(&self, grown: bool) -> &Counter {
        &self.scaled[usize::from(grown)]
    }

    pub(crate) fn queries(&self, intent: Intent) -> &Counter {
        match intent {
            Intent::Read => &self.reads,
            Intent::Write => &self.writes,
            Intent::Analytics => &self.analytics,
        }
    }
}

fn describe() {
    describe_counter!(QUERIES, Unit::Count, "Statements sent, by node and by what they were for");
    describe_histogram!(
        QUERY_SECONDS,
        Unit::Seconds,
        "Time from sending a statement to its last row"
    );
    describe_histogram!(ACQUIRE_SECONDS, Unit::Seconds, "Time to get a connection");
    describe_gauge!(CONNECTIONS, Unit::Count, "Connections open, idle or used");
    describe_gauge!(WAITING, Unit::Count, "Callers waiting for a connection");
    describe_gauge!(MAX, Unit::Count, "The most connections that may be open");
    describe_gauge!(UTILISATION, Unit::Count, "Share of the connections in use, 0 to 1");
    describe_counter!(SCALED, Unit::Count, "Times the size was changed to follow the load");
    describe_gauge!(NODE_UP, Unit::Count, "1 while the node is in rotation, else 0");
    describe_gauge!(
        LAG_BYTES,
        Unit::Bytes,
        "Log written by the primary and not replayed by the replica"
    );
    describe_gauge!(
        LAG_SECONDS,
        Unit::Seconds,
        "Time since the primary passed the replica's position"
    );
    describe_counter!(ERRORS, Unit::Count, "Attempts to acquire or to run that failed");
    describe_counter!(SLOW, Unit::Count, "Statements that took longer than slow_query");
    describe_counter!(SLOW_PLANS, Unit::Count, "Plans of slow statements asked for by the pool");
    describe_counter!(
        RETRIED,
        Unit::Count,
        "Reads run again elsewhere after this node failed them"
    );
    describe_counter!(
        DISCARDED,
        Unit::Count,
        "Connections closed because a statement on them could not be stopped or they could not be reset"
    );
    describe_counter!(OPENED, Unit::Count, "Connections opened");
    describe_counter!(CLOSED, Unit::Count, "Connections closed, by reason");
    describe_histogram!(CONNECT_SECONDS, Unit::Seconds, "Time to open a connection");
    describe_counter!(HOPELESS, Unit::Count, "Of those refused, the ones with too little time");
    describe_counter!(
        SHED,
        Unit::Count,
        "Calls refused because too many were waiting, or for too long"
    );
    #[cfg(feature = "classify")]
    describe_counter!(OVERRULED, Unit::Count, "Supposed reads that a standby refused as writes");
    describe_counter!(SATURATED, Unit::Count, "Reads that found a replica's connections used up");
    describe_counter!(
        SPILLED,
        Unit::Count,
        "Reads that went to the primary as all replicas were full"
    );
    describe_counter!(
        CAPPED,
        Unit::Count,
        "Reads that waited as reads held their share of the primary's connections"
    );
    describe_counter!(FAILOVERS, Unit::Count, "Times the node took over as the primary");
    describe_counter!(MOVED, Unit::Count, "Times the name of the node stood for another server");
    describe_gauge!(FENCED, Unit::Count, "1 while the node takes writes and is not the primary");
    describe_counter!(RESETS, Unit::Count, "Rollbacks and resets sent between two borrowers");
    describe_counter!(
        CANCELLED,
        Unit::Count,
        "Connections that came back with a statement running, which was cancelled"
    );
    describe_counter!(HEALED, Unit::Count, "Prepared statements found stale and prepared anew");
    describe_counter!(LEAKS, Unit::Count, "Borrows longer than leak_after");
}

/// Of the tower layer.
#[cfg(feature = "tower")]
pub(crate) fn describe_forged() {
    describe_counter!(
        FORGED,
        Unit::Count,
        "Requests whose causal token was not signed by a known key"
    );
}

#[cfg(feature = "tower")]
pub(crate) const FORGED: &str = "seawall_pool_refused_tokens_total";
const QUERIES: &str = "seawall_pool_queries_total";
const QUERY_SECONDS: &str = "seawall_pool_query_seconds";
const ACQUIRE_SECONDS: &str = "seawall_pool_acquire_seconds";
const CONNECTIONS: &str = "seawall_pool_connections";
const WAITING: &str = "seawall_pool_waiting";
const MAX: &str = "seawall_pool_max_connections";
const UTILISATION: &str = "seawall_pool_utilisation_ratio";
const SCALED: &str = "seawall_pool_scaled_total";
const NODE_UP: &str = "seawall_pool_node_up";
const LAG_BYTES: &str = "seawall_pool_replay_lag_bytes";
const LAG_SECONDS: &str = "seawall_pool_replay_lag_seconds";
const ERRORS: &str = "seawall_pool_errors_total";
const SLOW: &str = "seawall_pool_slow_queries_total";
const SLOW_PLANS: &str = "seawall_pool_slow_query_plans_total";
const RETRIED: &str = "seawall_pool_retried_reads_total";
const DISCARDED: &str = "seawall_pool_discarded_connections_total";
const OPENED: &str = "seawall_pool_opened_connections_total";
const CLOSED: &str = "seawall_pool_closed_connections_total";
const CONNECT_SECONDS: &str = "seawall_pool_connect_seconds";
const HOPELESS: &str = "seawall_pool_hopeless_total";
const SHED: &str = "seawall_pool_shed_total";
#[cfg(feature = "classify")]
const OVERRULED: &str = "seawall_pool_overruled_reads_total";
const SATURATED: &str = "seawall_pool_saturated_total";
const SPILLED: &str = "seawall_pool_spilled_reads_total";
const CAPPED: &str = "seawall_pool_capped_reads_total";
const FAILOVERS: &str = "seawall_pool_failovers_total";
const MOVED: &str = "seawall_pool_node_moved_total";
const FENCED: &str = "seawall_pool_node_fenced";
const RESETS: &str = "seawall_pool_resets_total";
const CANCELLED: &str = "seawall_pool_cancelled_total";
const HEALED: &str = "seawall_pool_stale_statements_total";
const LEAKS: &str = "seawall_pool_long_borrows_total";

const REASONS: [(Reason, &str); 8] = [
    (Reason::Broken, "broken"),
    (Reason::Lifetime, "lifetime"),
    (Reason::Uses, "uses"),
    (Reason::Idle, "idle"),
    (Reason::Evicted, "evicted"),
    (Reason::Surplus, "surplus"),
    (Reason::Unsettled, "unsettled"),
    (Reason::Shutdown, "shutdown"),
];

#[cfg(test)]
mod tests;
