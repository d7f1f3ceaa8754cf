//! The policies that are compared, by name and by the one knob that each has.

use seawall_scale::capacity::{PlannerConfig, Service};
use seawall_scale::sim::baselines::{
    Fresh, Hpa, Keda, Knative, Oracle, Pipeline, Static, StepScaling, TargetTracking,
};
use seawall_scale::sim::{Bound, Fleet, Join, Load, LoadConfig, Scaler, Score, Seawall, Trace};
use seawall_scale::sim::{bound, run};

/// A policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Seawall,
    Hpa,
    Keda,
    TargetTracking,
    Step,
    Knative,
    Static,
    Fresh,
    Oracle,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Seawall,
        Self::Hpa,
        Self::Keda,
        Self::TargetTracking,
        Self::Step,
        Self::Knative,
        Self::Static,
        Self::Fresh,
        Self::Oracle,
    ];

    /// As in JSON and tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Seawall => "seawall",
            Self::Hpa => "hpa",
            Self::Keda => "keda",
            Self::TargetTracking => "target_tracking",
            Self::Step => "step",
            Self::Knative => "knative",
            Self::Static => "static",
            Self::Fresh => "fresh",
            Self::Oracle => "oracle",
        }
    }

    /// Ours has a price of a bad request, the others a target of utilisation.
    pub(crate) fn default_knob(self) -> f64 {
        if self == Self::Seawall { PlannerConfig::default().price } else { 0.7 }
    }

    /// Ready to play `stage`. `pipeline`: another one than its own, where it measures at all.
    pub(crate) fn build(
        self,
        knob: f64,
        pipeline: Option<Pipeline>,
        stage: &Stage,
    ) -> Box<dyn Scaler> {
        let service = stage.service;
        let rate = knob * service.rate;
        let or = |own| pipeline.unwrap_or(own);
        match self {
            Self::Seawall => {
                let mut config = PlannerConfig::default();
                config.price = knob;
                Box::new(Seawall::through(or(Pipeline::FRESH), config, service))
            }
            Self::Hpa => Box::new(Hpa::new(knob).through(or(Pipeline::HPA))),
            Self::Keda => Box::new(Keda::new(rate).through(or(Pipeline::KEDA))),
            Self::TargetTracking => {
                Box::new(TargetTracking::new(knob).through(or(Pipeline::CLOUD)))
            }
            Self::Step => Box::new(StepScaling::new(knob)),
            Self::Knative => {
                let target = knob * f64::from(service.slots);
                Box::new(Knative::new(target).through(or(Pipeline::KNATIVE)))
            }
            Self::Static => Box::new(Static::new(stage.peak_instances.ceil() as u32)),
            Self::Fresh => Box::new(Fresh::new(rate)),
            Self::Oracle => Box::new(Oracle::new(stage.least.clone(), stage.load.tick())),
        }
    }
}

/// One trace, ready to be played to any policy.
pub(crate) struct Stage {
    pub(crate) load: Load,
    pub(crate) fleet: Fleet,
    pub(crate) least: Bound,
    service: Service,
    pub(crate) peak_instances: f64,
}

/// How a trace is played.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) join: Join,
    pub(crate) peak_instances: f64,
    pub(crate) start_delay: f64,
    pub(crate) seed: u64,
    pub(crate) most_ticks: usize,
}

impl Stage {
    pub(crate) fn new(trace: &Trace, setting: Setting) -> Self {
        let Setting { join, peak_instances, start_delay, seed, most_ticks } = setting;
        let config = LoadConfig { peak_instances, join, seed, most_ticks, ..LoadConfig::default() };
        let load = Load::new(trace, config);
        // Room for five times the peak, as the protocol has it.
        let max = (peak_instances * 5.0).ceil() as u32;
        let fleet = Fleet { start_delay, max, seed, ..Fleet::default() };
        let least = bound(&load, fleet);
        Self { load, fleet, least, service: config.service, peak_instances }
    }

    pub(crate) fn play(&self, scaler: &mut dyn Scaler) -> (Score, Vec<u32>) {
        let outcome = run(&self.load, self.fleet, scaler);
        (outcome.score, outcome.ready)
    }
}
