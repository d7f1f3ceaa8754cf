//! The promises of the demo, and whether the run kept them.

use super::Run;
use crate::load::stats::{Route, quantile_ms};

/// One promise.
#[derive(Clone, Debug)]
pub struct Slo {
    pub name: &'static str,
    pub bound: String,
    pub measured: String,
    pub held: bool,
}

/// p95 from the intended start, in milliseconds.
const P95_MS: f64 = 100.0;
/// Share of requests that may end in an error.
const ERRORS: f64 = 0.001;

/// Every promise; the run passes if all held.
pub fn judge(run: &Run) -> Vec<Slo> {
    let total = run.stats.total();
    let p95 = quantile_ms(&run.stats.scheduled, 0.95);
    // A request that was never sent, or never answered, is a request that failed.
    let missed = run.stats.missed;
    let errors = (total.errors + missed) as f64 / (total.total() + missed).max(1) as f64;
    // Each acknowledged bid is read back; one that was not is not known to show.
    let acknowledged = run.stats.route(Route::Bid).ok;
    let (stale, checked) = (run.stats.stale(), run.stats.checked());
    vec![
        Slo {
            name: "p95 from intended start",
            bound: format!("< {P95_MS:.0} ms"),
            measured: format!("{p95:.1} ms"),
            held: p95 < P95_MS,
        },
        Slo {
            name: "error rate",
            bound: format!("< {:.1} %", ERRORS * 100.0),
            measured: format!("{:.3} %", errors * 100.0),
            held: total.total() > 0 && errors < ERRORS,
        },
        Slo {
            name: "stale reads, of checked",
            bound: "0".to_owned(),
            measured: format!("{stale} of {checked}"),
            held: stale == 0 && checked > 0 && checked >= acknowledged,
        },
    ]
}
