//! Signals from outside: what the machine says of its load.

use std::time::Duration;

/// How hard the machine works, as plain numbers that the caller reads where it likes (cgroup
/// files, `/proc/pressure`, the runtime's own metrics). `None` is not known.
///
/// Each number has a point from which load is shed and one at which all is that is below
/// [`Criticality::Critical`](crate::Criticality::Critical); the worst of them counts. What was
/// told is forgotten after 10 s, so that a feeder that dies sheds nothing for ever.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[expect(clippy::exhaustive_structs, reason = "plain numbers that callers write down")]
pub struct Pressure {
    /// Share of the processors that is busy, 0 to 1. Sheds from 0.9 to 1.
    pub cpu: Option<f64>,
    /// Share of the memory limit that is used, 0 to 1. Sheds from 0.85 to 0.97.
    pub memory: Option<f64>,
    /// Share of time in which tasks stood still (PSI `some avg10` divided by 100). Sheds from
    /// 0.4 to 0.9.
    pub stall: Option<f64>,
    /// How long a task that is ready waits for a thread. Sheds from 20 ms (DAGOR's figure) to
    /// 200 ms.
    pub scheduling_delay: Option<Duration>,
}

impl Pressure {
    /// The share of load to shed, 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        let delay = self.scheduling_delay.map(|delay| delay.as_secs_f64());
        [
            ramp(self.cpu, 0.9, 1.0),
            ramp(self.memory, 0.85, 0.97),
            ramp(self.stall, 0.4, 0.9),
            ramp(delay, 0.02, 0.2),
        ]
        .into_iter()
        .fold(0.0, f64::max)
    }
}

/// 0 up to `from`, 1 from `to`. NaN is 0.
fn ramp(value: Option<f64>, from: f64, to: f64) -> f64 {
    value.map_or(0.0, |value| ((value - from) / (to - from)).clamp(0.0, 1.0)).max(0.0)
}
