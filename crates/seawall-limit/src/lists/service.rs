//! The service behind the lists.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::access::Access;
use super::layer::Desk;
use crate::body::LimitBody;
use crate::short::ShortFuture;

/// Made by [`ListLayer`](super::ListLayer).
#[derive(Clone)]
pub struct ListService<S> {
    inner: S,
    desk: Arc<Desk>,
}

impl<S> ListService<S> {
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

impl<S, A, B> Service<Request<A>> for ListService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<LimitBody<B>>;
    type Error = S::Error;
    type Future = ShortFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        match self.desk.decide(&request) {
            Some(Access::Deny) => return ShortFuture::answer(self.desk.refusal(&request)),
            Some(Access::Allow) => {
                request.extensions_mut().insert(Access::Allow);
            }
            None => {}
        }
        ShortFuture::pass(self.inner.call(request))
    }
}

impl<S: fmt::Debug> fmt::Debug for ListService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
