//! The response of the quota layer.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;

use crate::answer::Fields;
use crate::body::LimitBody;

pin_project! {
    /// Resolves to the service's response with the `RateLimit` fields, or at
    /// once to a rejection. Dropping it drops the call; the charge stays.
    pub struct LimitFuture<F, B> {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, B> {
        Passed { #[pin] call: F, fields: Option<Fields> },
        Rejected { response: Option<Response<LimitBody<B>>> },
    }
}

impl<F, B> LimitFuture<F, B> {
    pub(crate) const fn pass(call: F, fields: Option<Fields>) -> Self {
        Self { state: State::Passed { call, fields } }
    }

    pub(crate) const fn reject(response: Response<LimitBody<B>>) -> Self {
        Self { state: State::Rejected { response: Some(response) } }
    }
}

impl<F, B, E> Future for LimitFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<LimitBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Passed { call, fields } => {
                let mut response = ready!(call.poll(cx))?.map(LimitBody::inner);
                if let Some(fields) = fields.take() {
                    fields.write(response.headers_mut());
                }
                Poll::Ready(Ok(response))
            }
            // Polled again after it resolved, which callers must not do, it stays pending.
            StateProjection::Rejected { response } => {
                response.take().map_or(Poll::Pending, |r| Poll::Ready(Ok(r)))
            }
        }
    }
}

impl<F, B> fmt::Debug for LimitFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitFuture").finish_non_exhaustive()
    }
}
