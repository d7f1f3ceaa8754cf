//! The service behind the penalties.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::future::PenaltyFuture;
use super::layer::{Verdict, Ward};
use crate::body::LimitBody;
use crate::challenge::Redeemed;

/// Made by [`PenaltyLayer`](super::PenaltyLayer).
#[derive(Clone)]
pub struct PenaltyService<S> {
    inner: S,
    ward: Arc<Ward>,
}

impl<S> PenaltyService<S> {
    pub(crate) const fn new(inner: S, ward: Arc<Ward>) -> Self {
        Self { inner, ward }
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

impl<S, A, B> Service<Request<A>> for PenaltyService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<LimitBody<B>>;
    type Error = S::Error;
    type Future = PenaltyFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        match self.ward.judge(&request) {
            Verdict::Pass => PenaltyFuture::pass(self.inner.call(request)),
            Verdict::Serve(key, fields) => {
                if !fields.is_empty() {
                    request.extensions_mut().insert(Redeemed);
                }
                let watch = (self.ward.penalties.clone(), key);
                PenaltyFuture::watch(self.inner.call(request), watch, fields)
            }
            Verdict::Answer(response) => PenaltyFuture::answer(response),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for PenaltyService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PenaltyService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
