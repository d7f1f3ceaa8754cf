//! nginx's smooth weighted round robin.
//!
//! Each pick adds to every node its weight and takes the node with the most,
//! which then gives back the sum. Weights 5, 1, 1 give a a b a c a a, not
//! a a a a a b c. (`ngx_http_upstream_round_robin.c`, Maxim Dounin 2012; without
//! its `effective_weight`, in whose place ejection and slow start stand.)

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::{Ask, Choose};

#[derive(Debug, Default)]
pub(crate) struct SmoothWeighted {
    /// Guards `Node::current` of all nodes, which outlive this set; so does the lock.
    round: Arc<Mutex<()>>,
}

impl SmoothWeighted {
    /// For the next set.
    pub(crate) fn carry_on(&self) -> Self {
        Self { round: Arc::clone(&self.round) }
    }
}

impl Choose for SmoothWeighted {
    fn choose<N>(&self, ask: &Ask<'_, N>) -> Option<usize> {
        let _round = self.round.lock();
        let (mut sum, mut best) = (0, None);
        for index in ask.view.open.iter().map(|index| *index as usize) {
            if !ask.fits(index) {
                continue;
            }
            let weight = f64::from(ask.view.members.weights[index]) * ask.ramp(index);
            let weight = ((weight * SCALE) as i64).max(1);
            let node = ask.node(index);
            let current = node.current.load(Ordering::Relaxed) + weight;
            node.current.store(current, Ordering::Relaxed);
            sum += weight;
            if best.is_none_or(|(_, most)| current > most) {
                best = Some((index, current));
            }
        }
        let (index, current) = best?;
        ask.node(index).current.store(current - sum, Ordering::Relaxed);
        Some(index)
    }
}

/// So that a tenth of a weight of 1 is still a whole number.
const SCALE: f64 = 1_024.0;
