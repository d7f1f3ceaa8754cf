use super::{Scaler, View};
use crate::capacity::{Planner, PlannerConfig, Service};

/// The policy of this crate: [`Planner`] on the rate of the last seconds.
#[derive(Clone, Debug)]
pub struct Seawall {
    planner: Planner,
}

impl Seawall {
    /// At these settings.
    #[must_use]
    pub fn new(config: PlannerConfig, service: Service) -> Self {
        Self { planner: Planner::new(config, service, PERIOD) }
    }
}

impl Scaler for Seawall {
    fn name(&self) -> &'static str {
        "seawall"
    }

    fn period(&self) -> f64 {
        PERIOD
    }

    fn decide(&mut self, view: &View<'_>) -> u32 {
        let Some(load) = view.history.rate(0.0, PERIOD) else { return view.total };
        // Until a decision of the next period has become instances.
        let horizon = view.start_delay + PERIOD;
        self.planner.plan(view.now, load, view.backlog, view.total, horizon).target
    }
}

const PERIOD: f64 = 15.0;
