use metrics::{Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

pub(super) fn describe() {
    describe_counter!(READS, Unit::Count, "Questions to sources, by probe and result.");
    describe_gauge!(AGE, Unit::Seconds, "Age of the last good value, when it was last used.");
}

/// Rare, so the handle is looked up each time.
pub(super) fn read(probe: &str, result: &'static str) {
    counter!(READS, "probe" => probe.to_owned(), "result" => result).increment(1);
}

pub(super) fn age(signal: &str) -> Gauge {
    gauge!(AGE, "signal" => signal.to_owned())
}

const READS: &str = "seawall_scale_source_reads_total";
const AGE: &str = "seawall_scale_signal_age_seconds";
