//! The metrics of a pool's buffer, registered once.

use std::sync::Once;

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use crate::metrics::Labels;

pub(crate) struct BufferMetrics {
    pub(crate) waiting: Gauge,
    pub(crate) buffered: Counter,
    pub(crate) full: Counter,
    pub(crate) late: Counter,
    pub(crate) seconds: Histogram,
}

impl BufferMetrics {
    pub(crate) fn new(labels: &Labels) -> Self {
        static DESCRIBED: Once = Once::new();
        DESCRIBED.call_once(describe);
        Self {
            waiting: gauge!(WAITING, labels.all()),
            buffered: counter!(BUFFERED, labels.all()),
            full: counter!(REFUSED, labels.and("reason", "full")),
            late: counter!(REFUSED, labels.and("reason", "late")),
            seconds: histogram!(SECONDS, labels.all()),
        }
    }
}

fn describe() {
    describe_gauge!(WAITING, Unit::Count, "Writes waiting for a primary");
    describe_counter!(BUFFERED, Unit::Count, "Writes that waited for a primary");
    describe_counter!(REFUSED, Unit::Count, "Writes not sent: too many waited, or for too long");
    describe_histogram!(SECONDS, Unit::Seconds, "From meeting no primary to being sent to one");
}

const WAITING: &str = "seawall_pool_buffered_writes";
const BUFFERED: &str = "seawall_pool_buffered_writes_total";
const REFUSED: &str = "seawall_pool_buffer_refused_total";
const SECONDS: &str = "seawall_pool_buffer_seconds";
