//! One after the other.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Ask, Choose};
use crate::hash::mix;

#[derive(Debug, Default)]
pub(crate) struct RoundRobin {
    turn: AtomicU64,
}

impl RoundRobin {
    /// For the next set: it does not start over at the first node, which many
    /// small changes would favour.
    pub(crate) fn carry_on(&self) -> Self {
        Self { turn: AtomicU64::new(self.turn.load(Ordering::Relaxed)) }
    }
}

impl Choose for RoundRobin {
    #[inline]
    fn choose<N>(&self, ask: &Ask<'_, N>) -> Option<usize> {
        let open = &ask.view.open;
        for _ in 0..open.len() {
            // A node that is passed over loses its turn; were its turn given to
            // the next node, that one would always have two.
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let index = open[(turn % open.len() as u64) as usize] as usize;
            if ask.fits(index) && ask.takes(index, mix(turn)) {
                return Some(index);
            }
        }
        // Other threads may have taken the turns of the nodes that fit.
        open.iter().map(|index| *index as usize).find(|index| ask.fits(*index))
    }
}
