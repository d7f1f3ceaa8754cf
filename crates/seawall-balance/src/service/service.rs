//! The service over a stream of services.

use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream;
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep};
use tower_service::Service;

use super::future::BalanceFuture;
use super::slots::Slots;
use crate::balancer::{Balancer, Member};
use crate::change::Change;
use crate::classify::{Classify, ErrorsFail, KeyOf, NoKey};
use crate::error::Error;
use crate::pick::PickOptions;

/// As tower's services have it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Picks one of the services of a stream for each request; made by
/// [`BalanceLayer`](super::BalanceLayer).
///
/// # Readiness
/// `poll_ready` takes in what the stream has, asks the services that are new,
/// were called or woke whether they are ready, and is ready as soon as one is
/// ready that may be picked. Which one takes the request is decided in `call`,
/// when the key is known, among those that are ready then. So **ready services
/// wait with what they reserved**, such as a permit of a concurrency limit, as in
/// tower's own balancer.
///
/// If services are ready but none may be picked (all full, say) and no other is
/// still to come, it is ready, too, and the response is the [`Error`] that says
/// why: load is shed rather than queued. A service whose `poll_ready` fails is
/// dropped, as if the stream had removed it.
///
/// A service that is ready and may not be picked (it rests, or is full) may be picked a moment later,
/// and wakes nobody then. So while it is pending, `poll_ready` looks again every 50 ms: a service
/// that never becomes ready does not hold up the others. That takes a tokio runtime with time.
///
/// An error of the stream is logged and passes while there are services; with
/// none it is the error of `poll_ready`. When the stream has ended, the set stays.
///
/// # Cancel safety
/// `poll_ready` reserves nothing of its own. Dropping a response future drops the
/// call and counts as cancelled.
///
/// It is not `Clone`; put tower's `Buffer` around it to share it, or give each
/// task a clone of the services and a clone of the [`Balancer`].
pub struct BalanceService<D, N, S, Request, C = ErrorsFail, K = NoKey> {
    discover: Option<D>,
    slots: Slots<N, S>,
    balancer: Balancer<N>,
    classify: C,
    key: K,
    /// To look again at those that are ready and may not be picked.
    again: Option<Pin<Box<Sleep>>>,
    request: PhantomData<fn(Request)>,
}

impl<D, N, S, Request, C, K> BalanceService<D, N, S, Request, C, K>
where
    N: fmt::Debug + Clone + Eq + Hash,
{
    /// Over an empty balancer, whose set from now on is the stream's.
    pub fn new(discover: D, balancer: Balancer<N>, classify: C, key: K) -> Self {
        let (discover, slots) = (Some(discover), Slots::new());
        Self { discover, slots, balancer, classify, key, again: None, request: PhantomData }
    }

    /// For [`status`](Balancer::status), a [`Prober`](crate::Prober), drains and lag. Its set is the stream's:
    /// a node without a service is never picked.
    pub const fn balancer(&self) -> &Balancer<N> {
        &self.balancer
    }
}

impl<D, N, S, E, Request, C, K> BalanceService<D, N, S, Request, C, K>
where
    D: Stream<Item = Result<Change<N, S>, E>> + Unpin,
    E: Into<BoxError>,
    N: fmt::Debug + Clone + Eq + Hash,
{
    /// Takes in what the stream has.
    fn discover(&mut self, cx: &mut Context<'_>) -> Result<(), BoxError> {
        let (mut join, mut leave) = (Vec::new(), Vec::new());
        let mut failed = None;
        while let Some(discover) = &mut self.discover {
            match Pin::new(discover).poll_next(cx) {
                Poll::Pending => break,
                Poll::Ready(None) => self.discover = None,
                Poll::Ready(Some(Ok(Change::Insert(id, service, weight)))) => {
                    leave.retain(|other| *other != id);
                    join.retain(|other: &Member<N>| other.id != id);
                    self.slots.insert(id.clone(), service);
                    join.push(Member::new(id).weight(weight.min(crate::MAX_WEIGHT)));
                }
                Poll::Ready(Some(Ok(Change::Remove(id)))) => {
                    join.retain(|other| other.id != id);
                    if self.slots.remove(&id) {
                        leave.push(id);
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    failed = Some(error.into());
                    // One error a poll, lest a stream of errors never end.
                    cx.waker().wake_by_ref();
                    break;
                }
            }
        }
        if !join.is_empty() || !leave.is_empty() {
            self.balancer.change(join, &leave, Instant::now())?;
        }
        match failed {
            Some(error) if self.slots.is_empty() => Err(error),
            Some(error) => {
                let balancer = &self.balancer.config().name;
                tracing::warn!(balancer, error, "discovery failed; the set stays");
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl<D, N, S, E, Request, C, K> Service<Request> for BalanceService<D, N, S, Request, C, K>
where
    D: Stream<Item = Result<Change<N, S>, E>> + Unpin,
    E: Into<BoxError>,
    N: fmt::Debug + Clone + Eq + Hash,
    S: Service<Request>,
    S::Error: Into<BoxError>,
    C: Classify<S::Response, S::Error> + Clone,
    K: KeyOf<Request>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BalanceFuture<S::Future, N, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.discover(cx)?;
        let failed = self.slots.poll(cx);
        let now = Instant::now();
        for (id, error) in failed {
            let (balancer, error) = (&self.balancer.config().name, error.into());
            tracing::warn!(balancer, node = ?id, error, "service failed and is dropped");
            self.slots.remove(&id);
            self.balancer.remove(&id, now);
        }
        if self.slots.is_empty() {
            return if self.discover.is_none() {
                Poll::Ready(Err(Error::NoNodes.into()))
            } else {
                Poll::Pending
            };
        }
        let can_pick = |ready: bool| {
            let filter = |id: &N| self.slots.is_ready(id) == ready;
            self.balancer.can_pick(&PickOptions::new().filter(&filter), now)
        };
        if can_pick(true) || !can_pick(false) {
            self.again = None;
            return Poll::Ready(Ok(()));
        }
        // Those that are not ready will wake us, if ever.
        if Handle::try_current().is_err() {
            return Poll::Pending;
        }
        loop {
            let again = self.again.get_or_insert_with(|| Box::pin(sleep(AGAIN)));
            ready!(again.as_mut().poll(cx));
            self.again = None;
        }
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let filter = |id: &N| self.slots.is_ready(id);
        let mut options = PickOptions::new().filter(&filter);
        if let Some(key) = self.key.key_of(&request) {
            options = options.key_hash(key);
        }
        let pick = match self.balancer.pick(&options, Instant::now()) {
            Ok(pick) => pick,
            Err(error) => return BalanceFuture::refused(error),
        };
        match self.slots.call(pick.id(), request) {
            Some(call) => BalanceFuture::called(call, pick, self.classify.clone()),
            // The filter admits none without a ready service.
            None => BalanceFuture::refused(Error::NoNodes),
        }
    }
}

impl<D, N, S, Request, C, K> fmt::Debug for BalanceService<D, N, S, Request, C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BalanceService").field("balancer", &self.balancer).finish_non_exhaustive()
    }
}

const AGAIN: Duration = Duration::from_millis(50);
