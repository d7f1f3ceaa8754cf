//! Consistent hashing on a ring (Karger et al. 1997) with bounded loads
//! (Mirrokni, Thorup, Zadimoghaddam 2016).
//!
//! A key goes to the first point at or after it whose node has less than
//! `load_bound` times its share of all requests outstanding, this one included.
//! When a node leaves, only its keys move, and when one joins it takes only its own,
//! as long as no bound is met.

use std::sync::atomic::Ordering;

use super::{Ask, Choose, Seat};
use crate::hash::random;

#[derive(Debug)]
pub(crate) struct Ring {
    /// Where on the ring, and whose; ascending.
    points: Box<[(u64, u32)]>,
}

impl Ring {
    pub(crate) fn new(seats: &[Seat], points: u32) -> Self {
        let weighty = seats.iter().filter(|seat| seat.weight > 0);
        let (count, sum) = weighty
            .fold((0_u64, 0), |(count, sum), seat| (count + 1, sum + u64::from(seat.weight)));
        let mean = sum as f64 / count.max(1) as f64;
        let mut ring = Vec::new();
        for (index, seat) in (0..).zip(seats).filter(|(_, seat)| seat.weight > 0) {
            let own = (f64::from(points) * f64::from(seat.weight) / mean).round().max(1.0);
            // A node of twice the weight has the points it had, and others.
            ring.extend((0..own as u64).map(|point| (random(seat.hash, point), index)));
        }
        ring.sort_unstable();
        Self { points: ring.into() }
    }
}

impl Choose for Ring {
    fn choose<N>(&self, ask: &Ask<'_, N>) -> Option<usize> {
        let key = ask.key();
        let start = self.points.partition_point(|(point, _)| *point < key);
        let around = self.points[start..].iter().chain(&self.points[..start]);
        let total = ask.settings.total.as_ref().map_or(0, |total| total.load(Ordering::Relaxed));
        let all = total.max(0) as f64 + 1.0;
        let mean = ask.settings.load_bound * all / ask.view.open.len() as f64;
        let (mut fallback, mut last) = (None, usize::MAX);
        for index in around.map(|(_, index)| *index as usize) {
            if index == last || !ask.is_open(index) || !ask.fits(index) {
                continue;
            }
            last = index;
            fallback = fallback.or(Some(index));
            let bound = (mean * f64::from(ask.view.shares[index])).ceil();
            let count = f64::from(ask.node(index).outstanding.count());
            if count < bound && ask.takes(index, key) {
                return Some(index);
            }
        }
        // All that fit are at their bounds, for others hold the rest of the load.
        fallback
    }
}
