//! Gradual rejection: from how much must be shed to whom.
//!
//! The share to shed follows the load that is above what gets started; the arrivals per level
//! then say at which level to cut. One cohort after another is turned away, rather than everybody
//! at times. After DAGOR's histogram and Cinnamon's controller.

use super::priority::{Criticality, LEVELS, PLACES};

/// A cut through the levels, in 256ths of a level: what is below is turned away.
pub(crate) type Cut = u32;
/// The steps within a level, so that one level can be shed in part.
pub(crate) const STEPS: u32 = 256;

/// What happened since the last turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flow {
    pub(crate) arrived: f64,
    pub(crate) started: f64,
    /// What could have been started, going by the limit and the latency.
    pub(crate) able: f64,
    /// Whether a queue stood through all of it, for long enough to be no burst.
    pub(crate) standing: bool,
    /// Whether to leave the queue's share as it is: the limit is low on purpose.
    pub(crate) hold: bool,
    /// The share that outside signals ask to shed.
    pub(crate) asked: f64,
    /// How many turns' time has passed: where few come, few turns are made.
    pub(crate) turns: u32,
}

#[derive(Debug)]
pub(crate) struct Valve {
    /// Arrivals per level, smoothed.
    levels: Box<[f32]>,
    arrived: f64,
    started: f64,
    /// The share that the queue asks to shed.
    share: f64,
    /// The share that is shed: the queue's or that of outside signals.
    shed: f64,
    /// What the share goes down by, the longer the faster.
    release: f64,
}

impl Valve {
    pub(crate) fn new() -> Self {
        Self {
            levels: vec![0.0; LEVELS].into_boxed_slice(),
            arrived: 0.0,
            started: 0.0,
            share: 0.0,
            shed: 0.0,
            release: RELEASE,
        }
    }

    /// The share of arrivals that is to be turned away, 0 to 1.
    pub(crate) fn shed(&self) -> f64 {
        self.shed
    }

    /// Takes in the arrivals of one level since the last turn.
    pub(crate) fn count(&mut self, level: usize, arrivals: u32) {
        let smooth = &mut self.levels[level];
        *smooth += (arrivals as f32 - *smooth) * SMOOTH as f32;
    }

    /// After a pause: the load from before it is gone.
    pub(crate) fn forget(&mut self) {
        (self.arrived, self.started) = (0.0, 0.0);
        (self.share, self.release) = (0.0, RELEASE);
    }

    /// One turn, each 100 ms. The new cut.
    pub(crate) fn turn(&mut self, flow: &Flow) -> Cut {
        self.arrived += (flow.arrived - self.arrived) * SMOOTH;
        self.started += (flow.started - self.started) * SMOOTH;
        if flow.hold {
            self.release = RELEASE;
        } else if flow.standing {
            let above = (1.0 - self.started / self.arrived.max(1.0)).max(0.0);
            self.share += (above - self.share) * FOLLOW + PUSH;
            self.release = RELEASE;
        } else {
            // Slots are free: as many may come as could be started, at least.
            let above = (1.0 - flow.able / self.arrived.max(1.0)).max(0.0);
            for _ in 0..flow.turns {
                let back = ((self.share - above) * FOLLOW).max(0.0);
                self.share -= back.max(self.release);
                self.release = (self.release * FASTER).min(MOST_RELEASE);
            }
        }
        self.share = self.share.clamp(0.0, MOST);
        let queue = self.cut(self.share);
        // A busy machine is no reason to turn away what matters.
        let asked = self.cut(flow.asked).min(FIRST_CRITICAL * STEPS);
        self.shed = self.share.max(flow.asked);
        queue.max(asked)
    }

    /// Where to cut so that `share` of the arrivals is below.
    fn cut(&self, share: f64) -> Cut {
        if share <= 0.0 {
            return 0;
        }
        let all: f64 = self.levels.iter().map(|count| f64::from(*count)).sum();
        if all <= 0.0 {
            return (share * (LEVELS as u32 * STEPS) as f64) as Cut;
        }
        let mut left = all * share;
        for (level, count) in self.levels.iter().enumerate() {
            let count = f64::from(*count);
            if count > 0.0 && count >= left {
                let part = left / count * f64::from(STEPS);
                return level as u32 * STEPS + part as u32;
            }
            left -= count;
        }
        LEVELS as u32 * STEPS
    }
}

const SMOOTH: f64 = 0.25;
/// How quickly the share follows what is above capacity.
const FOLLOW: f64 = 0.3;
/// Added while a queue stands, taken away while none does, per turn.
const PUSH: f64 = 0.01;
const RELEASE: f64 = 0.01;
const FASTER: f64 = 1.25;
const MOST_RELEASE: f64 = 0.05;
/// Some always get through, or nothing would tell that it is over.
const MOST: f64 = 0.99;
const FIRST_CRITICAL: u32 = Criticality::Critical as u32 * PLACES as u32;
