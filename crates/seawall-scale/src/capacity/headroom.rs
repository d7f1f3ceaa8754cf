use std::collections::VecDeque;

/// How much more the load may become within a horizon, as a factor of what is predicted now.
///
/// Each prediction is kept until its horizon is over; then the largest load since, as a
/// factor of it, is one sample. The headroom is a quantile of the samples of a window:
/// one-sided split conformal prediction (Vovk et al.; Lei et al. 2018), on a window because load
/// drifts. Until there are enough samples it leans on a prior: a service that
/// has been calm for an hour may not be calm.
///
/// Cost: constant memory for a window; an observation costs amortised constant time, a
/// quantile a scan of 256 counters.
#[derive(Clone, Debug)]
pub struct Headroom {
    /// Predictions whose horizon is not over: when it ends, and what was predicted.
    open: VecDeque<(f64, f64)>,
    /// Loads of the longest horizon, the largest first: a monotonic queue.
    peaks: VecDeque<(f64, f64)>,
    /// The bins of the samples of the window, oldest first.
    samples: VecDeque<u8>,
    counts: Box<[u32; BINS]>,
    most: usize,
    prior: f64,
}

impl Headroom {
    /// Of the last `samples` predictions. `prior`: the factor to begin with.
    #[must_use]
    pub fn new(samples: usize, prior: f64) -> Self {
        Self {
            open: VecDeque::new(),
            peaks: VecDeque::new(),
            samples: VecDeque::new(),
            counts: Box::new([0; BINS]),
            most: samples.max(1),
            prior: prior.max(LEAST),
        }
    }

    /// The load at `now` (seconds on any clock) was `load`, and `predicted` is what is expected of
    /// the time until `now + horizon`. What is not a number above 0 teaches nothing.
    pub fn observe(&mut self, now: f64, load: f64, predicted: f64, horizon: f64) {
        if !(load >= 0.0 && load.is_finite() && now.is_finite()) {
            return;
        }
        while self.peaks.back().is_some_and(|(_, smaller)| *smaller <= load) {
            self.peaks.pop_back();
        }
        self.peaks.push_back((now, load));
        while let Some((end, predicted)) = self.open.front().copied().filter(|(end, _)| *end <= now)
        {
            self.open.pop_front();
            let from = end - horizon;
            let peak = self.peaks.iter().find(|(at, _)| *at > from).map_or(load, |(_, peak)| *peak);
            self.learn(peak / predicted);
        }
        while self.peaks.len() > 1 && self.peaks.front().is_some_and(|(at, _)| *at <= now - horizon)
        {
            self.peaks.pop_front();
        }
        if predicted > 0.0 && predicted.is_finite() && horizon >= 0.0 {
            self.open.push_back((now + horizon, predicted));
        }
    }

    fn learn(&mut self, factor: f64) {
        if self.samples.len() >= self.most
            && let Some(oldest) = self.samples.pop_front()
        {
            self.counts[usize::from(oldest)] -= 1;
        }
        let bin = bin(factor);
        self.samples.push_back(bin);
        self.counts[usize::from(bin)] += 1;
    }

    /// Samples there are.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples.len()
    }

    /// The factor that a share `quantile` of the samples did not exceed, and the prior weighed
    /// with it for as long as the window is not full. At least 1.
    #[must_use]
    pub fn factor(&self, quantile: f64) -> f64 {
        let count = self.samples.len();
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let (have, most) = (count as f64, self.most as f64);
        // The (n + 1) of split conformal prediction.
        let rank = (quantile.clamp(0.0, 1.0) * (have + 1.0)).ceil();
        let mut below = 0.0;
        let mut learned = self.prior;
        for (bin, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            below += f64::from(*count);
            learned = edge(bin);
            if below >= rank {
                break;
            }
        }
        let share = have / most;
        (share * learned + (1.0 - share) * learned.max(self.prior)).max(1.0)
    }
}

/// Factors from [`LEAST`] up, each bin 1 % wider than the one before.
fn bin(factor: f64) -> u8 {
    let bin = ((factor / LEAST).ln() / STEP.ln()).clamp(0.0, 255.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let bin = bin as u8;
    bin
}

/// The upper edge of a bin.
fn edge(bin: usize) -> f64 {
    LEAST * STEP.powi(i32::try_from(bin).unwrap_or(i32::MAX) + 1)
}

const BINS: usize = 256;
const LEAST: f64 = 0.5;
const STEP: f64 = 1.0125;
