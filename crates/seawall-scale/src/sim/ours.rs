use super::baselines::Pipeline;
use super::{Scaler, View};
use crate::capacity::{Planner, PlannerConfig, Service};

/// The policy of this crate: [`Planner`] on the rate of the last seconds.
#[derive(Clone, Debug)]
pub struct Seawall {
    planner: Planner,
    pipeline: Pipeline,
}

impl Seawall {
    /// At these settings.
    #[must_use]
    pub fn new(config: PlannerConfig, service: Service) -> Self {
        Self::through(Pipeline::FRESH, config, service)
    }

    /// With metrics by another way than [`Pipeline::FRESH`].
    #[must_use]
    pub fn through(pipeline: Pipeline, config: PlannerConfig, service: Service) -> Self {
        Self { planner: Planner::new(config, service, pipeline.period), pipeline }
    }
}

impl Scaler for Seawall {
    fn name(&self) -> &'static str {
        "seawall"
    }

    fn period(&self) -> f64 {
        self.pipeline.period
    }

    fn decide(&mut self, view: &View<'_>) -> u32 {
        let Pipeline { lag, window, period } = self.pipeline;
        let Some(load) = view.history.rate(lag, window) else { return view.total };
        // Until a decision of the next period has become instances; what is late is to be
        // foreseen as well.
        let horizon = view.start_delay + period + lag;
        self.planner.plan(view.now, load, view.backlog, view.total, horizon).target
    }
}
