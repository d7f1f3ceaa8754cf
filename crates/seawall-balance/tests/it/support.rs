//! Short ways to say what the tests say often.

use std::time::Duration;

use seawall_balance::{BalanceConfig, Balancer, Member, Outcome, PickOptions, Policy};
use tokio::time::Instant;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn config(policy: Policy) -> BalanceConfig {
    BalanceConfig { seed: Some(7), ..BalanceConfig::new("test", policy) }
}

/// Nodes `0..nodes` of weight 1, made at `now`.
pub(crate) fn balancer(config: BalanceConfig, nodes: usize, now: Instant) -> Balancer<usize> {
    let balancer = Balancer::new(config, now).unwrap();
    balancer.update(0..nodes, now).unwrap();
    balancer
}

/// Nodes `0..` of these weights.
pub(crate) fn weighted(config: BalanceConfig, weights: &[u32], now: Instant) -> Balancer<usize> {
    let balancer = Balancer::new(config, now).unwrap();
    let members = weights.iter().enumerate().map(|(id, weight)| Member::new(id).weight(*weight));
    balancer.update(members, now).unwrap();
    balancer
}

/// Picks once without a key, answers at once.
pub(crate) fn serve(balancer: &Balancer<usize>, now: Instant) -> usize {
    end(balancer, now, Outcome::Success)
}

/// Picks once without a key, and ends it so, at the same moment.
pub(crate) fn end(balancer: &Balancer<usize>, now: Instant, outcome: Outcome) -> usize {
    let pick = balancer.next(now).unwrap();
    let id = *pick.id();
    pick.finish(outcome, now);
    id
}

/// Where the key goes when nothing is outstanding.
pub(crate) fn home<N>(balancer: &Balancer<N>, key: u64, now: Instant) -> N
where
    N: std::fmt::Debug + Clone + Eq + std::hash::Hash,
{
    let pick = balancer.pick(&PickOptions::new().key(&key), now).unwrap();
    let id = pick.id().clone();
    pick.finish(Outcome::Success, now);
    id
}

/// Lets exactly this node's next requests fail; others are not asked.
pub(crate) fn fail(balancer: &Balancer<usize>, node: usize, times: usize, now: Instant) {
    let only = |id: &usize| *id == node;
    for _ in 0..times {
        let pick = balancer.pick(&PickOptions::new().filter(&only), now).unwrap();
        pick.finish(Outcome::Failure, now);
    }
}

/// How often each of `nodes` is picked in `times` picks, answered at once.
pub(crate) fn spread(
    balancer: &Balancer<usize>,
    nodes: usize,
    times: usize,
    now: Instant,
) -> Vec<usize> {
    let mut counts = vec![0; nodes];
    for _ in 0..times {
        counts[serve(balancer, now)] += 1;
    }
    counts
}
