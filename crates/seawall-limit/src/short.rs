//! The response of layers that either answer themselves or get out of the way.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderName, HeaderValue, Response};
use pin_project_lite::pin_project;

use crate::body::LimitBody;

pin_project! {
    /// Resolves to the service's response, or at once to the layer's own.
    /// Dropping it drops the call.
    pub struct ShortFuture<F, B> {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, B> {
        Passed { #[pin] call: F, fields: Vec<(HeaderName, HeaderValue)> },
        Answered { response: Option<Response<LimitBody<B>>> },
    }
}

impl<F, B> ShortFuture<F, B> {
    pub(crate) const fn pass(call: F) -> Self {
        Self { state: State::Passed { call, fields: Vec::new() } }
    }

    /// Adds fields to the service's response.
    pub(crate) const fn admit(call: F, fields: Vec<(HeaderName, HeaderValue)>) -> Self {
        Self { state: State::Passed { call, fields } }
    }

    pub(crate) const fn answer(response: Response<LimitBody<B>>) -> Self {
        Self { state: State::Answered { response: Some(response) } }
    }
}

impl<F, B, E> Future for ShortFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<LimitBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Passed { call, fields } => {
                let mut response = ready!(call.poll(cx))?.map(LimitBody::inner);
                for (name, value) in fields.drain(..) {
                    response.headers_mut().append(name, value);
                }
                Poll::Ready(Ok(response))
            }
            // Polled again after it resolved, which callers must not do, it stays pending.
            StateProjection::Answered { response } => {
                response.take().map_or(Poll::Pending, |response| Poll::Ready(Ok(response)))
            }
        }
    }
}

impl<F, B> fmt::Debug for ShortFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShortFuture").finish_non_exhaustive()
    }
}
