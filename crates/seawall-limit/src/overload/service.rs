//! The service behind the guard.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::answer::Desk;
use super::body::OverloadBody;
use super::future::OverloadFuture;

/// Made by [`OverloadLayer`](crate::OverloadLayer).
///
/// Always ready, and nothing is taken by asking: the permit is for a request.
#[derive(Clone)]
pub struct OverloadService<S> {
    inner: S,
    desk: Arc<Desk>,
}

impl<S> OverloadService<S> {
    pub(crate) const fn new(inner: S, desk: Arc<Desk>) -> Self {
        Self { inner, desk }
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

impl<S, A, B> Service<Request<A>> for OverloadService<S>
where
    S: Service<Request<A>, Response = Response<B>> + Clone,
    B: http_body::Body,
{
    type Response = Response<OverloadBody<B>>;
    type Error = S::Error;
    type Future = OverloadFuture<S, A>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let Some(acquire) = self.desk.ask(&request) else {
            return OverloadFuture::ready(self.inner.clone(), request, None);
        };
        match acquire.at_once() {
            Ok(Ok(permit)) => OverloadFuture::ready(self.inner.clone(), request, Some(permit)),
            Ok(Err(_)) => OverloadFuture::rejected(self.desk.clone(), &request),
            Err(acquire) => {
                let inner = self.inner.clone();
                OverloadFuture::waiting(acquire, inner, request, Arc::clone(&self.desk))
            }
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for OverloadService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverloadService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
