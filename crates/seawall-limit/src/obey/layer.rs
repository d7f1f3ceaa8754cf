//! Configuration of the client layer.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use http::Uri;
use tower_layer::Layer;

use super::config::ObeyConfig;
use super::hosts::Hosts;
use super::service::ObeyService;
use crate::error::Error;

/// A tower layer for outgoing requests that keeps to what servers say:
/// `Retry-After` of 429 and 503, and `RateLimit` in all its forms. Clones share
/// what was learnt.
///
/// ```
/// use std::time::Duration;
/// use seawall_limit::{ObeyConfig, ObeyLayer};
///
/// let config = ObeyConfig { max_wait: Duration::from_secs(5), ..ObeyConfig::default() };
/// let layer = ObeyLayer::new(config)?; // around a client such as hyper-util's
/// # let _ = layer;
/// # Ok::<(), seawall_limit::Error>(())
/// ```
///
/// A host that said to wait is sent nothing until then, and then one request,
/// whose answer decides on the others. A host that said how many requests are
/// left is sent no more than those, less the ones on their way. A request that
/// must wait longer than `max_wait` fails at once with
/// [`ObeyError::Limited`](super::ObeyError::Limited) and is not sent; it is safe
/// to send it later. Nothing is retried: a 429 is handed out as it came.
///
/// Dropping the response future while it waits takes nothing away from others;
/// dropping it after the request was sent says nothing of the host.
#[derive(Clone)]
pub struct ObeyLayer {
    shared: Arc<Shared>,
}

impl ObeyLayer {
    /// A layer that tells servers apart by the authority of the request's URI. All
    /// requests whose URI has none, but a path alone, count as to one server.
    ///
    /// # Errors
    /// If the configuration is out of bounds.
    pub fn new(config: ObeyConfig) -> Result<Self, Error> {
        config.validate()?;
        let hosts = Arc::new(Hosts::new(config.max_hosts));
        Ok(Self { shared: Arc::new(Shared { config, hosts, key: None }) })
    }

    /// Tells quotas apart otherwise: by host and API key, for instance, or by
    /// the part of an API that has a quota of its own. Call it before the layer
    /// is cloned; what was learnt stays.
    #[must_use]
    pub fn key_by<F>(mut self, key: F) -> Self
    where
        F: Fn(&Uri, &HeaderMap) -> Box<str> + Send + Sync + 'static,
    {
        let Shared { config, hosts, .. } = &*self.shared;
        let (config, hosts) = (config.clone(), Arc::clone(hosts));
        self.shared = Arc::new(Shared { config, hosts, key: Some(Box::new(key)) });
        self
    }
}

impl<S> Layer<S> for ObeyLayer {
    type Service = ObeyService<S>;

    fn layer(&self, inner: S) -> ObeyService<S> {
        ObeyService::new(inner, Arc::clone(&self.shared))
    }
}

impl fmt::Debug for ObeyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObeyLayer").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

type KeyFn = dyn Fn(&Uri, &HeaderMap) -> Box<str> + Send + Sync;

/// What all services of one layer share.
pub(crate) struct Shared {
    pub(crate) config: ObeyConfig,
    pub(crate) hosts: Arc<Hosts>,
    key: Option<Box<KeyFn>>,
}

impl Shared {
    pub(crate) fn key(&self, uri: &Uri, headers: &HeaderMap) -> Box<str> {
        match &self.key {
            Some(key) => key(uri, headers),
            None => uri.authority().map_or("", http::uri::Authority::as_str).into(),
        }
    }
}
