//! The response of the overload layer.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::acquire::Acquire;
use super::answer::{Desk, outcome};
use super::body::OverloadBody;
use super::engine::Outcome;
use super::permit::Permit;
use crate::answer::{Answers, Manner};

pin_project! {
    /// Waits for a permit, then for the service inside. Dropping it gives up the place in line
    /// or the permit, and drops the call.
    pub struct OverloadFuture<S, A>
    where
        S: Service<Request<A>>,
    {
        #[pin]
        state: State<S, A, S::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, A, F> {
        Waiting { acquire: Acquire, call: Option<(S, Request<A>)>, desk: Arc<Desk> },
        Ready { call: Option<(S, Request<A>)>, permit: Option<Permit> },
        // Dropped in this order: the slot is free once the work has stopped.
        Running { #[pin] call: F, permit: Option<Permit> },
        Rejected { desk: Arc<Desk>, manner: Manner },
        Done,
    }
}

impl<S, A> OverloadFuture<S, A>
where
    S: Service<Request<A>>,
{
    pub(crate) fn waiting(
        acquire: Acquire,
        inner: S,
        request: Request<A>,
        desk: Arc<Desk>,
    ) -> Self {
        Self { state: State::Waiting { acquire, call: Some((inner, request)), desk } }
    }

    pub(crate) fn ready(inner: S, request: Request<A>, permit: Option<Permit>) -> Self {
        Self { state: State::Ready { call: Some((inner, request)), permit } }
    }

    pub(crate) fn rejected(desk: Arc<Desk>, request: &Request<A>) -> Self {
        Self { state: State::Rejected { desk, manner: manner(request) } }
    }
}

impl<S, A, B> Future for OverloadFuture<S, A>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: http_body::Body,
{
    type Output = Result<Response<OverloadBody<B>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut this = self.as_mut().project();
            let next = match this.state.as_mut().project() {
                StateProjection::Waiting { acquire, call, desk } => {
                    match ready!(Pin::new(acquire).poll(cx)) {
                        Ok(permit) => State::Ready { call: call.take(), permit: Some(permit) },
                        Err(_) => match call.take() {
                            Some((_, request)) => {
                                State::Rejected { desk: Arc::clone(desk), manner: manner(&request) }
                            }
                            None => State::Done,
                        },
                    }
                }
                StateProjection::Ready { call, permit } => match call {
                    Some((inner, _)) => {
                        if let Err(error) = ready!(inner.poll_ready(cx)) {
                            finish(permit.take(), Outcome::Failure);
                            this.state.set(State::Done);
                            return Poll::Ready(Err(error));
                        }
                        match call.take() {
                            Some((mut inner, request)) => {
                                State::Running { call: inner.call(request), permit: permit.take() }
                            }
                            None => State::Done,
                        }
                    }
                    None => State::Done,
                },
                StateProjection::Running { call, permit } => {
                    let result = ready!(call.poll(cx));
                    let mut permit = permit.take();
                    this.state.set(State::Done);
                    return Poll::Ready(match result {
                        Ok(response) => {
                            if let Some(permit) = &mut permit {
                                permit.record(outcome(response.status()));
                            }
                            Ok(response.map(|body| OverloadBody::new(body, permit)))
                        }
                        Err(error) => {
                            finish(permit, Outcome::Failure);
                            Err(error)
                        }
                    });
                }
                StateProjection::Rejected { desk, manner } => {
                    let response = desk.rejection(manner).map(OverloadBody::answer);
                    this.state.set(State::Done);
                    return Poll::Ready(Ok(response));
                }
                // Polled again after it resolved, which callers must not do, it stays pending.
                StateProjection::Done => return Poll::Pending,
            };
            this.state.set(next);
        }
    }
}

/// No quota is told of here.
fn manner<A>(request: &Request<A>) -> Manner {
    Manner::of(request, Answers::default())
}

fn finish(permit: Option<Permit>, outcome: Outcome) {
    if let Some(permit) = permit {
        permit.finish(outcome);
    }
}

impl<S, A> fmt::Debug for OverloadFuture<S, A>
where
    S: Service<Request<A>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverloadFuture").finish_non_exhaustive()
    }
}
