use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::hash::Hash;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;

use super::future::CachedFuture;
use super::layer::Keep;
use crate::cache::Cache;
use crate::error::LoadError;
use crate::key::CacheKey;

/// A service whose responses [`CacheLayer`](super::CacheLayer) caches.
pub struct Cached<S, K: Hash + Eq, V, F> {
    inner: S,
    cache: Cache<K, V>,
    key: F,
    keep: Keep<V>,
}

impl<S, K: Hash + Eq, V, F> Cached<S, K, V, F> {
    pub(super) fn new(inner: S, cache: Cache<K, V>, key: F, keep: Keep<V>) -> Self {
        Self { inner, cache, key, keep }
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, Req, K, F> Service<Req> for Cached<S, K, S::Response, F>
where
    S: Service<Req> + Clone + Send + 'static,
    S::Response: Clone + Send + Sync + 'static,
    S::Error: StdError + Send + Sync + 'static,
    S::Future: Send + 'static,
    Req: Send + 'static,
    K: CacheKey + Clone + Send + Sync + 'static,
    F: Fn(&Req) -> Option<K>,
{
    type Response = S::Response;
    type Error = CachedError<S::Error>;
    type Future = CachedFuture<S::Response, S::Error>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let inner = self.inner.clone();
        let Some(key) = (self.key)(&request) else {
            return CachedFuture::new(async move {
                ask(inner, request).await.map_err(CachedError::Service)
            });
        };
        let (cache, keep) = (self.cache.clone(), Arc::clone(&self.keep));
        CachedFuture::new(async move {
            let load = move |_load| async move { ask(inner, request).await.map(|it| keep(it)) };
            let got = cache.get_or_load(&key, load).await.map_err(CachedError::Load)?;
            got.value.map(Arc::unwrap_or_clone).ok_or(CachedError::Absent)
        })
    }
}

/// One request, once the service is ready for it.
async fn ask<S: Service<Req>, Req>(mut service: S, request: Req) -> Result<S::Response, S::Error> {
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CachedError<E: StdError + Send + Sync + 'static> {
    /// The inner service failed on a request that is not cached.
    #[error("the service failed")]
    Service(#[source] E),
    /// The load that this request started or joined brought no response.
    #[error("the load failed")]
    Load(#[source] LoadError<E>),
    /// The closure given to [`keep`](super::CacheLayer::keep) replaced the response by absence.
    #[error("the response was replaced by absence")]
    Absent,
}

// By hand: a derive would ask for `K: Clone, V: Clone`.
impl<S: Clone, K: Hash + Eq, V, F: Clone> Clone for Cached<S, K, V, F> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            cache: self.cache.clone(),
            key: self.key.clone(),
            keep: Arc::clone(&self.keep),
        }
    }
}

impl<S, K: Hash + Eq, V, F> fmt::Debug for Cached<S, K, V, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached").field("cache", &self.cache).finish_non_exhaustive()
    }
}
