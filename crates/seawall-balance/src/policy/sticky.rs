//! Each key has a few nodes of its own, and among those the cheapest.
//!
//! A key's nodes are the first by rendezvous, so that when one of them is out the
//! next in line steps in and the others stay; what the key needs (a warm cache, a
//! session) is worth keeping on a few nodes, and none of them is a bottleneck alone.

use super::rendezvous::score;
use super::{Ask, Choose};

#[derive(Debug)]
pub(crate) struct Sticky;

impl Choose for Sticky {
    fn choose<N>(&self, ask: &Ask<'_, N>) -> Option<usize> {
        let key = ask.key();
        let wanted = ask.settings.replicas.min(MOST);
        let mut first = First { nodes: [(0, (false, 0.0)); MOST], len: 0 };
        for index in ask.view.open.iter().map(|index| *index as usize) {
            if ask.fits(index) {
                // In its slow start a node comes after all others for most keys.
                let rank = (ask.takes(index, key), score(ask, key, index));
                first.insert(index, rank, wanted);
            }
        }
        let (first, rest) = first.nodes[..first.len].split_first()?;
        let mut best = (first.0, ask.cost(first.0));
        for (index, _) in rest {
            let cost = ask.cost(*index);
            if !best.1.within(&cost, 1.0) {
                best = (*index, cost);
            }
        }
        Some(best.0)
    }
}

/// Whether the node takes the key, then how much the key is drawn to it.
type Rank = (bool, f64);

/// The highest ranks so far, the highest first.
struct First {
    nodes: [(usize, Rank); MOST],
    len: usize,
}

impl First {
    fn insert(&mut self, index: usize, rank: Rank, wanted: usize) {
        let place = self.nodes[..self.len].iter().take_while(|(_, other)| *other >= rank).count();
        if place < wanted {
            self.len = (self.len + 1).min(wanted);
            self.nodes[place..self.len].rotate_right(1);
            self.nodes[place] = (index, rank);
        }
    }
}

/// Of the configuration.
const MOST: usize = 16;
