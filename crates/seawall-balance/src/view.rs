//! What a pick reads: who is there, who may be picked, with which share.
//!
//! A view is made anew when something changes, and swapped in whole; a pick
//! works on the one it found. Latencies and counts live in the nodes.

use std::sync::Arc;

use crate::node::Node;
use crate::policy::{Alias, Picker};
use crate::state::{Admission, Shut};

/// The set, and the policy's table over it. Changes with the set only.
pub(crate) struct Members<N> {
    pub(crate) nodes: Box<[Arc<Node<N>>]>,
    pub(crate) weights: Box<[u32]>,
    pub(crate) picker: Picker,
}

pub(crate) struct View<N> {
    pub(crate) members: Arc<Members<N>>,
    /// Who may be picked: indices of nodes, ascending.
    pub(crate) open: Box<[u32]>,
    /// Who would be, were it not saturated.
    pub(crate) resting: Box<[u32]>,
    /// Who is open, by node.
    pub(crate) is_open: Box<[bool]>,
    /// Weights over their mean among the open ones, by node.
    pub(crate) shares: Box<[f32]>,
    /// Over `open`; none when all weights are equal.
    pub(crate) alias: Option<Alias>,
    /// Some open node is in its slow start.
    pub(crate) ramping: bool,
    /// When the slow start began of the open node that is furthest on; 0 is long ago.
    pub(crate) ramp_first: u64,
    pub(crate) panic: bool,
    pub(crate) shut: Option<Shut>,
}

impl<N> View<N> {
    /// `ramp` is set if some open node is starting: see [`ramp_first`](Self::ramp_first).
    pub(crate) fn new(members: Arc<Members<N>>, admission: Admission, ramp: Option<u64>) -> Self {
        let Admission { open, resting, panic, shut } = admission;
        let mut is_open = vec![false; members.nodes.len()];
        for index in &open {
            is_open[*index as usize] = true;
        }
        let weight = |index: &u32| f64::from(members.weights[*index as usize]);
        let mean = open.iter().map(weight).sum::<f64>() / (open.len().max(1) as f64);
        let shares: Box<[f32]> = members
            .weights
            .iter()
            .map(|weight| (f64::from(*weight) / mean.max(f64::MIN_POSITIVE)) as f32)
            .collect();
        let even = open.windows(2).all(|pair| weight(&pair[0]) == weight(&pair[1]));
        let alias = (!even).then(|| Alias::new(open.iter().map(|index| shares[*index as usize])));
        Self {
            members,
            open: open.into(),
            resting: resting.into(),
            is_open: is_open.into(),
            shares,
            alias,
            ramping: ramp.is_some(),
            ramp_first: ramp.unwrap_or(0),
            panic,
            shut,
        }
    }
}
