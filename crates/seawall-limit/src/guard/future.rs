//! The response of the guard layer.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;

use super::body::Tripped;
use super::layer::{Asked, Watch};
use crate::body::LimitBody;

pin_project! {
    /// Resolves to the service's response, to a 413 if the body passed its bound
    /// meanwhile, or at once to a refusal. Dropping it drops the call.
    pub struct GuardFuture<F, B> {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, B> {
        Passed { #[pin] call: F, streaming: Option<Streaming> },
        Refused { response: Option<Response<LimitBody<B>>> },
    }
}

/// What is needed to answer for a body that is too large after all.
struct Streaming {
    tripped: Tripped,
    asked: Asked,
    watch: Arc<Watch>,
}

impl<F, B> GuardFuture<F, B> {
    pub(crate) const fn pass(call: F) -> Self {
        Self { state: State::Passed { call, streaming: None } }
    }

    pub(crate) const fn watch(call: F, tripped: Tripped, asked: Asked, watch: Arc<Watch>) -> Self {
        Self { state: State::Passed { call, streaming: Some(Streaming { tripped, asked, watch }) } }
    }

    pub(crate) const fn refuse(response: Response<LimitBody<B>>) -> Self {
        Self { state: State::Refused { response: Some(response) } }
    }
}

impl<F, B, E> Future for GuardFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<LimitBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Passed { call, streaming } => {
                let outcome = ready!(call.poll(cx));
                Poll::Ready(match streaming.take() {
                    Some(streaming) if streaming.tripped.get() => {
                        Ok(streaming.watch.body_response(&streaming.asked))
                    }
                    _ => outcome.map(|response| response.map(LimitBody::inner)),
                })
            }
            // Polled again after it resolved, which callers must not do, it stays pending.
            StateProjection::Refused { response } => {
                response.take().map_or(Poll::Pending, |r| Poll::Ready(Ok(r)))
            }
        }
    }
}

impl<F, B> fmt::Debug for GuardFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardFuture").finish_non_exhaustive()
    }
}
