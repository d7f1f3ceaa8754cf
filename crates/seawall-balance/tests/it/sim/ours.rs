//! This crate's balancer in the simulation: passive signals only, no probes.

use seawall_balance::{BalanceConfig, Balancer, Error, Outcome, Pick, PickOptions, Policy};
use tokio::time::Instant;

use super::{NODES, Subject};

/// With the defaults, for one policy.
pub(crate) struct Ours {
    balancer: Balancer<usize>,
}

impl Ours {
    /// Must be called within the simulation's runtime, for its clock.
    pub(crate) fn new(policy: Policy, seed: u64) -> Result<Self, Error> {
        let config = BalanceConfig { seed: Some(seed), ..BalanceConfig::new("sim", policy) };
        Self::with(config)
    }

    /// With a configuration of one's own.
    pub(crate) fn with(config: BalanceConfig) -> Result<Self, Error> {
        let balancer = Balancer::new(config, Instant::now())?;
        balancer.update(0..NODES, Instant::now())?;
        Ok(Self { balancer })
    }
}

impl Subject for Ours {
    type Token = Option<Pick<usize>>;

    fn pick(&mut self, key: u64) -> (usize, Self::Token) {
        // The defaults panic rather than refuse, so that there always is one.
        let pick = self.balancer.pick(&PickOptions::new().key_hash(key), Instant::now()).ok();
        (pick.as_ref().map_or(0, |pick| *pick.id()), pick)
    }

    fn finish(&mut self, token: Self::Token, good: bool) {
        if let Some(pick) = token {
            pick.finish(if good { Outcome::Success } else { Outcome::Failure }, Instant::now());
        }
    }

    fn timed_out(&mut self, token: Self::Token) {
        self.finish(token, false);
    }
}
