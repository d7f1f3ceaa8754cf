use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Request, Response, Version};
use http_body::Body;
use tower_service::Service;

use super::body::RedBody;
use super::future::RedFuture;
use super::guard::Guard;
use super::routes::Routes;
use super::template::Templates;

/// A service measured by [`RedLayer`](super::RedLayer).
#[derive(Clone)]
pub struct Red<S> {
    inner: S,
    templates: Templates,
    routes: Arc<Routes>,
    grpc: bool,
}

impl<S> Red<S> {
    pub(super) fn new(inner: S, templates: Templates, routes: Arc<Routes>, grpc: bool) -> Self {
        Self { inner, templates, routes, grpc }
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
        let route = self.templates.find(&request);
        let entry = self.routes.find(request.method(), route);
        let size = announced(request.headers(), request.version());
        let guard = Guard::new(entry, request.method(), size, self.grpc);
        // The guard comes first: a panic in `call` is counted as well.
        RedFuture::new(guard, || self.inner.call(request))
    }
}

/// Size of the request body. `None` if it comes in pieces whose number nobody
/// knows yet: counting them would change the type of the body. `None` also for a
/// size that nobody has.
fn announced(headers: &HeaderMap, version: Version) -> Option<u64> {
    match headers.get(CONTENT_LENGTH) {
        Some(length) => {
            length.to_str().ok()?.trim().parse().ok().filter(|size| *size <= MOST_ANNOUNCED)
        }
        // Without either header a request of HTTP/1 has no body.
        None if version <= Version::HTTP_11 && !headers.contains_key(TRANSFER_ENCODING) => Some(0),
        None => None,
    }
}

/// 1 TiB. A client may say anything, and a sum that has once taken in 2^64 no
/// longer grows by what is small.
const MOST_ANNOUNCED: u64 = 1 << 40;
