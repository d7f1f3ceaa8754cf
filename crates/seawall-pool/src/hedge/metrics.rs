//! The metrics of hedged reads, registered once.

use std::sync::Once;

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

use crate::metrics::Labels;

pub(crate) struct HedgeMetrics {
    pub(crate) sent: Counter,
    pub(super) won: Counter,
    pub(super) no_budget: Counter,
    pub(super) no_replica: Counter,
    pub(super) delay: Gauge,
}

impl HedgeMetrics {
    pub(crate) fn new(labels: &Labels) -> Self {
        static DESCRIBED: Once = Once::new();
        DESCRIBED.call_once(describe);
        Self {
            sent: counter!(SENT, labels.all()),
            won: counter!(WON, labels.all()),
            no_budget: counter!(WITHHELD, labels.and("reason", "budget")),
            no_replica: counter!(WITHHELD, labels.and("reason", "no_replica")),
            delay: gauge!(DELAY, labels.all()),
        }
    }
}

fn describe() {
    describe_counter!(SENT, Unit::Count, "Reads that were sent to a second replica too");
    describe_counter!(WON, Unit::Count, "Of those, the ones that the second replica answered");
    describe_counter!(WITHHELD, Unit::Count, "Slow reads that were not sent a second time");
    describe_gauge!(DELAY, Unit::Seconds, "After how long a read is sent a second time");
}

const SENT: &str = "seawall_pool_hedged_reads_total";
const WON: &str = "seawall_pool_hedge_wins_total";
const WITHHELD: &str = "seawall_pool_hedges_withheld_total";
const DELAY: &str = "seawall_pool_hedge_delay_seconds";
