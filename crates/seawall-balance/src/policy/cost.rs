//! What a request would wait for at a node.
//!
//! `latency * (1 + outstanding / share) / success²`, where the latency is the
//! peak-EWMA or, if that is more, the mean age of the requests outstanding: a
//! node that stopped answering grows dearer by the moment. A node of twice the
//! weight works its queue off twice as fast. A node that was not measured yet is
//! taken to be as fast as the one it is compared with.

use crate::node::Reading;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    latency: Option<f32>,
    age: f32,
    /// Requests in the way, over the square of the success ratio.
    factor: f32,
}

impl Cost {
    #[inline]
    pub(crate) fn new(reading: Reading, count: u32, age: f32, share: f32) -> Self {
        let queue = 1.0 + count as f32 / share.max(f32::MIN_POSITIVE);
        Self { latency: reading.latency, age, factor: queue / (reading.success * reading.success) }
    }

    /// Whether `self` costs no more than `other`, times `margin`.
    #[inline]
    pub(crate) fn within(&self, other: &Self, margin: f32) -> bool {
        let (mine, theirs) = match (self.latency, other.latency) {
            (Some(mine), Some(theirs)) => (mine, theirs),
            (Some(known), None) | (None, Some(known)) => (known, known),
            (None, None) => (LEAST, LEAST),
        };
        let (mine, theirs) = (mine.max(self.age), theirs.max(other.age));
        mine * self.factor <= theirs * other.factor * margin
    }
}

/// Seconds, for two nodes of which nothing is known but the queue.
const LEAST: f32 = 1e-6;

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(latency: Option<f32>, success: f32, count: u32, age: f32, share: f32) -> Cost {
        Cost::new(Reading { latency, success }, count, age, share)
    }

    fn cheaper(a: Cost, b: Cost) {
        assert!(a.within(&b, 1.0) && !b.within(&a, 1.0), "{a:?} {b:?}");
    }

    #[test]
    fn a_node_nobody_measured_is_compared_by_its_queue() {
        cheaper(cost(None, 1.0, 0, 0.0, 1.0), cost(Some(0.01), 1.0, 1, 0.001, 1.0));
        cheaper(cost(Some(5.0), 1.0, 0, 0.0, 1.0), cost(None, 1.0, 1, 0.0, 1.0));
        cheaper(cost(None, 1.0, 1, 0.0, 1.0), cost(None, 1.0, 2, 0.0, 1.0));
    }

    #[test]
    fn a_node_that_stopped_answering_grows_dearer_before_anything_times_out() {
        let well = cost(Some(0.01), 1.0, 3, 0.005, 1.0);
        cheaper(cost(Some(0.01), 1.0, 1, 0.005, 1.0), well);
        cheaper(well, cost(Some(0.01), 1.0, 1, 0.2, 1.0));
        cheaper(well, cost(None, 1.0, 1, 0.2, 1.0));
    }

    #[test]
    fn a_node_that_fails_fast_is_not_a_fast_node() {
        cheaper(cost(Some(0.1), 1.0, 5, 0.0, 1.0), cost(Some(0.001), 0.02, 0, 0.0, 1.0));
        cheaper(cost(Some(0.1), 1.0, 5, 0.0, 1.0), cost(None, 0.02, 0, 0.0, 1.0));
    }

    #[test]
    fn a_queue_weighs_half_at_twice_the_share() {
        let (heavy, light) = (cost(Some(1.0), 1.0, 8, 0.0, 2.0), cost(Some(1.0), 1.0, 4, 0.0, 1.0));
        assert!(heavy.within(&light, 1.0) && light.within(&heavy, 1.0));
        // No share at all is no division by zero.
        cheaper(light, cost(Some(1.0), 1.0, 1, 0.0, 0.0));
    }
}
