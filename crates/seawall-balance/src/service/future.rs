//! The response of the balancing service.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::service::BoxError;
use crate::classify::Classify;
use crate::error::Error;
use crate::pick::Pick;

pin_project! {
    /// Resolves to what the picked service gives, or at once to an
    /// [`Error`](crate::Error) if none could be picked. Dropping it drops the
    /// call, which then counts as cancelled, not as failed.
    pub struct BalanceFuture<F, N, C> {
        #[pin]
        state: State<F, N, C>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, N, C> {
        Called { #[pin] call: F, guard: Guard<N>, classify: C },
        Refused { error: Option<Error> },
    }
}

/// A pick that, dropped, tells how long somebody waited in vain.
struct Guard<N>(Option<Pick<N>>);

impl<N> Drop for Guard<N> {
    fn drop(&mut self) {
        if let Some(pick) = self.0.take() {
            pick.cancel(Instant::now());
        }
    }
}

impl<F, N, C> BalanceFuture<F, N, C> {
    pub(super) const fn called(call: F, pick: Pick<N>, classify: C) -> Self {
        Self { state: State::Called { call, guard: Guard(Some(pick)), classify } }
    }

    pub(super) const fn refused(error: Error) -> Self {
        Self { state: State::Refused { error: Some(error) } }
    }
}

impl<F, N, C, R, E> Future for BalanceFuture<F, N, C>
where
    F: Future<Output = Result<R, E>>,
    N: fmt::Debug,
    C: Classify<R, E>,
    E: Into<BoxError>,
{
    type Output = Result<R, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Called { call, guard, classify } => {
                let result = ready!(call.poll(cx));
                if let Some(pick) = guard.0.take() {
                    pick.finish(classify.classify(result.as_ref()), Instant::now());
                }
                Poll::Ready(result.map_err(Into::into))
            }
            // Polled again after it resolved, which callers must not do, it stays pending.
            StateProjection::Refused { error } => {
                error.take().map_or(Poll::Pending, |error| Poll::Ready(Err(error.into())))
            }
        }
    }
}

impl<F, N, C> fmt::Debug for BalanceFuture<F, N, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BalanceFuture").finish_non_exhaustive()
    }
}
