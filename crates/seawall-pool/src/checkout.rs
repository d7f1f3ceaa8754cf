//! Getting a connection of a node, and giving it back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::error::Error;
use crate::lease::Lease;
use crate::ledger::{Class, Held, Ledger, Reason, Site, Take};
use crate::link::Link;
use crate::node::Node;
use crate::status::NodeStatus;

/// A connection with its page in the node's books.
pub(crate) type HeldLink = Held<Box<Link>>;

/// What a waiter is told through.
pub(crate) type Teller = oneshot::Sender<Result<Lease, Error>>;

/// The books of a node.
pub(crate) type Books = Ledger<Box<Link>, Teller>;

/// Who asks for a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) class: Class,
    /// Where in the code, for borrows that may last.
    pub(crate) site: Option<Site>,
}

/// One deadline over waiting, connecting and validating, for all nodes that a
/// call tries. It starts with the first wait, so that a call which finds a
/// connection idle neither reads the clock nor sets a timer.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    pub(crate) limit: Duration,
    started: Option<Instant>,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, started: None }
    }

    /// A wait begins, perhaps not the first.
    pub(crate) fn begins(&mut self) -> Instant {
        let now = Instant::now();
        self.started.get_or_insert(now);
        now
    }

    pub(crate) fn until(&mut self) -> Instant {
        *self.started.get_or_insert_with(Instant::now) + self.limit
    }
}

impl Node {
    /// Takes a connection: one that is idle, or the next to come free or be
    /// opened, in turn. Cancel safe: a connection on its way to a caller who
    /// left goes to the next or into the pool.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        ask: Ask,
        patience: &mut Patience,
    ) -> Result<Lease, Error> {
        let mut checked = false;
        loop {
            // Those who need not wait count as zero.
            let (mut lease, waited) = match self.take(ask, patience)? {
                Taken::Ready(lease) => (lease, Duration::ZERO),
                Taken::Wait(place, asked) => {
                    let Some(mut lease) = place.wait(patience).await? else {
                        if Instant::now() >= patience.until() {
                            // On a runtime that ends nobody looks, however often it is asked.
                            self.metrics.failed_acquires.increment(1);
                            return Err(self.timed_out(patience.limit));
                        }
                        continue;
                    };
                    let now = Instant::now();
                    lease.granted_at(now);
                    self.gauge.waited(now - asked);
                    (lease, now - asked)
                }
            };
            if lease.is_closed() || lease.is_stale() {
                checked = true;
                if !lease.is_alive(patience).await {
                    drop(lease);
                    if Instant::now() >= patience.until() {
                        // One more is not to be closed for having had no time to answer.
                        self.metrics.failed_acquires.increment(1);
                        return Err(self.timed_out(patience.limit));
                    }
                    continue;
                }
            }
            if checked {
                // What is run on it has all of its time from now on.
                lease.granted_at(Instant::now());
            }
            self.metrics.acquire_seconds.record(waited.as_secs_f64());
            return Ok(lease);
        }
    }

    /// Looks for a connection, or stands in line, all under one lock: nothing
    /// comes free unnoticed in between.
    fn take(self: &Arc<Self>, ask: Ask, patience: &mut Patience) -> Result<Taken<'_>, Error> {
        let mut books = self.books.lock();
        match books.take(ask.class, ask.site) {
            Take::Ready(held) => {
                drop(books);
                Ok(Taken::Ready(Lease::new(held, Arc::clone(self))))
            }
            Take::Wait => {
                let asked = patience.begins();
                if self.limits.shed_hopeless
                    && let Some((waiting, free)) = books.ahead(ask.class)
                {
                    let left = patience.until().saturating_duration_since(asked);
                    self.check_hope(waiting, free, left)?;
                }
                let (teller, told) = oneshot::channel();
                let (number, alarm) = books.wait(ask.class, ask.site, teller, patience.until());
                let opening = books.claim();
                drop(books);
                let place = InLine { node: self, class: ask.class, number, told, served: false };
                self.ring_at(alarm);
                self.open(opening);
                Ok(Taken::Wait(place, asked))
            }
            Take::Full => {
                let waiting = books.counts().waiting;
                drop(books);
                self.metrics.failed_acquires.increment(1);
                self.metrics.shed.increment(1);
                Err(Error::QueueFull { node: Arc::clone(&self.name), waiting })
            }
            Take::Closed => Err(Error::Closed),
        }
    }

    /// Fails if a connection would take longer than is `left`, with so many in front and so many
    /// connections for them. To be called under the lock of the books, and takes no lock that is
    /// held over it elsewhere.
    #[cold]
    fn check_hope(&self, waiting: usize, free: usize, left: Duration) -> Result<(), Error> {
        match self.gauge.expected_wait(waiting, free) {
            Some(expected) if expected > left => {
                self.metrics.failed_acquires.increment(1);
                self.metrics.shed.increment(1);
                self.metrics.hopeless.increment(1);
                Err(Error::QueueSlow { node: Arc::clone(&self.name), waiting, expected, left })
            }
            _ => Ok(()),
        }
    }

    /// Puts a clean connection back, or hands it to whoever waits longest.
    pub(crate) fn give_back(self: &Arc<Self>, held: HeldLink) {
        let mut books = self.books.lock();
        let closing = books.give_back(held);
        let grant = books.next_grant();
        let opening = if closing.is_some() { books.claim() } else { 0 };
        let draining = books.is_draining();
        drop(books);
        if let Some((link, reason)) = closing {
            self.destroy(link, reason);
        }
        if let Some((teller, held)) = grant {
            // Should the waiter have left, dropping it passes it on.
            drop(teller.send(Ok(Lease::new(held, Arc::clone(self)))));
        }
        self.open(opening);
        if draining {
            self.returned.notify_waiters();
        }
    }

    /// Takes a connection out for good.
    pub(crate) fn retire(self: &Arc<Self>, held: HeldLink, reason: Reason) {
        let mut books = self.books.lock();
        let link = books.remove(held);
        drop(books);
        self.destroy(link, reason);
        self.settle();
    }

    /// Serves waiters as far as they can be served. For changes other than
    /// the return of a connection, which does it by itself.
    pub(crate) fn settle(self: &Arc<Self>) {
        loop {
            let mut books = self.books.lock();
            let Some((teller, held)) = books.next_grant() else {
                let opening = books.claim();
                let draining = books.is_draining();
                drop(books);
                self.open(opening);
                if draining {
                    self.returned.notify_waiters();
                }
                return;
            };
            drop(books);
            drop(teller.send(Ok(Lease::new(held, Arc::clone(self)))));
        }
    }

    /// Closes a connection in the background, politely for as long as
    /// `destroy_timeout`.
    pub(crate) fn destroy(self: &Arc<Self>, link: Box<Link>, reason: Reason) {
        self.metrics.closed(reason).increment(1);
        if link.is_closed() {
            return;
        }
        if reason == Reason::Unsettled {
            // Its server is busy with what nobody waits for: no goodbye.
            return;
        }
        let closing = Closing::new(Arc::clone(self));
        let limit = self.limits.destroy;
        self.spawn(async move {
            link.close(limit).await;
            drop(closing);
        });
    }

    pub(crate) fn timed_out(&self, limit: Duration) -> Error {
        self.timed_out_as(self.status(), limit)
    }

    /// The same for one of several whose time is up at this moment.
    pub(crate) fn timed_out_as(&self, status: NodeStatus, limit: Duration) -> Error {
        let node = Arc::clone(&self.name);
        // What keeps those that are being opened from being there.
        let cause = if status.connecting > 0 { self.connect_failure() } else { None };
        if status.connecting > 0 && cause.is_none() {
            // There was room: the time went into making a connection.
            self.poke.notify_one();
            let limit = limit.min(self.limits.connect);
            return Error::ConnectTimeout { node, limit };
        }
        let NodeStatus { size, max_size, waiting, .. } = status;
        let status = Box::new(status);
        Error::AcquireTimeout { node, limit, size, max_size, waiting, status, cause }
    }
}

enum Taken<'a> {
    Ready(Lease),
    /// And since when.
    Wait(InLine<'a>, Instant),
}

/// A place in the line, left when dropped.
struct InLine<'a> {
    node: &'a Arc<Node>,
    class: Class,
    number: u64,
    told: oneshot::Receiver<Result<Lease, Error>>,
    /// Whether it was taken out of the line.
    served: bool,
}

impl InLine<'_> {
    /// Nothing if it is to be tried again: nobody looks any more whose time is up.
    async fn wait(mut self, patience: &Patience) -> Result<Option<Lease>, Error> {
        let told = (&mut self.told).await;
        self.served = true;
        let Ok(mut result) = told else { return Ok(None) };
        if let Err(error) = &mut result {
            self.node.metrics.failed_acquires.increment(1);
            if let Error::AcquireTimeout { limit, .. } | Error::ConnectTimeout { limit, .. } = error
            {
                *limit = patience.limit.min(*limit);
            }
        }
        result.map(Some)
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        if !self.served {
            self.node.books.lock().forget(self.class, self.number);
        }
    }
}

impl Lease {
    /// Asks the server whether it is there, within the caller's deadline. What
    /// does not answer is not lent again.
    async fn is_alive(&self, patience: &mut Patience) -> bool {
        if self.is_closed() {
            return false;
        }
        let limit = self.node.limits.connect;
        let until = patience.until().min(Instant::now() + limit);
        // Given up half-way, it is not lent again.
        self.condemn();
        let answered = timeout_at(until, self.link().is_there()).await;
        let sound = matches!(answered, Ok(Ok(())));
        if sound {
            self.acquit();
        }
        sound
    }
}

/// A connection that is saying goodbye, which a shutdown waits for.
struct Closing(Arc<Node>);

impl Closing {
    fn new(node: Arc<Node>) -> Self {
        node.closing.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        Self(node)
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.closing.fetch_sub(1, std::sync::atomic::Ordering::AcqRel);
        self.0.returned.notify_waiters();
    }
}
