//! The response of the penalty layer.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderName, HeaderValue, Response};
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::keeper::{Penalties, Violation};
use crate::body::LimitBody;
use crate::moment::Moment;
use crate::table::KeyHash;

pin_project! {
    /// Resolves to the service's response, of which a violation is noted, or at
    /// once to the layer's own. Dropping it drops the call, and notes nothing.
    pub struct PenaltyFuture<F, B> {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, B> {
        Called {
            #[pin]
            call: F,
            watch: Option<(Penalties, KeyHash)>,
            fields: Vec<(HeaderName, HeaderValue)>,
        },
        Answered { response: Option<Response<LimitBody<B>>> },
    }
}

impl<F, B> PenaltyFuture<F, B> {
    pub(crate) const fn pass(call: F) -> Self {
        Self { state: State::Called { call, watch: None, fields: Vec::new() } }
    }

    pub(crate) const fn watch(
        call: F,
        watch: (Penalties, KeyHash),
        fields: Vec<(HeaderName, HeaderValue)>,
    ) -> Self {
        Self { state: State::Called { call, watch: Some(watch), fields } }
    }

    pub(crate) const fn answer(response: Response<LimitBody<B>>) -> Self {
        Self { state: State::Answered { response: Some(response) } }
    }
}

impl<F, B, E> Future for PenaltyFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<LimitBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Called { call, watch, fields } => {
                let mut response = ready!(call.poll(cx))?.map(LimitBody::inner);
                if let Some((penalties, key)) = watch.take()
                    && response.extensions().get::<Violation>().is_some()
                {
                    penalties.violation(key, Moment::from(Instant::now()).nanos());
                }
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

impl<F, B> fmt::Debug for PenaltyFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PenaltyFuture").finish_non_exhaustive()
    }
}
