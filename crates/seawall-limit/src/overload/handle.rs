//! The guard as a program holds it.

use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use foldhash::fast::RandomState;
use tokio::time::Instant;

use super::acquire::Acquire;
use super::config::OverloadConfig;
use super::engine::Core;
use super::permit::Permit;
use super::pressure::Pressure;
use super::priority::Priority;
use super::queue::{Ticket, Verdict, Wake};
use super::reason::Reason;
use super::slots::Entry;
use super::status::OverloadStatus;
use crate::error::Error;

/// Keeps a service at the load that it can serve, without being told what that is.
///
/// It finds how many requests at once get the most done, lets a bounded number wait for a short
/// time, and turns the rest away, the least important first. Below capacity it turns nothing
/// away. Clones share everything.
///
/// ```
/// use seawall_limit::{Criticality, Outcome, Overload, OverloadConfig};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let overload = Overload::new(&OverloadConfig::default())?;
///
/// let permit = overload.acquire(Criticality::Critical).await?;
/// // ... the work ...
/// permit.finish(Outcome::Success);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Overload {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    core: Core<Waker>,
    start: Instant,
}

impl Wake for Waker {
    fn wake(self) {
        Self::wake(self);
    }
}

impl Overload {
    /// A guard with these bounds.
    ///
    /// # Errors
    /// If one of them is out of range.
    pub fn new(config: &OverloadConfig) -> Result<Self, Error> {
        config.validate()?;
        let turn = RandomState::default().hash_one(0) as u32;
        let inner = Inner { core: Core::new(config, turn), start: Instant::now() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Asks for a permit. The place in line is taken by this call, not by the first poll.
    ///
    /// Costs some tens of nanoseconds and no lock if a slot is free or the priority is too low; a
    /// short lock if the request has to wait.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place, or the slot if that was faster.
    ///
    /// # Panics
    /// The future panics if it has to wait outside of a Tokio runtime with time enabled.
    pub fn acquire(&self, priority: impl Into<Priority>) -> Acquire {
        self.acquire_until(priority.into(), None)
    }

    /// The same for an answer that is of no use after `deadline`. What comes after it is turned
    /// away, and so is, of those that have to wait, what cannot be done by then, going by the
    /// service's latency at rest.
    pub fn acquire_by(&self, priority: impl Into<Priority>, deadline: Instant) -> Acquire {
        self.acquire_until(priority.into(), Some(deadline))
    }

    pub(crate) fn acquire_until(&self, priority: Priority, deadline: Option<Instant>) -> Acquire {
        let now = self.now();
        let deadline = deadline.map_or(u64::MAX, |at| self.nanos(at));
        // Whoever polls leaves a waker of their own.
        let waker = Some(|| Waker::noop().clone());
        match self.core().arrive(now, &priority, deadline, waker) {
            Entry::Admitted => Acquire::ready(Ok(self.permit(now))),
            Entry::Rejected(reason) => Acquire::ready(Err(Rejected { reason })),
            Entry::Queued(ticket) => {
                let longest = now.saturating_add(self.core().max_wait());
                let (until, reason) = if deadline < longest {
                    (deadline, Reason::Deadline)
                } else {
                    (longest, Reason::QueueDelay)
                };
                let until = self.inner.start + Duration::from_nanos(until);
                Acquire::waiting(Place::new(self.clone(), ticket, priority), until, reason)
            }
        }
    }

    /// Takes a permit if a slot is free and nobody waits for it.
    ///
    /// # Errors
    /// [`Rejected`] if there is none for this priority.
    pub fn try_acquire(&self, priority: impl Into<Priority>) -> Result<Permit, Rejected> {
        let now = self.now();
        let waker = None::<fn() -> Waker>;
        match self.core().arrive(now, &priority.into(), u64::MAX, waker) {
            Entry::Admitted => Ok(self.permit(now)),
            Entry::Rejected(reason) => Err(Rejected { reason }),
            // Nobody waits without a waker.
            Entry::Queued(_) => Err(Rejected { reason: Reason::NoSlot }),
        }
    }

    /// Tells how hard the machine works; about once a second is enough.
    pub fn set_pressure(&self, pressure: Pressure) {
        self.core().set_pressure(self.now(), pressure);
    }

    /// How it stands. Locks for a moment; for people and tests.
    #[must_use]
    pub fn status(&self) -> OverloadStatus {
        self.core().tick(self.now());
        self.core().status()
    }

    pub(crate) fn core(&self) -> &Core<Waker> {
        &self.inner.core
    }

    pub(crate) fn now(&self) -> u64 {
        self.nanos(Instant::now())
    }

    pub(crate) fn permit(&self, now: u64) -> Permit {
        Permit::new(self.clone(), now)
    }

    fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.inner.start);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overload").field("status", &self.core().status()).finish()
    }
}

/// The request was turned away and not begun: trying again later is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("turned away for load: {}", reason.as_str())]
#[non_exhaustive]
pub struct Rejected {
    /// Why.
    pub reason: Reason,
}

/// A place in line, given up when dropped.
pub(crate) struct Place {
    overload: Overload,
    ticket: Option<Ticket>,
    priority: Priority,
}

impl Place {
    fn new(overload: Overload, ticket: Ticket, priority: Priority) -> Self {
        Self { overload, ticket: Some(ticket), priority }
    }

    /// The verdict, if there is one. Not to be asked again after that.
    pub(crate) fn poll(&mut self, waker: &Waker) -> Option<Result<Permit, Rejected>> {
        let ticket = self.ticket.as_ref()?;
        let core = self.overload.core();
        let verdict = core.poll(&self.priority, ticket, || waker.clone())?;
        self.ticket = None;
        Some(self.overload.verdict(verdict))
    }

    /// The time is over: the verdict if that was faster.
    pub(crate) fn expire(&mut self, reason: Reason) -> Result<Permit, Rejected> {
        let Some(ticket) = self.ticket.take() else { return Err(Rejected { reason }) };
        let (core, now) = (self.overload.core(), self.overload.now());
        let verdict = core.abandon(now, &self.priority, &ticket, Some(reason));
        verdict.map_or(Err(Rejected { reason }), |verdict| self.overload.verdict(verdict))
    }
}

impl Overload {
    fn verdict(&self, verdict: Verdict) -> Result<Permit, Rejected> {
        match verdict {
            // The slot was taken then, whenever the task got round to it.
            Verdict::Admitted { at, .. } => Ok(self.permit(at)),
            Verdict::Rejected(reason) => Err(Rejected { reason }),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let (core, now) = (self.overload.core(), self.overload.now());
            if let Some(Verdict::Admitted { .. }) = core.abandon(now, &self.priority, &ticket, None)
            {
                // It was never begun, so there is nothing to record.
                core.leave(now, false);
            }
        }
    }
}
