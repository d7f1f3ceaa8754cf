//! The service inside the guards.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::body::GuardBody;
use super::future::GuardFuture;
use super::layer::{Asked, Watch};
use crate::body::LimitBody;

/// Made by [`GuardLayer`](super::GuardLayer).
#[derive(Debug, Clone)]
pub struct GuardService<S> {
    inner: S,
    watch: Arc<Watch>,
}

impl<S> GuardService<S> {
    pub(crate) const fn new(inner: S, watch: Arc<Watch>) -> Self {
        Self { inner, watch }
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

impl<S, A, B> Service<Request<A>> for GuardService<S>
where
    S: Service<Request<GuardBody<A>>, Response = Response<B>>,
    A: Body,
{
    type Response = Response<LimitBody<B>>;
    type Error = S::Error;
    type Future = GuardFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        if let Some(guard) = self.watch.refuse(&request) {
            return GuardFuture::refuse(guard.response(&Asked::of(&request)));
        }
        let request = request.map(|body| GuardBody::new(body, self.watch.max_body()));
        match request.body().tripped() {
            None => GuardFuture::pass(self.inner.call(request)),
            Some(tripped) => {
                let asked = Asked::of(&request);
                GuardFuture::watch(
                    self.inner.call(request),
                    tripped,
                    asked,
                    Arc::clone(&self.watch),
                )
            }
        }
    }
}
