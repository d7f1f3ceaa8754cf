//! The report as one self-contained page.

use std::fmt::Write as _;

use super::Run;
use super::charts::charts;
use super::table::millis;
use super::verdict::Slo;
use crate::load::stats::{Route, Tally, quantile_ms};

/// The whole page.
pub fn render(run: &Run, slos: &[Slo]) -> String {
    let mut out = String::with_capacity(64 * 1024);
    // Writing to a String cannot fail.
    let _ = page(&mut out, run, slos);
    out
}

fn page(out: &mut String, run: &Run, slos: &[Slo]) -> std::fmt::Result {
    let held = slos.iter().all(|slo| slo.held);
    let verdict = if held { "All promises held" } else { "A promise was broken" };
    write!(
        out,
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width, initial-scale=1\"><title>seawall marketplace: {verdict}</title><style>{}</style><main><h1>{verdict}</h1>",
        include_str!("report.css")
    )?;
    write!(
        out,
        "<p class=lead>An auction service on a real PostgreSQL primary with two streaming replicas and a real Redis, under {} s of <b>{}</b> at {:.0} times its speed, peak {:.0} arrivals/s ({}). Data: {}. Machine: {}.</p>",
        run.seconds,
        escape(&run.trace),
        run.compression,
        run.peak,
        escape(&run.peak_reason),
        escape(&run.rows),
        escape(&run.machine)
    )?;
    cards(out, run, slos)?;
    write!(out, "<section class=charts>")?;
    for chart in charts(run) {
        out.push_str(&chart.render());
    }
    write!(out, "</section>")?;
    routes(out, run)?;
    decisions(out, run)?;
    write!(
        out,
        "<p class=note>An arrival is a user with a wish; most are one request, a bid is followed by the reads that check it. Response time counts from the moment the schedule wanted a request sent (open model), service time from the moment it was sent; 429s and errors are in neither, and the SLO is about scheduled requests only. Refused means outbid or a wrong password: answers a caller must reckon with. Two scripts are part of the load; the 429s are theirs. A read is stale when it shows less than a bid that was acknowledged before the read was sent. List and top pages may lag by their TTL of 60 s and are not part of that check. PostgreSQL runs with fsync off. Seed {}.</p></main></html>",
        run.seed
    )
}

fn cards(out: &mut String, run: &Run, slos: &[Slo]) -> std::fmt::Result {
    let total = run.stats.total();
    let (l1, l2, miss) = run.cache();
    let lookups = (l1 + l2 + miss).max(1) as f64;
    write!(out, "<section class=cards>")?;
    for slo in slos {
        let class = if slo.held { "held" } else { "broken" };
        write!(
            out,
            "<div class=\"card {class}\"><span>{}</span><b>{}</b><i>wanted {}</i></div>",
            slo.name,
            slo.measured,
            escape(&slo.bound)
        )?;
    }
    let rate = total.total() as f64 / run.seconds as f64;
    card(out, "throughput", &format!("{rate:.0}/s"), &format!("{} requests", total.total()))?;
    let hits = (l1 + l2) as f64 / lookups * 100.0;
    let layers =
        format!("L1 {:.1} %, L2 {:.1} %", l1 as f64 / lookups * 100.0, l2 as f64 / lookups * 100.0);
    card(out, "cache hits", &format!("{hits:.1} %"), &layers)?;
    card(out, "answered 429", &total.limited.to_string(), "quota spent")?;
    write!(out, "</section>")
}

fn card(out: &mut String, name: &str, value: &str, note: &str) -> std::fmt::Result {
    write!(out, "<div class=card><span>{name}</span><b>{value}</b><i>{note}</i></div>")
}

fn routes(out: &mut String, run: &Run) -> std::fmt::Result {
    write!(
        out,
        "<h2>Routes</h2><div class=scroll><table><thead><tr><th rowspan=2>route<th rowspan=2>ok<th rowspan=2>refused<th rowspan=2>429<th rowspan=2>errors<th colspan=4>response, ms<th colspan=4>service, ms<tr>"
    )?;
    for _ in 0..2 {
        write!(out, "<th>p50<th>p95<th>p99<th>p99.9")?;
    }
    write!(out, "<tbody>")?;
    for route in Route::ALL {
        row(out, route.name(), run.stats.route(route))?;
    }
    row(out, "all", &run.stats.total())?;
    write!(out, "</table></div>")
}

fn row(out: &mut String, name: &str, tally: &Tally) -> std::fmt::Result {
    write!(
        out,
        "<tr><td>{name}<td>{}<td>{}<td>{}<td>{}",
        tally.ok, tally.refused, tally.limited, tally.errors
    )?;
    for histogram in [&tally.response, &tally.service] {
        for q in [0.5, 0.95, 0.99, 0.999] {
            write!(out, "<td>{}", millis(quantile_ms(histogram, q)))?;
        }
    }
    Ok(())
}

fn decisions(out: &mut String, run: &Run) -> std::fmt::Result {
    write!(
        out,
        "<h2>Scaling decisions</h2><p class=note>Dry run: one process serves all. The engine sees the live signals; its cooldowns are shortened like the trace.</p>"
    )?;
    if run.decisions.is_empty() {
        return write!(out, "<p>None: every signal stayed within its thresholds.</p>");
    }
    write!(
        out,
        "<div class=scroll><table><thead><tr><th>at<th>from<th>to<th class=text>reason<tbody>"
    )?;
    for decided in &run.decisions {
        write!(
            out,
            "<tr><td>{} s<td>{}<td>{}<td class=text>{}",
            decided.second,
            decided.from,
            decided.to,
            escape(&decided.reason)
        )?;
    }
    write!(out, "</table></div>")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
