use super::Pipeline;
use crate::sim::{Scaler, View};

/// The autoscaler of Knative: concurrency over a minute, and over a tenth of it in a panic.
/// Its buffering of requests is not modelled.
#[derive(Clone, Copy, Debug)]
pub struct Knative {
    /// Concurrency for each instance.
    target: f64,
    pipeline: Pipeline,
    panic: Option<Panic>,
}

#[derive(Clone, Copy, Debug)]
struct Panic {
    /// When it was last reason enough.
    since: f64,
    /// The most it asked for.
    most: u32,
}

impl Knative {
    /// Aiming at so many requests at a time for each instance.
    #[must_use]
    pub fn new(target: f64) -> Self {
        Self { target, pipeline: Pipeline::KNATIVE, panic: None }
    }

    /// With metrics by this way.
    #[must_use]
    pub fn through(self, pipeline: Pipeline) -> Self {
        Self { pipeline, ..self }
    }
}

impl Scaler for Knative {
    fn name(&self) -> &'static str {
        "knative"
    }

    fn period(&self) -> f64 {
        self.pipeline.period
    }

    fn decide(&mut self, view: &View<'_>) -> u32 {
        let Pipeline { lag, window: long, .. } = self.pipeline;
        let wish = |window| {
            let concurrency = view.history.concurrency(lag, window)?;
            Some((concurrency / self.target).ceil() as u32)
        };
        let (Some(stable), Some(short)) = (wish(long), wish(long * SHORT)) else {
            return view.total;
        };
        let ready = view.ready.max(1);
        if f64::from(short) / f64::from(ready) >= 2.0 {
            let most = self.panic.map_or(0, |panic| panic.most);
            self.panic = Some(Panic { since: view.now, most });
        } else if self.panic.is_some_and(|panic| view.now - panic.since >= long) {
            self.panic = None;
        }
        let wish = match &mut self.panic {
            Some(panic) => {
                panic.most = panic.most.max(stable).max(short).max(view.total);
                panic.most
            }
            None => stable,
        };
        // Up a thousandfold, down by half at most.
        wish.clamp(view.ready / 2, ready.saturating_mul(1_000))
    }
}

/// The share of the stable window that tells a panic.
const SHORT: f64 = 0.1;
