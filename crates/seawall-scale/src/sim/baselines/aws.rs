use super::Pipeline;
use crate::sim::{Scaler, View};

/// Target tracking as in AWS: points of a minute; out after three of them above the target, in
/// after fifteen below nine tenths of it.
#[derive(Clone, Debug)]
pub struct TargetTracking {
    target: f64,
    pipeline: Pipeline,
    alarms: Alarms,
    last_in: f64,
}

impl TargetTracking {
    /// Aiming at this utilisation.
    #[must_use]
    pub fn new(target: f64) -> Self {
        let (pipeline, alarms) = (Pipeline::CLOUD, Alarms::default());
        Self { target, pipeline, alarms, last_in: f64::NEG_INFINITY }
    }

    /// With metrics by this way: as many points as before, of another length.
    #[must_use]
    pub fn through(self, pipeline: Pipeline) -> Self {
        Self { pipeline, ..self }
    }
}

impl Scaler for TargetTracking {
    fn name(&self) -> &'static str {
        "target_tracking"
    }

    fn period(&self) -> f64 {
        self.pipeline.period
    }

    fn decide(&mut self, view: &View<'_>) -> u32 {
        let Pipeline { lag, window, .. } = self.pipeline;
        let Some(use_) = view.history.utilisation(lag, window) else { return view.total };
        self.alarms.point(use_, self.target, 0.9 * self.target);
        // Of those that work; what starts already counts.
        let wanted = (f64::from(view.ready) * use_ / self.target).ceil() as u32;
        if self.alarms.above >= OUT_POINTS {
            return wanted.max(view.total);
        }
        if self.alarms.below >= IN_POINTS && view.now - self.last_in >= COOLDOWN {
            let wanted = wanted.min(view.total);
            if wanted < view.total {
                self.last_in = view.now;
            }
            return wanted;
        }
        view.total
    }
}

/// Step scaling as in AWS: a tenth more for each tenth above the target, a tenth less below five
/// sevenths of it.
#[derive(Clone, Debug)]
pub struct StepScaling {
    target: f64,
    alarms: Alarms,
    last_in: f64,
}

impl StepScaling {
    /// With bands from this utilisation on.
    #[must_use]
    pub fn new(target: f64) -> Self {
        Self { target, alarms: Alarms::default(), last_in: f64::NEG_INFINITY }
    }
}

impl Scaler for StepScaling {
    fn name(&self) -> &'static str {
        "step"
    }

    fn period(&self) -> f64 {
        POINT
    }

    fn decide(&mut self, view: &View<'_>) -> u32 {
        let Some(use_) = view.history.utilisation(0.0, POINT) else { return view.total };
        self.alarms.point(use_, self.target, self.target * 5.0 / 7.0);
        let ready = f64::from(view.ready);
        if self.alarms.above >= OUT_POINTS {
            let bands = ((use_ - self.target) / 0.1).floor().clamp(0.0, 2.0) + 1.0;
            // While some start, a step adds only what is missing of it.
            return ((ready * (1.0 + 0.1 * bands)).ceil() as u32).max(view.total);
        }
        if self.alarms.below >= IN_POINTS && view.now - self.last_in >= COOLDOWN {
            self.last_in = view.now;
            return view.total - ((f64::from(view.total) * 0.1).floor() as u32).max(1);
        }
        view.total
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Alarms {
    above: u32,
    below: u32,
}

impl Alarms {
    fn point(&mut self, use_: f64, high: f64, low: f64) {
        self.above = if use_ > high { self.above + 1 } else { 0 };
        self.below = if use_ < low { self.below + 1 } else { 0 };
    }
}

const POINT: f64 = 60.0;
const OUT_POINTS: u32 = 3;
const IN_POINTS: u32 = 15;
const COOLDOWN: f64 = 300.0;
