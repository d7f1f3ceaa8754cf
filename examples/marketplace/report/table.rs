//! The report as text.

use std::fmt::Write as _;

use super::Run;
use super::verdict::Slo;
use crate::load::stats::{Route, Tally, quantile_ms};

/// The whole report, ready to print.
pub fn render(run: &Run, slos: &[Slo]) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut out, run, slos);
    out
}

fn write_all(out: &mut String, run: &Run, slos: &[Slo]) -> std::fmt::Result {
    let total = run.stats.total();
    writeln!(out)?;
    writeln!(
        out,
        "{} s of {} at {:.0}x, peak {:.0} arrivals/s ({})",
        run.seconds, run.trace, run.compression, run.peak, run.peak_reason
    )?;
    writeln!(
        out,
        "{} requests, {:.0}/s on average; {}; {}",
        total.total(),
        total.total() as f64 / run.seconds as f64,
        run.rows,
        run.machine
    )?;
    writeln!(out)?;
    writeln!(out, "{:<62}  {:^32}  {:^32}", "", "ms from intended start", "ms of service")?;
    writeln!(
        out,
        "{:<29}{:>9}{:>9}{:>8}{:>7}  {:>8}{:>8}{:>8}{:>8}  {:>8}{:>8}{:>8}{:>8}",
        "route",
        "ok",
        "refused",
        "429",
        "errors",
        "p50",
        "p95",
        "p99",
        "p99.9",
        "p50",
        "p95",
        "p99",
        "p99.9"
    )?;
    for route in Route::ALL {
        row(out, route.name(), run.stats.route(route))?;
    }
    row(out, "all", &total)?;
    writeln!(out)?;
    let (l1, l2, miss) = run.cache();
    let lookups = (l1 + l2 + miss).max(1) as f64;
    writeln!(
        out,
        "cache     L1 {:.1} %  L2 {:.1} %  miss {:.1} %  of {} look-ups",
        l1 as f64 / lookups * 100.0,
        l2 as f64 / lookups * 100.0,
        miss as f64 / lookups * 100.0,
        l1 + l2 + miss
    )?;
    let reads = run.reads();
    let sum = reads.iter().map(|(_, count)| count).sum::<u64>().max(1) as f64;
    let shares: Vec<String> = reads
        .iter()
        .map(|(node, count)| format!("{node} {:.1} %", *count as f64 / sum * 100.0))
        .collect();
    writeln!(out, "reads     {}  of {sum:.0} that reached PostgreSQL", shares.join("  "))?;
    writeln!(
        out,
        "refusals  {} answered 429, {} refused with reason (outbid, wrong password), {} never sent or answered",
        total.limited, total.refused, run.stats.missed
    )?;
    writeln!(out)?;
    writeln!(
        out,
        "scaling decisions (dry run: one process serves all; cooldowns shortened like the trace)"
    )?;
    if run.decisions.is_empty() {
        writeln!(out, "  none: every signal stayed within its thresholds")?;
    }
    for decided in &run.decisions {
        writeln!(
            out,
            "  {:>3} s  {:>2} -> {:<2}  {}",
            decided.second, decided.from, decided.to, decided.reason
        )?;
    }
    writeln!(out)?;
    for slo in slos {
        writeln!(
            out,
            "{}  {:<24} {:<22} wanted {}",
            if slo.held { "held  " } else { "BROKEN" },
            slo.name,
            slo.measured,
            slo.bound
        )?;
    }
    Ok(())
}

fn row(out: &mut String, name: &str, tally: &Tally) -> std::fmt::Result {
    write!(
        out,
        "{name:<29}{:>9}{:>9}{:>8}{:>7}  ",
        tally.ok, tally.refused, tally.limited, tally.errors
    )?;
    for q in [0.5, 0.95, 0.99, 0.999] {
        write!(out, "{:>8}", millis(quantile_ms(&tally.response, q)))?;
    }
    write!(out, "  ")?;
    for q in [0.5, 0.95, 0.99, 0.999] {
        write!(out, "{:>8}", millis(quantile_ms(&tally.service, q)))?;
    }
    writeln!(out)
}

/// Three figures at most, a dash where nothing was measured.
pub fn millis(value: f64) -> String {
    match value {
        v if v.is_nan() => "-".to_owned(),
        v if v < 10.0 => format!("{v:.2}"),
        v if v < 100.0 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}
