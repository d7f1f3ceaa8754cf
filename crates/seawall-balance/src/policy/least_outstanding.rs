//! The node with the fewest requests outstanding for its weight.

use super::{Ask, Choose};
use crate::hash::{mix, unit};

#[derive(Debug)]
pub(crate) struct LeastOutstanding;

impl Choose for LeastOutstanding {
    fn choose<N>(&self, ask: &Ask<'_, N>) -> Option<usize> {
        let random = ask.random.next();
        let (mut best, mut least, mut ties) = (None, f32::INFINITY, 0.0);
        for index in ask.view.open.iter().map(|index| *index as usize) {
            if !ask.fits(index) {
                continue;
            }
            let share = ask.view.shares[index] * ask.ramp(index) as f32;
            let load = ask.node(index).outstanding.count() as f32 / share.max(f32::MIN_POSITIVE);
            if load > least {
                continue;
            }
            // Among equals by weight: each takes the place of those before it
            // with the probability of its part of their sum.
            ties = if load < least { share } else { ties + share };
            if load < least || unit(mix(random ^ index as u64)) * f64::from(ties) < f64::from(share)
            {
                best = Some(index);
            }
            least = load;
        }
        best
    }
}
