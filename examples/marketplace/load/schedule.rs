//! When each request is due: a Poisson process whose rate follows the shape.
//!
//! Open model: a slow answer never delays the next request, as it would not for
//! independent users. Thinning (Lewis and Shedler, 1979): draw at the peak rate,
//! keep each arrival with the probability of its moment.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use super::trace::Shape;

/// The arrivals of one run, in order, as offsets from its start.
#[derive(Debug)]
pub struct Schedule {
    shape: Shape,
    peak: f64,
    at: f64,
    random: StdRng,
}

impl Schedule {
    /// Arrivals at `peak` requests a second in the busiest moment of `shape`.
    pub fn new(shape: Shape, peak: f64, random: StdRng) -> Self {
        Self { shape, peak, at: 0.0, random }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        loop {
            let uniform: f64 = self.random.random();
            // 1 - u is never 0, so the logarithm is finite.
            self.at -= (1.0 - uniform).ln() / self.peak;
            if self.at >= self.shape.duration().as_secs_f64() {
                return None;
            }
            if self.random.random::<f64>() < self.shape.at(self.at) {
                return Some(Duration::from_secs_f64(self.at));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn arrivals_follow_the_area_under_the_shape_and_repeat_by_seed() {
        let shape = Shape::load(None, Duration::from_secs(60), 120.0).unwrap();
        let area: f64 =
            (0..6000).map(|i| shape.at((f64::from(i) + 0.5) / 100.0)).sum::<f64>() / 100.0;
        let draw = || -> Vec<Duration> {
            Schedule::new(shape.clone(), 500.0, StdRng::seed_from_u64(7)).collect()
        };
        let (first, again) = (draw(), draw());
        assert_eq!(first, again);
        let expected = 500.0 * area;
        // Five standard deviations of a Poisson count.
        assert!((first.len() as f64 - expected).abs() < 5.0 * expected.sqrt());
        assert!(first.is_sorted());
    }
}
