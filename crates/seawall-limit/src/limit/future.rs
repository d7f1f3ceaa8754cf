//! The response of the quota layer.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::gate::{Admitted, Asked, Gate, Verdict};
use crate::body::LimitBody;

pin_project! {
    /// Resolves to the service's response with the `RateLimit` fields, or at
    /// once to a rejection; where a cluster-wide policy takes asking Redis, first to the one or the
    /// other. Dropping it drops the call; the charge stays, also one that is under way,
    /// and what the response would have told is settled as unanswered ([`Count`](super::Count)).
    pub struct LimitFuture<S, A, B>
    where
        S: Service<Request<A>>,
    {
        #[pin]
        state: State<S, A, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, A, B>
    where
        S: Service<Request<A>>,
    {
        Passed { #[pin] call: S::Future, admitted: Admitted },
        Rejected { response: Option<Response<LimitBody<B>>> },
        Asked { asked: Asked<B>, waiting: Option<Box<Waiting<S, A>>> },
    }
}

/// A request on its way to a service that is ready for it.
struct Waiting<S, A> {
    service: S,
    request: Request<A>,
    gate: Arc<Gate>,
}

impl<S: Service<Request<A>>, A, B> LimitFuture<S, A, B> {
    pub(crate) const fn pass(call: S::Future, admitted: Admitted) -> Self {
        Self { state: State::Passed { call, admitted } }
    }

    pub(crate) const fn reject(response: Response<LimitBody<B>>) -> Self {
        Self { state: State::Rejected { response: Some(response) } }
    }

    pub(crate) fn ask(asked: Asked<B>, service: S, request: Request<A>, gate: Arc<Gate>) -> Self {
        let waiting = Some(Box::new(Waiting { service, request, gate }));
        Self { state: State::Asked { asked, waiting } }
    }
}

impl<S, A, B> Future for LimitFuture<S, A, B>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Output = Result<Response<LimitBody<B>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Passed { call, admitted } => {
                    let mut response = ready!(call.poll(cx))?;
                    for fields in admitted.fields.iter_mut().filter_map(Option::take) {
                        fields.write(response.headers_mut());
                    }
                    let open = admitted.open.take();
                    let meter = open.and_then(|open| open.answered(&mut response));
                    return Poll::Ready(Ok(response.map(|body| LimitBody::metered(body, meter))));
                }
                // Polled again after it resolved, which callers must not do, it stays pending.
                StateProjection::Rejected { response } => {
                    return response.take().map_or(Poll::Pending, |r| Poll::Ready(Ok(r)));
                }
                StateProjection::Asked { asked, waiting } => {
                    let verdict = ready!(asked.as_mut().poll(cx));
                    let Some(waiting) = waiting.take() else { return Poll::Pending };
                    let Waiting { mut service, request, gate } = *waiting;
                    match verdict {
                        Verdict::Admit(admitted) => {
                            State::Passed { call: service.call(request), admitted }
                        }
                        Verdict::Reject(response) => {
                            gate.refund(&request);
                            State::Rejected { response: Some(*response) }
                        }
                    }
                }
            };
            state.set(next);
        }
    }
}

impl<S: Service<Request<A>>, A, B> fmt::Debug for LimitFuture<S, A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitFuture").finish_non_exhaustive()
    }
}
