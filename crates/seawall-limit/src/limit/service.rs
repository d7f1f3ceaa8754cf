//! The service inside the quota layer's gate.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::future::LimitFuture;
use super::gate::Gate;
use crate::answer::{self, Fields};
use crate::body::LimitBody;

/// Made by [`LimitLayer`](super::LimitLayer).
///
/// Readiness is the inner service's own: nothing is taken before a request is there.
#[derive(Clone)]
pub struct LimitService<S> {
    inner: S,
    gate: Arc<Gate>,
}

impl<S> LimitService<S> {
    pub(crate) const fn new(inner: S, gate: Arc<Gate>) -> Self {
        Self { inner, gate }
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

impl<S, A, B> Service<Request<A>> for LimitService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<LimitBody<B>>;
    type Error = S::Error;
    type Future = LimitFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        match self.gate.decide(&request) {
            None => LimitFuture::pass(self.inner.call(request), None),
            Some(decision) if decision.is_allowed() => {
                let fields = Fields::of(&decision, self.gate.answers);
                LimitFuture::pass(self.inner.call(request), Some(fields))
            }
            Some(decision) => {
                let answers = self.gate.answers;
                LimitFuture::reject(answer::rejection(&decision, &request, answers))
            }
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for LimitService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
