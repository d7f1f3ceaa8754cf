use std::collections::VecDeque;

/// A linear forecast for each of some distances, learned online: a regression of the value then on
/// what is known now, by weighed least squares that forget, and robust, for a value that is far
/// from what was foreseen counts less (Huber's weights).
///
/// What is known is the last value and its means over some lengths: a heterogeneous
/// autoregression (Corsi 2009). Values are offsets from something that the owner knows, and
/// without anything learned they are expected to vanish slowly.
///
/// Cost: an observation is constant for each of the distances.
#[derive(Clone, Debug)]
pub(super) struct Direct {
    means: [f64; N],
    begun: bool,
    /// What was known, newest last, as far back as the longest distance.
    known: VecDeque<[f64; N]>,
    fits: Vec<Fit>,
}

/// One distance.
#[derive(Clone, Debug)]
struct Fit {
    steps: u32,
    matrix: [[f64; N]; N],
    right: [f64; N],
    weights: [f64; N],
    scale: f64,
    count: u32,
}

impl Direct {
    pub(super) fn new() -> Self {
        let fit = |steps: &u32| Fit {
            steps: *steps,
            matrix: [[0.0; N]; N],
            right: [0.0; N],
            weights: [0.5, 0.3, 0.2],
            scale: 0.0,
            count: 0,
        };
        Self {
            means: [0.0; N],
            begun: false,
            known: VecDeque::new(),
            fits: DISTANCES.iter().map(fit).collect(),
        }
    }

    /// An offset; `None` where nothing was measured.
    pub(super) fn observe(&mut self, offset: Option<f64>) {
        if let Some(offset) = offset {
            for fit in &mut self.fits {
                let steps = fit.steps as usize;
                let Some(before) = self.known.len().checked_sub(steps) else { continue };
                if let Some(known) = self.known.get(before) {
                    fit.learn(known, offset);
                }
            }
            for (mean, share) in self.means.iter_mut().zip(SHARES) {
                let share = if self.begun { share } else { 1.0 };
                *mean += share * (offset - *mean);
            }
            self.begun = true;
        }
        self.known.push_back(self.means);
        if self.known.len() > DISTANCES[DISTANCES.len() - 1] as usize {
            self.known.pop_front();
        }
    }

    /// The offset expected `steps` ahead, between the nearest distances.
    pub(super) fn forecast(&self, steps: u32) -> f64 {
        let at = |fit: &Fit| (0..N).map(|i| fit.weights[i] * self.means[i]).sum::<f64>();
        let mut before: Option<&Fit> = None;
        for fit in &self.fits {
            if fit.steps >= steps {
                let Some(before) = before else { return at(fit) };
                let log = |steps: u32| f64::from(steps.max(1)).ln();
                let share = (log(steps) - log(before.steps)) / (log(fit.steps) - log(before.steps));
                return at(before) + share * (at(fit) - at(before));
            }
            before = Some(fit);
        }
        before.map_or(0.0, at)
    }
}

impl Fit {
    fn learn(&mut self, known: &[f64; N], value: f64) {
        let foreseen: f64 = (0..N).map(|i| self.weights[i] * known[i]).sum();
        let error = (value - foreseen).abs();
        let share = (1.0 / f64::from(self.count + 1)).max(1.0 - KEPT);
        self.scale += share * (error - self.scale);
        // Beyond two mean errors an error counts as much as at two of them.
        let weight = if error > 2.0 * self.scale { 2.0 * self.scale / error } else { 1.0 };
        for row in 0..N {
            for column in 0..N {
                let cell = &mut self.matrix[row][column];
                *cell = KEPT * *cell + weight * known[row] * known[column];
            }
            self.right[row] = KEPT * self.right[row] + weight * known[row] * value;
        }
        self.count = self.count.saturating_add(1);
        // Weights move slowly: a solution every few steps does.
        if self.count >= ENOUGH
            && self.count.is_multiple_of(8)
            && let Some(weights) = solve(self.matrix, self.right)
        {
            self.weights = weights;
        }
    }
}

/// Gauss elimination with a little of the diagonal added, so that what never moved stays out.
fn solve(mut matrix: [[f64; N]; N], mut right: [f64; N]) -> Option<[f64; N]> {
    let ridge = (0..N).map(|i| matrix[i][i]).sum::<f64>() * RIDGE + f64::MIN_POSITIVE;
    (0..N).for_each(|i| matrix[i][i] += ridge);
    for pivot in 0..N {
        for row in pivot + 1..N {
            let share = matrix[row][pivot] / matrix[pivot][pivot];
            let above = matrix[pivot];
            for (cell, above) in matrix[row].iter_mut().zip(above).skip(pivot) {
                *cell -= share * above;
            }
            right[row] -= share * right[pivot];
        }
    }
    let mut found = [0.0; N];
    for row in (0..N).rev() {
        let rest: f64 = (row + 1..N).map(|column| matrix[row][column] * found[column]).sum();
        found[row] = (right[row] - rest) / matrix[row][row];
    }
    found.iter().all(|weight| weight.abs() < 10.0).then_some(found)
}

const N: usize = 3;
/// Of the means: the last value, about five steps, about thirty.
const SHARES: [f64; N] = [1.0, 0.3, 0.06];
const DISTANCES: [u32; 9] = [1, 2, 4, 8, 15, 30, 60, 120, 240];
/// About two thousand steps are remembered.
const KEPT: f64 = 0.9995;
const RIDGE: f64 = 1e-4;
/// Pairs before the first fit.
const ENOUGH: u32 = 32;
