use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use tower_layer::Layer;

use super::service::Cached;
use crate::cache::Cache;
use crate::loaded::Loaded;

/// Answers requests from a [`Cache`], and asks the inner service for what it lacks: once, however
/// many requests of one key wait.
///
/// For any service whose response is `Clone`: a client of another service, a repository, a
/// renderer. Not for HTTP responses as such: it knows nothing of `Cache-Control` and `Vary`.
///
/// `key` says what a request asks for. Requests for which it gives `None` (writes, requests of one
/// user) pass to the inner service, uncached.
///
/// ```
/// use seawall_cache::{Cache, CacheLayer};
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let squares: Cache<u64, u64> = Cache::local("square").build()?;
/// let mut service = ServiceBuilder::new()
///     .layer(CacheLayer::new(squares, |number: &u64| Some(*number)))
///     .service(service_fn(|number: u64| async move { Ok::<_, std::io::Error>(number * number) }));
/// assert_eq!(service.ready().await?.call(7).await?, 49);
/// # Ok(())
/// # }
/// ```
///
/// The layer is always ready: a hit does not wait for the inner service's capacity. A miss waits
/// for it inside the load, on a clone of the service.
pub struct CacheLayer<K: Hash + Eq, V, F> {
    cache: Cache<K, V>,
    key: F,
    keep: Keep<V>,
}

impl<K: Hash + Eq, V: 'static, F> CacheLayer<K, V, F> {
    /// Keeps every response as the cache's configuration says.
    pub fn new(cache: Cache<K, V>, key: F) -> Self {
        Self { cache, key, keep: Arc::new(Loaded::new) }
    }

    /// Says of each response how to keep it: its TTL, its tags, or not at all.
    ///
    /// ```
    /// # use seawall_cache::{Cache, CacheLayer, Loaded};
    /// # #[derive(Clone)] struct Answer { ok: bool }
    /// # fn example(cache: Cache<u64, Answer>) {
    /// CacheLayer::new(cache, |id: &u64| Some(*id)).keep(|answer: Answer| match answer.ok {
    ///     true => Loaded::new(answer),
    ///     false => Loaded::new(answer).uncached(),
    /// });
    /// # }
    /// ```
    #[must_use]
    pub fn keep(mut self, keep: impl Fn(V) -> Loaded<V> + Send + Sync + 'static) -> Self {
        self.keep = Arc::new(keep);
        self
    }
}

impl<S, K: Hash + Eq, V, F: Clone> Layer<S> for CacheLayer<K, V, F> {
    type Service = Cached<S, K, V, F>;

    fn layer(&self, inner: S) -> Self::Service {
        Cached::new(inner, self.cache.clone(), self.key.clone(), Arc::clone(&self.keep))
    }
}

// By hand: a derive would ask for `K: Clone, V: Clone`.
impl<K: Hash + Eq, V, F: Clone> Clone for CacheLayer<K, V, F> {
    fn clone(&self) -> Self {
        Self { cache: self.cache.clone(), key: self.key.clone(), keep: Arc::clone(&self.keep) }
    }
}

impl<K: Hash + Eq, V, F> fmt::Debug for CacheLayer<K, V, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheLayer").field("cache", &self.cache).finish_non_exhaustive()
    }
}

pub(super) type Keep<V> = Arc<dyn Fn(V) -> Loaded<V> + Send + Sync>;
