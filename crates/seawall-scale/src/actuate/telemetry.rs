use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

use super::Observed;

/// Handles of one reconciler.
#[derive(Debug)]
pub(crate) struct Telemetry {
    wanted: Gauge,
    running: Gauge,
    ready: Gauge,
    following: Gauge,
    foreign: Counter,
    group: String,
    actuator: &'static str,
}

impl Telemetry {
    pub(crate) fn new(group: &str, actuator: &'static str) -> Self {
        describe_gauge!(WANTED, Unit::Count, "Instances that the world is to have.");
        describe_gauge!(RUNNING, Unit::Count, "Instances seen, also those that are starting.");
        describe_gauge!(READY, Unit::Count, "Instances seen that serve.");
        describe_gauge!(FOLLOWING, Unit::Count, "1 while the world does as it is told, else 0.");
        describe_counter!(FOREIGN, Unit::Count, "Changes of size seen that somebody else made.");
        describe_counter!(ACTUATIONS, Unit::Count, "Looks that failed, and writes, by outcome.");
        let gauge = |name| gauge!(name, "group" => group.to_owned(), "actuator" => actuator);
        Self {
            wanted: gauge(WANTED),
            running: gauge(RUNNING),
            ready: gauge(READY),
            following: gauge(FOLLOWING),
            foreign: counter!(FOREIGN, "group" => group.to_owned(), "actuator" => actuator),
            group: group.to_owned(),
            actuator,
        }
    }

    pub(crate) fn wanted(&self, target: u32) {
        self.wanted.set(f64::from(target));
    }

    pub(crate) fn seen(&self, observed: &Observed) {
        self.running.set(f64::from(observed.running));
        self.ready.set(f64::from(observed.ready));
    }

    pub(crate) fn foreign(&self) {
        self.foreign.increment(1);
    }

    pub(crate) fn following(&self, does: bool) {
        self.following.set(f64::from(u8::from(does)));
    }

    /// Rare, so the handle is looked up each time.
    pub(crate) fn outcome(&self, outcome: &'static str) {
        counter!(ACTUATIONS, "group" => self.group.clone(), "actuator" => self.actuator, "outcome" => outcome)
            .increment(1);
    }
}

const WANTED: &str = "seawall_scale_actuator_wanted";
const RUNNING: &str = "seawall_scale_actuator_running";
const READY: &str = "seawall_scale_actuator_ready";
const FOLLOWING: &str = "seawall_scale_actuator_following";
const FOREIGN: &str = "seawall_scale_external_writes_total";
const ACTUATIONS: &str = "seawall_scale_actuations_total";
