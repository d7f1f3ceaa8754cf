//! What an operator does to a running pool: size, pause, renewal, end.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::Pool;
use crate::config::{MAX_CONNECTIONS, within};
use crate::error::Error;
use crate::ledger::Reason;
use crate::node::Node;

impl Pool {
    /// Sets the most connections to each node, at once. Growing serves those who
    /// wait; shrinking closes idle connections now and those in use when they
    /// come back, and no new one is opened before there is room. Overrides
    /// [`NodeConfig::max_size`](crate::NodeConfig::max_size).
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if `max_size` is not within 1 to 10 000; nothing is changed.
    pub fn resize(&self, max_size: usize) -> Result<(), Error> {
        within("max_size", max_size, 1..=MAX_CONNECTIONS)?;
        self.nodes().iter().for_each(|node| node.resize(max_size));
        Ok(())
    }

    /// As [`resize`](Self::resize), for one node, named as in
    /// [`NodeStatus::name`](crate::NodeStatus::name).
    ///
    /// # Errors
    ///
    /// As [`resize`](Self::resize), and [`Error::UnknownNode`].
    pub fn resize_node(&self, name: &str, max_size: usize) -> Result<(), Error> {
        within("max_size", max_size, 1..=MAX_CONNECTIONS)?;
        match self.nodes().iter().find(|node| *node.name == *name) {
            Some(node) => node.resize(max_size),
            None => return Err(Error::UnknownNode { name: name.into() }),
        }
        Ok(())
    }

    /// Opens the connections that [`PoolConfig::min_idle`](crate::PoolConfig::min_idle)
    /// asks for, on every node that is up, and waits until they are there. The pool
    /// opens them by itself too; this is for those who want to wait.
    ///
    /// # Errors
    ///
    /// [`Error::ConnectTimeout`] if they are not there within
    /// [`acquire_timeout`](crate::PoolConfig::acquire_timeout), [`Error::Closed`].
    ///
    /// Cancel safety: dropped, the connections come all the same.
    pub async fn warm_up(&self) -> Result<(), Error> {
        let limit = self.config().acquire_timeout;
        let deadline = Instant::now() + limit;
        for node in self.nodes() {
            loop {
                let opened = node.opened.notified();
                node.tend.notify_one();
                if node.books.lock().is_closed() {
                    return Err(Error::Closed);
                }
                if !node.is_short() || node.is_down() {
                    break;
                }
                if timeout_at(deadline, opened).await.is_err() {
                    return Err(Error::ConnectTimeout { node: Arc::clone(&node.name), limit });
                }
            }
        }
        Ok(())
    }

    /// Holds back new work on all nodes and waits until no connection is in use,
    /// at most [`query_timeout`](crate::PoolConfig::query_timeout). Callers wait
    /// in line, to their own deadline, until [`resume`](Self::resume). Returns
    /// whether all is quiet; the pool stays paused in any case.
    ///
    /// Cancel safety: dropped, the pool stays paused.
    pub async fn pause(&self) -> bool {
        for node in self.nodes() {
            node.books.lock().pause(true);
            node.lanes.hold(true);
        }
        let deadline = Instant::now() + self.config().query_timeout;
        tracing::info!("the pool is paused");
        let quiet = self.nodes().iter().map(|node| node.drained(deadline, Left::Lent));
        join_all(quiet).await.into_iter().all(|quiet| quiet)
    }

    /// Ends a [`pause`](Self::pause): those who wait are served, in turn.
    pub fn resume(&self) {
        for node in self.nodes() {
            node.books.lock().pause(false);
            node.lanes.hold(false);
            node.settle();
        }
        tracing::info!("the pool goes on");
    }

    /// Changes a replica's [`weight`](crate::NodeConfig::weight), from the next call on.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if `weight` is not within 1 to 1 000, [`Error::UnknownNode`] if
    /// there is no replica of this name.
    pub fn set_weight(&self, replica: &str, weight: u32) -> Result<(), Error> {
        within("weight", weight, 1..=1_000)?;
        self.router().set_weight(self.replica(replica)?, weight, Instant::now());
        Ok(())
    }

    /// Gives a replica no new calls; those under way go on. With all replicas
    /// drained, reads go to the primary. For maintenance.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownNode`] if there is no replica of this name.
    pub fn drain(&self, replica: &str) -> Result<(), Error> {
        self.router().drain(self.replica(replica)?, true, Instant::now());
        Ok(())
    }

    /// Ends [`drain`](Self::drain); the replica starts slowly.
    ///
    /// # Errors
    ///
    /// As [`drain`](Self::drain).
    pub fn restore(&self, replica: &str) -> Result<(), Error> {
        self.router().drain(self.replica(replica)?, false, Instant::now());
        Ok(())
    }

    fn replica(&self, name: &str) -> Result<usize, Error> {
        let found = self.nodes().iter().position(|node| !node.is_primary() && *node.name == *name);
        found.ok_or_else(|| Error::UnknownNode { name: name.into() })
    }

    /// Replaces every connection, gently: idle ones are closed now, those in use
    /// when they come back, and new ones are opened as they are needed. For new
    /// passwords, new addresses behind a name, or changed settings of the server.
    pub fn evict(&self) {
        self.nodes().iter().for_each(Node::evict);
    }

    /// Stops handing out connections, waits for those in use, at most
    /// [`PoolConfig::query_timeout`](crate::PoolConfig::query_timeout), and closes
    /// everything, each connection with a goodbye of at most
    /// [`PoolConfig::destroy_timeout`](crate::PoolConfig::destroy_timeout). Callers
    /// that wait for a connection, and later calls, get [`Error::Closed`].
    ///
    /// Cancel safety: dropped, the pool stays closed; calling again goes on
    /// waiting.
    pub async fn shutdown(&self) {
        let tasks = self.take_tasks();
        tasks.iter().for_each(JoinHandle::abort);
        join_all(tasks).await;
        let config = self.config();
        let deadline = Instant::now() + config.query_timeout;
        self.nodes().iter().for_each(Node::close);
        self.board().buffer.close();
        self.fallback().close();
        for node in self.nodes() {
            if !node.drained(deadline, Left::Open).await {
                tracing::warn!(node = %node.name, "connections still in use at shutdown");
            }
            node.drained(deadline + config.destroy_timeout, Left::Closing).await;
        }
    }
}

/// What may have to be waited for.
#[derive(Clone, Copy)]
enum Left {
    /// Connections in use, or being cleaned after it.
    Lent,
    /// Connections of any kind, those being opened included.
    Open,
    /// Connections that are saying goodbye.
    Closing,
}

impl Node {
    pub(crate) fn resize(self: &Arc<Self>, max_size: usize) {
        let surplus = {
            let mut books = self.books.lock();
            let was = books.max();
            tracing::info!(node = %self.name, was, max_size, "resized");
            books.resize(max_size, self.min_idle.min(max_size), self.analytics_of(max_size))
        };
        surplus.into_iter().for_each(|link| self.destroy(link, Reason::Surplus));
        self.tend.notify_one();
        self.settle();
    }

    /// Lends none of the connections there are again.
    pub(crate) fn evict(self: &Arc<Self>) {
        self.lanes.evict();
        let idle = self.books.lock().evict();
        idle.into_iter().for_each(|link| self.destroy(link, Reason::Evicted));
        self.tend.notify_one();
        self.settle();
    }

    /// Lends nothing any more; tells those who wait.
    pub(crate) fn close(self: &Arc<Self>) {
        self.lanes.close();
        let (idle, waiting) = self.books.lock().close();
        for teller in waiting {
            drop(teller.send(Err(Error::Closed)));
        }
        idle.into_iter().for_each(|link| self.destroy(link, Reason::Shutdown));
    }

    /// Waits until nothing is left, at most until `deadline`.
    async fn drained(&self, deadline: Instant, left: Left) -> bool {
        loop {
            let returned = self.returned.notified();
            let counts = self.books.lock().counts();
            let left = match left {
                Left::Lent => counts.lent + counts.cleaning + self.lanes.count(),
                Left::Open => counts.open() + counts.connecting + self.lanes.count(),
                Left::Closing => self.closing.load(std::sync::atomic::Ordering::Acquire),
            };
            if left == 0 {
                return true;
            }
            if timeout_at(deadline, returned).await.is_err() {
                return false;
            }
        }
    }
}
