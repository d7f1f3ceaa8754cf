use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::service::CachedError;

/// The response, from the cache or from the service.
///
/// Dropping it does not stop a load that has begun: others may wait for it, and the cache is filled.
#[must_use = "futures do nothing unless polled"]
pub struct CachedFuture<V, E: StdError + Send + Sync + 'static> {
    inner: Pin<Box<dyn Future<Output = Result<V, CachedError<E>>> + Send>>,
}

impl<V, E: StdError + Send + Sync + 'static> CachedFuture<V, E> {
    pub(super) fn new(
        inner: impl Future<Output = Result<V, CachedError<E>>> + Send + 'static,
    ) -> Self {
        Self { inner: Box::pin(inner) }
    }
}

impl<V, E: StdError + Send + Sync + 'static> Future for CachedFuture<V, E> {
    type Output = Result<V, CachedError<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.as_mut().poll(cx)
    }
}

impl<V, E: StdError + Send + Sync + 'static> fmt::Debug for CachedFuture<V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedFuture").finish_non_exhaustive()
    }
}
