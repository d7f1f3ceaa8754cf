use std::time::Duration;

use super::Pipeline;
use crate::hpa::{
    Answer, Behaviour, Controller, Faults, Hpa as Spec, Memory, Metric, Source, Target, Tolerance,
    World, reconcile,
};
use crate::sim::{Scaler, View};

/// The Kubernetes HPA on CPU, with rules at their defaults: metrics 30 s late, of a minute, every
/// 15 s.
#[derive(Clone, Debug)]
pub struct Hpa {
    target: f64,
    pipeline: Pipeline,
    loop_: Loop,
}

impl Hpa {
    /// Aiming at this utilisation.
    #[must_use]
    pub fn new(target: f64) -> Self {
        Self { target, pipeline: Pipeline::HPA, loop_: Loop::default() }
    }

    /// With metrics by this way.
    #[must_use]
    pub fn through(self, pipeline: Pipeline) -> Self {
        Self { pipeline, ..self }
    }

    /// What the controller makes of CPU use: whole per cents, ready pods, and those that start
    /// taken for idle where the group is to grow.
    fn wish(&self, use_: f64, view: &View<'_>) -> f64 {
        let tolerance = Tolerance::default();
        let (ready, total) = (f64::from(view.ready), f64::from(view.total));
        let ratio = (use_ * 100.0).floor() / (self.target * 100.0).round();
        if ratio > 1.0 && total > ready {
            let again = (use_ * ready / total * 100.0).floor() / (self.target * 100.0).round();
            return if tolerance.holds(again) || again < 1.0 { total } else { again * total };
        }
        if tolerance.holds(ratio) { total } else { ratio * ready }
    }
}

impl Scaler for Hpa {
    fn name(&self) -> &'static str {
        "hpa"
    }

    fn period(&self) -> f64 {
        self.pipeline.period
    }

    fn decide(&mut self, view: &View<'_>) -> u32 {
        match view.history.utilisation(self.pipeline.lag, self.pipeline.window) {
            Some(use_) => {
                let wish = self.wish(use_, view);
                self.loop_.decide(view, wish.ceil(), 1.0, Tolerance { down: 0.0, up: 0.0 })
            }
            None => view.total,
        }
    }
}

/// KEDA on requests a second: metrics 15 s late, of a minute, polled every 30 s, the HPA's loop
/// every 15 s.
#[derive(Clone, Debug)]
pub struct Keda {
    per_instance: f64,
    pipeline: Pipeline,
    polled: Option<(f64, f64)>,
    loop_: Loop,
}

impl Keda {
    /// Aiming at so many requests a second for each instance.
    #[must_use]
    pub fn new(per_instance: f64) -> Self {
        let (pipeline, loop_) = (Pipeline::KEDA, Loop::default());
        Self { per_instance, pipeline, polled: None, loop_ }
    }

    /// With metrics by this way.
    #[must_use]
    pub fn through(self, pipeline: Pipeline) -> Self {
        Self { pipeline, ..self }
    }
}

impl Scaler for Keda {
    fn name(&self) -> &'static str {
        "keda"
    }

    fn period(&self) -> f64 {
        15.0
    }

    fn decide(&mut self, view: &View<'_>) -> u32 {
        let Pipeline { lag, window, period } = self.pipeline;
        if self.polled.is_none_or(|(at, _)| view.now - at >= period)
            && let Some(rate) = view.history.rate(lag, window)
        {
            self.polled = Some((view.now, rate));
        }
        match self.polled {
            Some((_, rate)) => {
                self.loop_.decide(view, rate, self.per_instance, Tolerance::default())
            }
            None => view.total,
        }
    }
}

/// The same on the rate of the last 15 s, with no lag.
#[derive(Clone, Debug)]
pub struct Fresh {
    per_instance: f64,
    loop_: Loop,
}

impl Fresh {
    /// Aiming at so many requests a second for each instance.
    #[must_use]
    pub fn new(per_instance: f64) -> Self {
        Self { per_instance, loop_: Loop::default() }
    }
}

impl Scaler for Fresh {
    fn name(&self) -> &'static str {
        "fresh"
    }

    fn period(&self) -> f64 {
        15.0
    }

    fn decide(&mut self, view: &View<'_>) -> u32 {
        match view.history.rate(0.0, 15.0) {
            Some(rate) => self.loop_.decide(view, rate, self.per_instance, Tolerance::default()),
            None => view.total,
        }
    }
}

/// The controller with rules at their defaults, on one total.
#[derive(Clone, Debug, Default)]
struct Loop {
    memory: Memory,
}

impl Loop {
    fn decide(&mut self, view: &View<'_>, total: f64, each: f64, tolerance: Tolerance) -> u32 {
        let thousandths = |value: f64| (value * 1_000.0) as i64;
        let hpa = Spec {
            min: 1,
            max: i32::MAX,
            metrics: vec![Metric {
                source: Source::External,
                target: Target::Average(thousandths(each)),
                answer: Some(Answer::Values(vec![thousandths(total)])),
            }],
            behaviour: Some(Behaviour::default()),
        };
        let size = i32::try_from(view.total).unwrap_or(i32::MAX);
        let world = World { spec_replicas: size, status_replicas: size, ..World::default() };
        let controller = Controller { tolerance, ..Controller::default() };
        let now = Duration::try_from_secs_f64(view.now).unwrap_or_default();
        let memory = &mut self.memory;
        let done = reconcile(&controller, &hpa, &world, memory, Faults::default(), now);
        u32::try_from(done.desired).unwrap_or_default()
    }
}
