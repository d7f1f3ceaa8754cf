//! Opening connections, in tasks of their own: whoever asked for one may leave,
//! the connection still comes, for the next or for the pool.

use std::sync::Arc;

use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::SimpleQueryMessage;

use crate::error::{Error, classify};
use crate::link::Link;
use crate::node::Node;
use crate::status::ProbeError;

impl Node {
    /// Opens as many connections as were claimed in the books.
    pub(crate) fn open(self: &Arc<Self>, count: usize) {
        for _ in 0..count {
            let claim = Claim { node: Arc::clone(self), open: true };
            self.spawn(run(claim));
        }
    }

    /// One attempt.
    async fn connect(self: &Arc<Self>) -> Result<Box<Link>, Failure> {
        let started = Instant::now();
        // Weak, or a connection would keep the node that keeps the connection.
        let node = Arc::downgrade(self);
        let noticed = move || {
            if let Some(node) = node.upgrade() {
                node.tend.notify_one();
            }
        };
        let turned = Arc::clone(&self.poke);
        let opening = async {
            let link = Link::open(&self.dialer, self.limits.statements, turned, noticed).await?;
            self.introduced(&link).await?;
            Ok(link)
        };
        let link = match timeout(self.limits.connect, opening).await {
            Ok(Ok(link)) => link,
            Ok(Err(source)) => return Err(Failure::Refused(source)),
            Err(_) => return Err(Failure::Timeout),
        };
        self.metrics.opened.increment(1);
        self.metrics.connect_seconds.record(started.elapsed().as_secs_f64());
        Ok(Box::new(link))
    }

    /// Takes in what the server said of its role at the login, which the monitor may not know yet.
    async fn introduced(&self, link: &Link) -> Result<(), tokio_postgres::Error> {
        match link.wire.in_recovery() {
            // No write is sent there to find out. Asked once more: a pooler in between may have said
            // what was so when it logged in itself.
            Some(true) if self.is_primary() && self.is_writable() => {
                let answer = link.client.simple_query("SELECT pg_is_in_recovery()").await?;
                let says_so = |message: &SimpleQueryMessage| match message {
                    SimpleQueryMessage::Row(row) => row.get(0) == Some("t"),
                    _ => false,
                };
                if answer.iter().any(says_so) {
                    self.found_recovering();
                }
            }
            Some(false) if !self.is_primary() => self.poke.notify_one(),
            _ => {}
        }
        Ok(())
    }
}

enum Failure {
    Refused(tokio_postgres::Error),
    Timeout,
}

/// The right to open one connection. Given up when dropped.
struct Claim {
    node: Arc<Node>,
    open: bool,
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.open {
            self.node.books.lock().not_connected();
        }
    }
}

/// Opens one connection, or tells a waiter why not.
async fn run(mut claim: Claim) {
    let node = Arc::clone(&claim.node);
    let epoch = node.books.lock().epoch();
    match attempts(&node).await {
        Ok(link) => {
            node.connect_failed(None);
            claim.open = false;
            let mut books = node.books.lock();
            let closing = books.connected(link, epoch, Instant::now());
            let spare = books.claim_spare();
            drop(books);
            if let Some((link, reason)) = closing {
                node.destroy(link, reason);
            }
            node.open(spare);
            node.opened.notify_waiters();
        }
        Err(Some(error)) => {
            // Each waiter asks for an attempt; the first in line has had its own.
            let teller = node.books.lock().next_disappointed();
            match teller {
                Some(teller) => drop(teller.send(Err(error))),
                None => tracing::debug!(node = %node.name, %error, "no spare connection"),
            }
        }
        Err(None) => {}
    }
    drop(claim);
    node.settle();
}

/// Tries until it works, fails for good, or is not needed any more (`Err(None)`).
///
/// A primary that has no connection to spare, or is starting, is asked again
/// while callers wait for it. Replicas are not: there are other nodes.
async fn attempts(node: &Arc<Node>) -> Result<Box<Link>, Option<Error>> {
    let started = Instant::now();
    loop {
        let name = Arc::clone(&node.name);
        let source = match node.connect().await {
            Ok(link) => return Ok(link),
            Err(Failure::Timeout) => {
                node.metrics.failed_connects.increment(1);
                node.suspect();
                return Err(Some(Error::ConnectTimeout { node: name, limit: node.limits.connect }));
            }
            Err(Failure::Refused(source)) => source,
        };
        node.metrics.failed_connects.increment(1);
        let full = classify::is_full(&source);
        if !full {
            node.suspect();
        }
        let pause = node.limits.create_retry;
        let passing = node.is_primary() && (full || classify::is_starting(&source));
        if !passing || started.elapsed() + pause > node.limits.create {
            return Err(Some(Error::Connect { node: name, source }));
        }
        node.connect_failed(Some(Arc::new(ProbeError::Postgres(source))));
        sleep(pause).await;
        if !node.books.lock().is_connecting_needed() {
            return Err(None);
        }
    }
}
