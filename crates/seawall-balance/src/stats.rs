//! The balancer's own metrics, with handles made once.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use crate::error::Error;
use crate::outlier::Cause;
use crate::status::Standing;

pub(crate) struct Stats {
    pub(crate) successes: Counter,
    pub(crate) failures: Counter,
    pub(crate) saturations: Counter,
    pub(crate) cancellations: Counter,
    pub(crate) probes_good: Counter,
    pub(crate) probes_bad: Counter,
    name: Box<str>,
    ejections: [Counter; Cause::ALL.len()],
    nodes: [Gauge; Standing::ALL.len()],
    panic: Gauge,
}

impl Stats {
    pub(crate) fn new(name: &str) -> Self {
        describe_counter!(REQUESTS, "Picked requests by how they ended.");
        describe_counter!(REFUSALS, "Picks that found no node, by why.");
        describe_counter!(EJECTIONS, "Ejections by cause.");
        describe_counter!(PROBES, "Active probes by result.");
        describe_gauge!(NODES, "Nodes of the set by how they stand.");
        describe_gauge!(PANIC, "1 while too few nodes are sound, so that all are used.");
        let balancer = || name.to_owned();
        let outcome = |outcome: &'static str| counter!(REQUESTS, "balancer" => balancer(), "outcome" => outcome);
        let probe =
            |result: &'static str| counter!(PROBES, "balancer" => balancer(), "result" => result);
        Self {
            successes: outcome("success"),
            failures: outcome("failure"),
            saturations: outcome("saturated"),
            cancellations: outcome("cancelled"),
            probes_good: probe("good"),
            probes_bad: probe("bad"),
            ejections: Cause::ALL.map(
                |cause| counter!(EJECTIONS, "balancer" => balancer(), "cause" => cause.as_str()),
            ),
            nodes: Standing::ALL.map(
                |standing| gauge!(NODES, "balancer" => balancer(), "standing" => standing.as_str()),
            ),
            panic: gauge!(PANIC, "balancer" => balancer()),
            name: name.into(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Off the hot path: the handle is looked up each time.
    pub(crate) fn refused(&self, error: &Error) {
        if let Some(reason) = error.reason() {
            counter!(REFUSALS, "balancer" => self.name.to_string(), "reason" => reason)
                .increment(1);
        }
    }

    pub(crate) fn ejected(&self, cause: Cause) {
        for (counter, of) in self.ejections.iter().zip(Cause::ALL) {
            if of == cause {
                counter.increment(1);
            }
        }
    }

    pub(crate) fn nodes(&self, standings: impl Iterator<Item = Standing>) {
        let mut counts = [0_u32; Standing::ALL.len()];
        for standing in standings {
            counts[standing as usize] += 1;
        }
        for (gauge, standing) in self.nodes.iter().zip(Standing::ALL) {
            gauge.set(f64::from(counts[standing as usize]));
        }
    }

    pub(crate) fn panic(&self, panic: bool) {
        self.panic.set(if panic { 1.0 } else { 0.0 });
    }
}

const REQUESTS: &str = "seawall_balance_requests_total";
const REFUSALS: &str = "seawall_balance_refusals_total";
const EJECTIONS: &str = "seawall_balance_ejections_total";
const PROBES: &str = "seawall_balance_probes_total";
const NODES: &str = "seawall_balance_nodes";
const PANIC: &str = "seawall_balance_panic";
