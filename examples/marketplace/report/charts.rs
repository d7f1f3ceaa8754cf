//! Which charts the page shows.

use super::plot::{Chart, Line};
use super::{Run, Tick};
use crate::load::stats::quantile_ms;

/// All of them, in the order of the page.
pub fn charts(run: &Run) -> Vec<Chart<'_>> {
    // Checks that follow the last bids fall into a second after the run; it is no load of its own.
    let length = run.stats.seconds.len().min(run.seconds as usize);
    let seconds = &run.stats.seconds[..length];
    let latency = |q: f64| seconds.iter().map(|second| quantile_ms(&second.response, q)).collect();
    let ticks = |value: fn(&Tick) -> f64| run.ticks.iter().map(value).collect();
    let nodes = run.nodes.iter().zip(["c1", "c2", "c3", "c4", "c5"]).enumerate();
    vec![
        Chart {
            title: "Load",
            unit: "per second",
            log: false,
            bound: None,
            lines: vec![
                Line { name: "arrivals by the trace", class: "c2", values: ticks(|t| t.offered) },
                Line {
                    name: "requests sent, checks included",
                    class: "c1",
                    values: seconds.iter().map(|second| second.sent as f64).collect(),
                },
            ],
        },
        Chart {
            title: "Response time",
            unit: "ms from intended start, scheduled requests, log scale",
            log: true,
            bound: Some((100.0, "p95 bound")),
            lines: vec![
                Line { name: "p50", class: "c1", values: latency(0.5) },
                Line { name: "p95", class: "c2", values: latency(0.95) },
                Line { name: "p99", class: "c3", values: latency(0.99) },
            ],
        },
        Chart {
            title: "Cache",
            unit: "% of look-ups",
            log: false,
            bound: None,
            lines: vec![
                Line {
                    name: "L1 hits",
                    class: "c1",
                    values: ticks(|t| t.ratio(t.l1_hits) * 100.0),
                },
                Line {
                    name: "L2 hits",
                    class: "c2",
                    values: ticks(|t| t.ratio(t.l2_hits) * 100.0),
                },
                Line { name: "misses", class: "c3", values: ticks(|t| t.ratio(t.misses) * 100.0) },
            ],
        },
        Chart {
            title: "Reads that reached PostgreSQL",
            unit: "per second and node",
            log: false,
            bound: None,
            lines: nodes
                .map(|(index, (name, class))| Line {
                    name,
                    class,
                    values: run
                        .ticks
                        .iter()
                        .map(|tick| tick.reads.get(index).map_or(f64::NAN, |&count| count as f64))
                        .collect(),
                })
                .collect(),
        },
        Chart {
            title: "Instances wanted",
            unit: "by the scaling engine, dry run",
            log: false,
            bound: None,
            lines: vec![Line {
                name: "instances",
                class: "c1",
                values: ticks(|t| f64::from(t.instances)),
            }],
        },
        Chart {
            title: "CPU",
            unit: "% of all cores: service, load, databases, Redis",
            log: false,
            bound: None,
            lines: vec![Line { name: "in use", class: "c1", values: ticks(|t| t.cpu * 100.0) }],
        },
        Chart {
            title: "Reads checked against acknowledged bids",
            unit: "per second",
            log: false,
            bound: None,
            lines: vec![
                Line {
                    name: "checked",
                    class: "c1",
                    values: seconds.iter().map(|second| second.checked as f64).collect(),
                },
                Line {
                    name: "stale",
                    class: "c3",
                    values: seconds.iter().map(|second| second.stale as f64).collect(),
                },
            ],
        },
        Chart {
            title: "Refusals and errors",
            unit: "per second",
            log: false,
            bound: None,
            lines: vec![
                Line {
                    name: "429",
                    class: "c2",
                    values: seconds.iter().map(|second| second.limited as f64).collect(),
                },
                Line {
                    name: "errors",
                    class: "c3",
                    values: seconds.iter().map(|second| second.errors as f64).collect(),
                },
            ],
        },
    ]
}
