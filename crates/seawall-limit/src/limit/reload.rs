//! Other policies and rules, from one request to the next.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use metrics::{Counter, counter, describe_counter};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::config::LayerConfig;
use super::gate::{Gate, KeyFn};
use super::layer::{LimitLayer, LimitLayerBuilder};
use super::rule::Rule;
use crate::client::PeerFn;
#[cfg(feature = "redis")]
use crate::cluster::ClusterLimiter;
use crate::error::Error;
use crate::lists::Desk;
use crate::moment::Moment;

/// What code said of a gate, as a file cannot.
#[derive(Clone, Default)]
pub(crate) struct Said {
    pub(crate) key: Option<Arc<KeyFn>>,
    pub(crate) peer: Option<Arc<PeerFn>>,
    pub(crate) lists: Option<Arc<Desk>>,
    #[cfg(feature = "redis")]
    pub(crate) cluster: Option<ClusterLimiter>,
    /// Added to those of a file.
    pub(crate) rules: Vec<Rule>,
    pub(crate) allowed: Vec<Box<str>>,
}

/// What all services of a layer share.
pub(crate) struct Shared {
    gate: ArcSwap<Gate>,
    /// One at a time.
    reloading: Mutex<()>,
    applied: Counter,
    refused: Counter,
}

impl Shared {
    pub(crate) fn new(gate: Gate) -> Self {
        describe_counter!(RELOADS, "Configurations given to a quota layer that runs, by outcome.");
        Self {
            gate: ArcSwap::from_pointee(gate),
            reloading: Mutex::new(()),
            applied: counter!(RELOADS, "outcome" => "applied"),
            refused: counter!(RELOADS, "outcome" => "refused"),
        }
    }

    #[inline]
    pub(crate) fn gate(&self) -> Guard<Arc<Gate>> {
        self.gate.load()
    }

    pub(crate) fn is_current(&self, gate: &Arc<Gate>) -> bool {
        Arc::ptr_eq(&self.gate.load(), gate)
    }
}

impl LimitLayer {
    /// Puts another configuration into force for all services of this layer and
    /// its clones, between two requests.
    ///
    /// What code said stays: the peer address, `key_by`, lists, the cluster-wide
    /// limiter, and the rules and networks that were added to those of
    /// [`LayerConfig::builder`]. What `code` says again takes their place; of
    /// rules and of networks all, if it adds one. Of a layer that was built
    /// without a [`LayerConfig`] the rules and the networks go.
    ///
    /// Policies are the same if their names are. A key that has spent a share
    /// of the old quota has spent that share of the new: 60 of 100 become 30 of
    /// 50, rounded up to what the new quota counts in; who has nothing left has
    /// nothing left, and debt stays in proportion. A window of the modes
    /// `window` and `fixed` begins anew, unless the quota stays as it is. A
    /// policy that is gone is forgotten; one that is new is full. That holds for
    /// keys that begin or cease to be exceptions, and for the table's size.
    ///
    /// A decision under way at the change may be made twice, and so be charged
    /// under both; it is never lost. One whose response tells its cost is settled
    /// where it was let in, and so counts no more if that is the old one. Limiters
    /// and reservations that were taken from elsewhere stay with the limiter that
    /// made them, and so do other layers on the same limiter.
    ///
    /// Keys are brought over in this call, while requests are decided: about as
    /// long as a check for each key that is live, so call it where blocking is
    /// allowed if there are many. Both tables are in memory meanwhile. If keys
    /// shared the sketch of the old one, it stays until they have refilled.
    ///
    /// # Errors
    /// As [`LayerConfig::builder`] and [`LimitLayerBuilder::build`]. Then
    /// everything stays as it was, and `seawall_limit_reloads_total` counts a
    /// refusal.
    pub fn reload(
        &self,
        config: &LayerConfig,
        code: impl FnOnce(LimitLayerBuilder) -> LimitLayerBuilder,
    ) -> Result<(), Error> {
        let shared = self.shared();
        let _one_at_a_time = shared.reloading.lock();
        let before = shared.gate.load_full();
        let gate = config.after(Some(&before)).and_then(|builder| code(builder).gate());
        let gate = gate.inspect_err(|error| {
            shared.refused.increment(1);
            tracing::warn!(%error, "a new configuration of quotas is refused: the old one stays");
        })?;
        let limiter = gate.limiter().cloned();
        let now = Moment::from(Instant::now()).nanos();
        if let Some(limiter) = &limiter {
            limiter.shared().begin(now);
        }
        shared.gate.store(Arc::new(gate));
        if let Some(limiter) = &limiter {
            limiter.shared().finish(now);
        }
        shared.applied.increment(1);
        Ok(())
    }
}

const RELOADS: &str = "seawall_limit_reloads_total";
