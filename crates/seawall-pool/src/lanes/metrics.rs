//! The metrics of a node's lanes, registered once.

use std::sync::Once;

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

use crate::metrics::Labels;

/// The handles of one node.
pub(crate) struct LaneMetrics {
    pub(crate) open: Gauge,
    pub(crate) queries: Counter,
    pub(crate) overflows: Counter,
    pub(crate) moved: Counter,
    pub(crate) abandoned: Counter,
}

impl LaneMetrics {
    pub(crate) fn new(labels: &Labels) -> Self {
        static DESCRIBED: Once = Once::new();
        DESCRIBED.call_once(describe);
        let node = || labels.all();
        Self {
            open: gauge!(OPEN, node()),
            queries: counter!(QUERIES, node()),
            overflows: counter!(OVERFLOWS, node()),
            moved: counter!(MOVED, node()),
            abandoned: counter!(ABANDONED, node()),
        }
    }
}

fn describe() {
    describe_gauge!(OPEN, Unit::Count, "Shared connections open");
    describe_counter!(QUERIES, Unit::Count, "Statements sent on shared connections");
    describe_counter!(
        OVERFLOWS,
        Unit::Count,
        "Shared reads that took a connection of their own: no lane had room or was fit for them"
    );
    describe_counter!(
        MOVED,
        Unit::Count,
        "Reads that left a lane which was held up, for a connection of their own"
    );
    describe_counter!(ABANDONED, Unit::Count, "Lanes given up because a statement held them up");
}

const OPEN: &str = "seawall_pool_lanes";
const QUERIES: &str = "seawall_pool_lane_queries_total";
const OVERFLOWS: &str = "seawall_pool_lane_overflows_total";
const MOVED: &str = "seawall_pool_lane_moved_reads_total";
const ABANDONED: &str = "seawall_pool_lanes_abandoned_total";
