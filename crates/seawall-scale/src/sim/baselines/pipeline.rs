/// How a measurement reaches a policy: the age, the smoothing and the pace of what it decides on.
/// Each baseline has its own; with one for all, decisions are compared and not freshness.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the protocol has these three")]
pub struct Pipeline {
    /// Seconds from the end of the measured window until it is seen.
    pub lag: f64,
    /// Seconds that are measured together.
    pub window: f64,
    /// Seconds between two looks.
    pub period: f64,
}

impl Pipeline {
    /// CPU of an HPA: kubelet and metrics server make it 30 s late.
    pub const HPA: Self = Self { lag: 30.0, window: 60.0, period: 15.0 };
    /// A rate from Prometheus, polled by KEDA.
    pub const KEDA: Self = Self { lag: 15.0, window: 60.0, period: 30.0 };
    /// Points of a minute.
    pub const CLOUD: Self = Self { lag: 0.0, window: 60.0, period: 60.0 };
    /// The stable window of Knative at its pace; a tenth of it tells a panic.
    pub const KNATIVE: Self = Self { lag: 0.0, window: 60.0, period: 2.0 };
    /// Pushed by the service itself.
    pub const FRESH: Self = Self { lag: 0.0, window: 15.0, period: 15.0 };
}
