use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::body::RedBody;
use super::future::RedFuture;
use super::guard::Guard;
use super::layer::RouteHook;
use super::routes::Routes;

/// A service measured by [`RedLayer`](super::RedLayer).
#[derive(Clone)]
pub struct Red<S> {
    inner: S,
    route: RouteHook,
    routes: Arc<Routes>,
}

impl<S> Red<S> {
    pub(super) fn new(inner: S, route: RouteHook, routes: Arc<Routes>) -> Self {
        Self { inner, route, routes }
    }

    /// The measured service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S: fmt::Debug> fmt::Debug for Red<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Red").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, Req, Res> Service<Request<Req>> for Red<S>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    Res: Body,
{
    type Response = Response<RedBody<Res>>;
    type Error = S::Error;
    type Future = RedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let route = (self.route)(request.extensions());
        let entry = self.routes.find(request.method(), route);
        let guard = Guard::new(entry, request.method());
        // The guard comes first: a panic in `call` is counted as well.
        RedFuture::new(guard, || self.inner.call(request))
    }
}
