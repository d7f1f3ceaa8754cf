//! An external scaler for KEDA: KEDA asks over gRPC, and the answer is the engine's decision.
//!
//! The metric is the number of instances that the engine wants, and its target is 1, so that the
//! HPA which KEDA makes computes just that number; KEDA takes the workload to zero and back.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use seawall_scale::actuate::keda::{Keda, KedaConfig};
//!
//! let keda = Keda::new(KedaConfig::default())?;
//! let web = keda.group("web");
//! // After each decision:
//! web.publish(4);
//! // With tonic's features `router` and `server`:
//! // tonic::transport::Server::builder().add_service(keda.service()).serve(address).await?;
//! # drop(keda.service());
//! # Ok(())
//! # }
//! ```
//!
//! The trigger (`external-push` so that a wake from zero needs no poll):
//!
//! ```yaml
//! triggers:
//!   - type: external-push
//!     metadata:
//!       scalerAddress: engine.default:9000
//!       group: web        # default: the name of the ScaledObject
//! ```

mod feed;
mod scaler;
#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    unreachable_pub,
    unused_qualifications,
    missing_docs,
    reason = "generated"
)]
#[rustfmt::skip]
mod wire;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;

pub use self::feed::KedaGroup;
use self::feed::Reading;
pub use self::scaler::KedaScaler;
pub use self::wire::external_scaler_server::ExternalScalerServer;
use crate::ConfigError;

/// How KEDA is answered.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct KedaConfig {
    /// How old a decision may be; an older one is answered by `UNAVAILABLE`, so that the
    /// `fallback` of the ScaledObject takes over. Default 60 s, 1 s to 1 d.
    #[cfg_attr(feature = "serde", serde(with = "crate::text::duration"))]
    pub max_age: Duration,
}

impl Default for KedaConfig {
    fn default() -> Self {
        Self { max_age: Duration::from_secs(60) }
    }
}

impl KedaConfig {
    /// Checks every bound.
    ///
    /// # Errors
    /// The field that is out of bounds.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let s = Duration::from_secs;
        ConfigError::duration("max_age", self.max_age, (s(1), s(86_400)))
    }
}

/// The scaling groups that KEDA may ask about. Clones are the same.
#[derive(Clone, Debug)]
pub struct Keda {
    config: KedaConfig,
    groups: Arc<RwLock<BTreeMap<Box<str>, watch::Receiver<Reading>>>>,
}

impl Keda {
    /// No groups yet.
    ///
    /// # Errors
    /// The configuration does not validate.
    pub fn new(config: KedaConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self { config, groups: Arc::default() })
    }

    /// A group by the name that the trigger's metadata say. A second call with the same name
    /// replaces the first: KEDA then hears the new one's decisions, and open streams end.
    #[must_use]
    pub fn group(&self, name: &str) -> KedaGroup {
        let (group, reading) = KedaGroup::new();
        let mut groups = self.groups.write().unwrap_or_else(PoisonError::into_inner);
        groups.insert(name.into(), reading);
        group
    }

    /// Forgets a group; KEDA hears `NOT_FOUND`. Whether there was one.
    pub fn remove(&self, name: &str) -> bool {
        let mut groups = self.groups.write().unwrap_or_else(PoisonError::into_inner);
        groups.remove(name).is_some()
    }

    /// The gRPC service, for `tonic::transport::Server` or a router of axum.
    #[must_use]
    pub fn service(&self) -> ExternalScalerServer<KedaScaler> {
        ExternalScalerServer::new(KedaScaler::new(self.clone()))
    }

    fn reading(&self, name: &str) -> Option<watch::Receiver<Reading>> {
        self.groups.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}
