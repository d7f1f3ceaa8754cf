//! Hearing of writes by others: Redis's tracking, a connection to each master.
//!
//! What fred 10 leaves to its user, and how it is dealt with here:
//! - BCAST tracking on a cluster is switched on for one node only: each master has a client.
//! - Tracking ends with the connection: clients here do not reconnect. Each new connection is
//!   armed first, and then the caches are told that messages may have been missed.
//! - The message of a flush carries no keys, which fred drops: each master holds a canary, a key
//!   that is read all the time, and that a flush takes with it.
//! - Messages go through a channel of 32, and what does not fit is dropped: it is larger here, and
//!   an overflow counts as messages missed.
//! - A server that hangs says nothing: reading the canary has a deadline, and its answer proves
//!   that the messages before it have come.

mod board;
mod canary;
mod link;
mod links;
mod listen;

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use seawall_redis::{Masters, Routes, Settings};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use self::board::Board;
use self::links::Links;
use super::clock::Clocks;
use super::{RedisConfig, SETTLING};
use crate::remote::{Tracking, Watcher};

/// The tasks that listen. They end when this is dropped.
pub(super) struct Listening {
    board: Arc<Board>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What the tasks share.
struct Shared {
    board: Arc<Board>,
    routes: Arc<Routes>,
    clocks: Arc<Clocks>,
    config: RedisConfig,
    settings: Settings,
}

impl Listening {
    /// Follows the masters, and listens to each.
    pub(super) fn start(
        masters: Masters,
        clocks: Arc<Clocks>,
        config: &RedisConfig,
        runtime: &Handle,
    ) -> Self {
        let board = Arc::new(Board::new(&config.key_prefix, config.tracking));
        let shared = Arc::new(Shared {
            board: Arc::clone(&board),
            routes: masters.routes(),
            clocks,
            config: config.clone(),
            settings: config.settings(),
        });
        if !shared.routes.topology().is_cluster() {
            board.joins(0);
        }
        let mut links = Links::new(shared);
        let task = runtime.spawn(masters.follow(move |change, reach| links.follow(change, reach)));
        Self { board, task: Mutex::new(Some(task)) }
    }

    /// Tells `watcher` of `namespace` from now on. `false`: only of the ends of leases.
    pub(super) fn watch(&self, namespace: &str, watcher: Weak<dyn Watcher>) -> bool {
        self.board.watch(namespace, watcher)
    }

    pub(super) fn status(&self) -> Tracking {
        self.board.status()
    }

    /// Waits until it is known whether writes are told, for `patience` at most.
    pub(super) async fn settled(&self, patience: Duration) {
        let end = Instant::now() + patience;
        while self.status() == Tracking::Down && Instant::now() < end {
            sleep(SETTLING).await;
        }
    }

    /// Ends the connections: nothing is told from then on, and the caches hear of that.
    pub(super) fn stop(&self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
        self.board.close();
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop();
    }
}
