//! The service behind the challenge.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::layer::{Desk, Verdict};
use crate::body::LimitBody;
use crate::short::ShortFuture;

/// Made by [`ChallengeLayer`](super::ChallengeLayer).
#[derive(Clone)]
pub struct ChallengeService<S> {
    inner: S,
    desk: Arc<Desk>,
}

impl<S> ChallengeService<S> {
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

impl<S, A, B> Service<Request<A>> for ChallengeService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<LimitBody<B>>;
    type Error = S::Error;
    type Future = ShortFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        match self.desk.decide(&request) {
            Verdict::Serve => ShortFuture::pass(self.inner.call(request)),
            Verdict::Admit(fields) => ShortFuture::admit(self.inner.call(request), fields),
            Verdict::Answer(response) => ShortFuture::answer(response),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for ChallengeService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChallengeService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
