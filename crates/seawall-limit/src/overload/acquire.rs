//! Waiting for a permit.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

use super::handle::{Place, Rejected};
use super::permit::Permit;
use super::reason::Reason;

/// Resolves to a [`Permit`] or to [`Rejected`]. Made by [`Overload::acquire`](crate::Overload::acquire).
///
/// Dropping it gives up the place in line, or the slot if that was faster. Polled again after it
/// resolved, it stays pending.
#[must_use = "futures do nothing unless polled, though the place in line is taken"]
pub struct Acquire {
    state: State,
}

enum State {
    Ready(Option<Result<Permit, Rejected>>),
    Waiting {
        place: Place,
        until: Instant,
        reason: Reason,
        // Boxed for those that do not wait: they are many, and small without it.
        sleep: Option<Pin<Box<Sleep>>>,
    },
}

impl Acquire {
    pub(crate) const fn ready(result: Result<Permit, Rejected>) -> Self {
        Self { state: State::Ready(Some(result)) }
    }

    pub(crate) const fn waiting(place: Place, until: Instant, reason: Reason) -> Self {
        Self { state: State::Waiting { place, until, reason, sleep: None } }
    }

    /// What was decided by the call itself, if it was.
    #[cfg(feature = "tower")]
    pub(crate) fn at_once(self) -> Result<Result<Permit, Rejected>, Self> {
        match self.state {
            State::Ready(Some(result)) => Ok(result),
            state => Err(Self { state }),
        }
    }
}

impl Future for Acquire {
    type Output = Result<Permit, Rejected>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match &mut self.state {
            State::Ready(result) => return result.take().map_or(Poll::Pending, Poll::Ready),
            State::Waiting { place, until, reason, sleep } => match place.poll(cx.waker()) {
                Some(result) => result,
                None => {
                    let sleep =
                        sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(*until)));
                    std::task::ready!(sleep.as_mut().poll(cx));
                    place.expire(*reason)
                }
            },
        };
        self.state = State::Ready(None);
        Poll::Ready(result)
    }
}

impl fmt::Debug for Acquire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waits = matches!(self.state, State::Waiting { .. });
        f.debug_struct("Acquire").field("waits", &waits).finish()
    }
}
