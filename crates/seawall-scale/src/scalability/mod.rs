//! Where more instances get less done: the Universal Scalability Law, fitted to what was measured.
//!
//! ```
//! use seawall_scale::scalability::Usl;
//!
//! let measured = [(2.0, 194.0), (4.0, 360.0), (8.0, 613.0), (12.0, 773.0), (16.0, 863.0)];
//! let law = Usl::fit(&measured).ok_or("no law fits")?;
//! let peak = law.peak().ok_or("no peak")?;
//! assert!((22.0..27.0).contains(&peak), "{peak}");
//! # Ok::<_, &str>(())
//! ```
//!
//! Source: N. J. Gunther, "A General Theory of Computational Scalability Based on Rational
//! Functions" (arXiv 0808.1431), and "Guerrilla Capacity Planning" (2007), chapters 4 to 6. Fitted
//! by weighted least squares on `n / X(n)`, in which the law is linear, with coefficients not below
//! zero; weights make errors relative, and Huber's make one wrong point count less.

use std::cmp::Ordering;

/// `X(n) = rate * n / (1 + contention * (n - 1) + coherency * n * (n - 1))`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the law has three coefficients")]
pub struct Usl {
    /// What one instance gets done alone, in requests a second or whatever was measured.
    pub rate: f64,
    /// The share of the work that only one can do at a time.
    pub contention: f64,
    /// What keeping each pair of instances in agreement costs, as a share of the work.
    pub coherency: f64,
}

impl Usl {
    /// The law nearest to points of (instances, throughput), of which at least three at different
    /// sizes are needed. Points that are not finite and above zero do not count. `None` if there
    /// are too few, or no such law exists.
    ///
    /// Throughput must be all that the group could do at that size: one that was limited by how
    /// much was asked for says nothing of it.
    ///
    /// Cost: linear in the points.
    #[must_use]
    pub fn fit(points: &[(f64, f64)]) -> Option<Self> {
        Points::new(points)?.law()
    }

    /// What `instances` get done.
    #[must_use]
    pub fn throughput(&self, instances: f64) -> f64 {
        instances / self.inverse(instances)
    }

    /// The size that gets the most done; `None` if there is no end to it.
    #[must_use]
    pub fn peak(&self) -> Option<f64> {
        let peak = ((1.0 - self.contention).max(0.0) / self.coherency).sqrt();
        peak.is_finite().then(|| peak.max(1.0))
    }

    /// `n / X(n)`.
    fn inverse(&self, instances: f64) -> f64 {
        let others = instances - 1.0;
        (1.0 + self.contention * others + self.coherency * instances * others) / self.rate
    }
}

/// The last size worth growing to, by medians of what was measured at different sizes, smallest
/// first. `None` unless the law fits well, and every law that leaves out one of the points has a
/// peak within twice the largest size too: then the largest of them all, and no less than the size
/// that got the most done.
///
/// Cost: quadratic in the points, of which there are 32 at most.
pub(crate) fn last_worth(points: &[(f64, f64)]) -> Option<u32> {
    let (largest, _) = *points.last()?;
    if points.len() <= COEFFICIENTS {
        return None;
    }
    let mut rows = Points::new(points)?;
    let law = rows.reweigh()?;
    let off = |&(size, rate): &(f64, f64)| (law.throughput(size) / rate - 1.0).abs();
    if median(points.iter().map(off).collect()) > LOOSE {
        return None;
    }
    let near = |law: Usl| law.peak().filter(|peak| *peak <= 2.0 * largest).map(|_| law.best());
    let mut last = near(law)?;
    for left_out in 0..points.len() {
        last = last.max(near(rows.nearest(Some(left_out))?)?);
    }
    let most = points.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(last.max(most.0 as u32))
}

impl Usl {
    /// The peak as a whole number of instances.
    fn best(&self) -> u32 {
        let peak = self.peak().unwrap_or(f64::INFINITY);
        let (below, above) = (peak.floor(), peak.ceil());
        let best = match self.throughput(above).total_cmp(&self.throughput(below)) {
            Ordering::Greater => above,
            _ => below,
        };
        best as u32
    }
}

/// What a law is fitted to.
struct Points {
    rows: Vec<Row>,
    /// The largest size: everything is reckoned in shares of it.
    scale: f64,
}

impl Points {
    /// Those that count, if they are enough.
    fn new(points: &[(f64, f64)]) -> Option<Self> {
        let counts = |point: &&(f64, f64)| {
            point.0.is_finite() && point.0 >= 1.0 && point.1.is_finite() && point.1 > 0.0
        };
        let scale = points.iter().filter(counts).map(|point| point.0).fold(1.0, f64::max);
        let rows: Vec<Row> =
            points.iter().filter(counts).map(|point| Row::of(*point, scale)).collect();
        let mut sizes: Vec<f64> = rows.iter().map(|row| row.size).collect();
        sizes.sort_by(f64::total_cmp);
        sizes.dedup();
        (sizes.len() >= COEFFICIENTS).then_some(Self { rows, scale })
    }

    fn law(mut self) -> Option<Usl> {
        self.reweigh()
    }

    /// The nearest law, for which points far from it count less; they do from then on.
    fn reweigh(&mut self) -> Option<Usl> {
        let mut law = self.nearest(None)?;
        for _ in 0..ROUNDS {
            let off = |row: &Row| (row.inverse - law.inverse(row.size)).abs() / row.inverse;
            let usual = median(self.rows.iter().map(off).collect()) * TO_DEVIATION;
            if usual < EXACT {
                break;
            }
            for row in &mut self.rows {
                let weight = (HUBER * usual / off(row)).min(1.0);
                row.weight = weight / (row.inverse * row.inverse);
            }
            law = self.nearest(None)?;
        }
        Some(law)
    }

    /// The nearest law with no coefficient below zero, without one of the points.
    fn nearest(&self, left_out: Option<usize>) -> Option<Usl> {
        let rows = || {
            let all = self.rows.iter().enumerate();
            all.filter(move |(index, _)| Some(*index) != left_out).map(|(_, row)| row)
        };
        let mut sums = [[0.0; COEFFICIENTS + 1]; COEFFICIENTS];
        for row in rows() {
            for (line, left) in sums.iter_mut().zip(row.features) {
                let rights = row.features.into_iter().chain([row.inverse]);
                for (cell, right) in line.iter_mut().zip(rights) {
                    *cell += row.weight * left * right;
                }
            }
        }
        let law = |used: [bool; COEFFICIENTS]| {
            let [a, b, c] = solve(sums, used)?;
            let scale = self.scale;
            (a > 0.0 && b >= 0.0 && c >= 0.0).then(|| Usl {
                rate: 1.0 / a,
                contention: b / (a * scale),
                coherency: c / (a * scale * scale),
            })
        };
        // Where all may be as they come out, no other is nearer.
        if let Some(law) = law([true; COEFFICIENTS]) {
            return Some(law);
        }
        let error = |law: &Usl| -> f64 {
            rows().map(|row| row.weight * (row.inverse - law.inverse(row.size)).powi(2)).sum()
        };
        let others = [[true, true, false], [true, false, true], [true, false, false]];
        let others = others.into_iter().filter_map(law);
        others.min_by(|a, b| error(a).total_cmp(&error(b)))
    }
}

struct Row {
    size: f64,
    inverse: f64,
    weight: f64,
    /// What the coefficients are multiplied with.
    features: [f64; COEFFICIENTS],
}

impl Row {
    fn of((size, rate): (f64, f64), scale: f64) -> Self {
        let inverse = size / rate;
        let others = (size - 1.0) / scale;
        let features = [1.0, others, others * size / scale];
        Self { size, inverse, weight: 1.0 / (inverse * inverse), features }
    }
}

/// Least squares by its normal equations, with some coefficients zero.
fn solve(
    mut system: [[f64; COEFFICIENTS + 1]; COEFFICIENTS],
    used: [bool; COEFFICIENTS],
) -> Option<[f64; COEFFICIENTS]> {
    for (index, _) in used.iter().enumerate().filter(|(_, used)| !**used) {
        for line in &mut system {
            line[index] = 0.0;
        }
        system[index] = [0.0; COEFFICIENTS + 1];
        system[index][index] = 1.0;
    }
    for column in 0..COEFFICIENTS {
        let pivot = (column..COEFFICIENTS)
            .max_by(|&a, &b| system[a][column].abs().total_cmp(&system[b][column].abs()))?;
        system.swap(column, pivot);
        let head = system[column];
        if head[column].abs() < f64::MIN_POSITIVE {
            return None;
        }
        for (_, line) in system.iter_mut().enumerate().filter(|(index, _)| *index != column) {
            let factor = line[column] / head[column];
            for (cell, above) in line.iter_mut().zip(head) {
                *cell -= factor * above;
            }
        }
    }
    let mut answer = [0.0; COEFFICIENTS];
    for (index, value) in answer.iter_mut().enumerate() {
        *value = system[index][COEFFICIENTS] / system[index][index];
    }
    answer.iter().all(|value| value.is_finite()).then_some(answer)
}

/// The upper one of two in the middle; 0 of none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

const COEFFICIENTS: usize = 3;

/// Reweightings; what is far off is found in the first.
const ROUNDS: usize = 4;

/// From a median of absolute errors to a standard deviation, if errors are normal.
const TO_DEVIATION: f64 = 1.4826;

/// Huber's constant: 95 % as good as least squares where those are best.
const HUBER: f64 = 1.345;

/// A relative error that is rounding.
const EXACT: f64 = 1e-9;

/// A law is not believed if half of the points are further from it, as a share.
const LOOSE: f64 = 0.1;

#[cfg(test)]
mod tests;
