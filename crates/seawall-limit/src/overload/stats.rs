//! The guard's own metrics, with handles made once.

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use super::law::Law;
use super::priority::Criticality;
use super::reason::Reason;

pub(crate) struct Stats {
    /// By criticality: admitted, then rejected by reason.
    outcomes: [[Counter; 1 + Reason::ALL.len()]; 4],
    queue: Histogram,
    limit: Gauge,
    inflight: Gauge,
    shed: Gauge,
    base: Gauge,
    latency: Gauge,
}

impl Stats {
    pub(crate) fn new(name: &str) -> Self {
        describe();
        let outcomes = Criticality::ALL.map(|class| {
            std::array::from_fn(|index| {
                let outcome = if index == 0 { "admitted" } else { Reason::ALL[index - 1].as_str() };
                counter!(REQUESTS, "name" => name.to_owned(), "criticality" => class.as_str(), "outcome" => outcome)
            })
        });
        let gauge = |metric: &'static str| gauge!(metric, "name" => name.to_owned());
        Self {
            outcomes,
            queue: histogram!(QUEUE, "name" => name.to_owned()),
            limit: gauge(LIMIT),
            inflight: gauge(INFLIGHT),
            shed: gauge(SHED),
            base: gauge(BASE),
            latency: gauge(LATENCY),
        }
    }

    /// After a wait of so many nanoseconds.
    pub(crate) fn admitted(&self, class: Criticality, waited: u64) {
        self.outcomes[class as usize][0].increment(1);
        if waited > 0 {
            self.queue.record(waited as f64 / 1e9);
        }
    }

    pub(crate) fn rejected(&self, class: Criticality, reason: Reason) {
        self.outcomes[class as usize][1 + reason as usize].increment(1);
    }

    pub(crate) fn gauges(&self, law: &Law, inflight: usize, shed: f64) {
        self.limit.set(law.limit() as f64);
        self.inflight.set(inflight as f64);
        self.shed.set(shed);
        self.base.set(law.base().unwrap_or(0.0));
        self.latency.set(law.latency().unwrap_or(0.0));
    }

    pub(crate) fn shedding(&self, begins: bool, limit: usize) {
        if begins {
            tracing::warn!(limit, "more arrives than can be served: turning away by priority");
        } else {
            tracing::info!(limit, "all that arrives can be served again");
        }
    }
}

fn describe() {
    describe_counter!(
        REQUESTS,
        "Requests to an overload guard, by criticality and by what became of them."
    );
    describe_histogram!(
        QUEUE,
        "How long requests waited for a slot, those that had to and got one."
    );
    describe_gauge!(LIMIT, "How many requests may run at once.");
    describe_gauge!(INFLIGHT, "How many requests run.");
    describe_gauge!(SHED, "The share of arrivals that is turned away for its priority.");
    describe_gauge!(BASE, "Latency without a queue in the service, as far as is known.");
    describe_gauge!(LATENCY, "Latency of late.");
}

const REQUESTS: &str = "seawall_limit_overload_requests_total";
const QUEUE: &str = "seawall_limit_overload_queue_seconds";
const LIMIT: &str = "seawall_limit_overload_limit";
const INFLIGHT: &str = "seawall_limit_overload_inflight";
const SHED: &str = "seawall_limit_overload_shed_ratio";
const BASE: &str = "seawall_limit_overload_base_latency_seconds";
const LATENCY: &str = "seawall_limit_overload_latency_seconds";
