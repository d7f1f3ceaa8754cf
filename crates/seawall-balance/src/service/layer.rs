//! Configuration of the balancing service.

use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;

use futures_util::Stream;
use tokio::time::Instant;
use tower_layer::Layer;

use super::service::BalanceService;
use crate::balancer::Balancer;
use crate::change::Change;
use crate::classify::{ErrorsFail, NoKey};
use crate::config::BalanceConfig;
use crate::error::Error;

/// A tower layer around a stream of discovered services (not around a service):
/// what it makes is one service that picks one of them for each request.
///
/// Each [`layer`](Layer::layer) makes a balancer of its own.
#[derive(Debug, Clone)]
pub struct BalanceLayer<Request, C = ErrorsFail, K = NoKey> {
    config: BalanceConfig,
    classify: C,
    key: K,
    request: PhantomData<fn(Request)>,
}

impl<Request> BalanceLayer<Request> {
    /// Errors count as failures, and requests have no keys.
    ///
    /// # Errors
    /// If the configuration is out of bounds.
    pub fn new(config: BalanceConfig) -> Result<Self, Error> {
        config.validate()?;
        Ok(Self { config, classify: ErrorsFail, key: NoKey, request: PhantomData })
    }
}

impl<Request, C, K> BalanceLayer<Request, C, K> {
    /// How requests ended, as far as the nodes are concerned; see [`Classify`](crate::Classify).
    #[must_use]
    pub fn classify<C2>(self, classify: C2) -> BalanceLayer<Request, C2, K> {
        let Self { config, key, request, .. } = self;
        BalanceLayer { config, classify, key, request }
    }

    /// The key of a request, for policies that use keys; see [`KeyOf`](crate::KeyOf).
    #[must_use]
    pub fn key<K2>(self, key: K2) -> BalanceLayer<Request, C, K2> {
        let Self { config, classify, request, .. } = self;
        BalanceLayer { config, classify, key, request }
    }
}

impl<D, N, S, E, Request, C, K> Layer<D> for BalanceLayer<Request, C, K>
where
    D: Stream<Item = Result<Change<N, S>, E>>,
    N: fmt::Debug + Clone + Eq + Hash,
    C: Clone,
    K: Clone,
{
    type Service = BalanceService<D, N, S, Request, C, K>;

    fn layer(&self, discover: D) -> Self::Service {
        let balancer = Balancer::unchecked(self.config.clone(), Instant::now());
        BalanceService::new(discover, balancer, self.classify.clone(), self.key.clone())
    }
}
