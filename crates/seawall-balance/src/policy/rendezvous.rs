//! Highest random weight (Thaler and Ravishankar 1998), with weights by the
//! logarithmic method (Schindelhauer and Schomaker 2005).

use super::{Ask, Choose};
use crate::hash::{mix, unit};

#[derive(Debug)]
pub(crate) struct Rendezvous;

impl Choose for Rendezvous {
    fn choose<N>(&self, ask: &Ask<'_, N>) -> Option<usize> {
        let key = ask.key();
        let fitting = || ask.view.open.iter().map(|i| *i as usize).filter(|i| ask.fits(*i));
        highest(ask, key, fitting().filter(|index| ask.takes(*index, key)))
            .or_else(|| highest(ask, key, fitting()))
    }
}

/// Of `nodes` the key's own.
pub(super) fn highest<N>(
    ask: &Ask<'_, N>,
    key: u64,
    nodes: impl Iterator<Item = usize>,
) -> Option<usize> {
    let mut best = None;
    let mut most = f64::NEG_INFINITY;
    for index in nodes {
        let score = score(ask, key, index);
        if best.is_none() || score > most {
            (best, most) = (Some(index), score);
        }
    }
    best
}

/// How much the key is drawn to the node; of no other node does it depend, save
/// for the mean of the weights, which scales all alike.
#[inline]
pub(super) fn score<N>(ask: &Ask<'_, N>, key: u64, index: usize) -> f64 {
    let chance = unit(mix(key ^ ask.node(index).hash));
    // At even weights the order is that of the chances, and no logarithm is needed.
    if ask.view.alias.is_none() { chance } else { -f64::from(ask.view.shares[index]) / chance.ln() }
}
