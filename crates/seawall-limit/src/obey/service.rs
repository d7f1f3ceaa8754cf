//! The client inside the layer.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use super::fields::advice;
use super::hosts::{Host, Sent};
use super::layer::Shared;
use crate::wall;

/// Made by [`ObeyLayer`](super::ObeyLayer).
///
/// Always ready: the inner service's readiness is waited for when the request
/// may be sent, so that a request that waits holds no place in it.
#[derive(Clone)]
pub struct ObeyService<S> {
    inner: S,
    shared: Arc<Shared>,
}

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ObeyError<E> {
    /// The server's quota for us is spent; the request was not sent.
    #[error("not sent: the server asks to wait for {retry_after:?}")]
    Limited {
        /// How long to wait before it may be sent.
        retry_after: Duration,
    },
    /// The client inside failed.
    #[error(transparent)]
    Inner(E),
}

impl<E> ObeyError<E> {
    /// Whether the request was not sent, so that sending it later is safe. Of
    /// errors of the client inside nothing is known.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Limited { .. })
    }
}

/// Resolves to the server's response.
pub type ObeyFuture<B, E> = Pin<Box<dyn Future<Output = Result<Response<B>, ObeyError<E>>> + Send>>;

impl<S> ObeyService<S> {
    pub(crate) const fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, A, B> Service<Request<A>> for ObeyService<S>
where
    S: Service<Request<A>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    A: Send + 'static,
    B: 'static,
{
    type Response = Response<B>;
    type Error = ObeyError<S::Error>;
    type Future = ObeyFuture<B, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let (mut inner, shared) = (self.inner.clone(), Arc::clone(&self.shared));
        Box::pin(async move {
            let key = shared.key(request.uri(), request.headers());
            let sent = match shared.hosts.get(&key, Instant::now()) {
                Some(host) => Some(
                    turn(&host, &shared)
                        .await
                        .map_err(|retry_after| ObeyError::Limited { retry_after })?,
                ),
                None => None,
            };
            poll_fn(|cx| inner.poll_ready(cx)).await.map_err(ObeyError::Inner)?;
            let response = inner.call(request).await.map_err(ObeyError::Inner)?;
            if let Some(sent) = sent {
                let advice = advice(response.status(), response.headers(), wall::now());
                sent.answered(advice, shared.config.max_block, Instant::now());
            }
            Ok(response)
        })
    }
}

impl<S: fmt::Debug> fmt::Debug for ObeyService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObeyService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// Waits for the right to send, or tells how long it would take.
async fn turn(host: &Arc<Host>, shared: &Shared) -> Result<Sent, Duration> {
    let deadline = Instant::now() + shared.config.max_wait;
    loop {
        // Before looking, so that no answer in between goes unheard.
        let mut changed = pin!(host.changed());
        changed.as_mut().enable();
        let now = Instant::now();
        let until = match host.try_send(now) {
            Ok(sent) => return Ok(sent),
            Err(until) => until,
        };
        if until > deadline {
            return Err(until.saturating_duration_since(now));
        }
        let spread = (until - now) * u32::from(shared.config.jitter_percent) / 100;
        let later = until + spread.mul_f64(rand::random::<f64>());
        // An answer may say that there is more left, or less.
        let _ = timeout_at(later, changed).await;
    }
}
