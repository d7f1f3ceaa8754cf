//! Reads of many tasks, folded into few commands.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use fred::error::{Error, ErrorKind};
use fred::types::Key;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::yield_now;

use crate::remote::per_node::PerNode;

/// What is under one key, and which node said so.
pub(super) type Reply = Result<(Option<Bytes>, u32), Error>;

/// How keys are read from one node.
pub(super) trait Fetch: Clone + Send + Sync + 'static {
    /// Reads one key, from `node` unless it says that another has it. Who asks has a deadline.
    fn one(&self, node: u32, key: Key) -> impl Future<Output = Reply> + Send;

    /// Reads keys of one node, by as few commands as can be; one reply a key, in order, within a
    /// deadline.
    fn many(&self, node: u32, keys: Vec<Key>) -> impl Future<Output = Vec<Reply>> + Send;
}

/// Folds concurrent reads of single keys into reads of many, node by node.
///
/// While nothing is under way to a node, a read goes there by itself, at once. Reads that come
/// meanwhile queue up; at most two commands are under way to a node, each with up to 128 of them.
///
/// Dropping the future of a read is safe: its key is not asked for if that has not happened yet,
/// and the others are. Reads have no deadline here; the commands of several have.
pub(super) struct Fold<F> {
    fetch: F,
    /// Most reads that wait for one node.
    bound: usize,
    runtime: Handle,
    lanes: PerNode<Arc<Lane<F>>>,
}

impl<F: Fetch> Fold<F> {
    /// Its tasks run on `runtime`, only while there is something to read.
    pub(super) fn new(fetch: F, bound: usize, runtime: Handle) -> Self {
        Self { fetch, bound, runtime, lanes: PerNode::new() }
    }

    /// What is under `key`, on `node`.
    pub(super) async fn get(&self, node: u32, key: Key) -> Reply {
        let lane = self.lane(node);
        match lane.enter(key, self.bound)? {
            Turn::Alone(key) => {
                // Whoever waits by then gets a task, also if this future is dropped.
                let _under_way = UnderWay { lane: Arc::clone(lane), polled: true };
                // Boxed: fred's futures take 5 KiB, which every read would carry about.
                Box::pin(self.fetch.one(node, key)).await
            }
            Turn::Queued { reply, start } => {
                if start {
                    lane.start();
                }
                reply.await.unwrap_or_else(|_| Err(Error::new(ErrorKind::Canceled, "shut down")))
            }
        }
    }

    fn lane(&self, node: u32) -> &Arc<Lane<F>> {
        self.lanes.get(node, |node| {
            let (fetch, runtime) = (self.fetch.clone(), self.runtime.clone());
            Arc::new(Lane { node, fetch, runtime, state: Mutex::default() })
        })
    }
}

/// The reads from one node.
struct Lane<F> {
    node: u32,
    fetch: F,
    runtime: Handle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<(Key, oneshot::Sender<Reply>)>,
    /// Reads by themselves and tasks.
    commands: usize,
}

/// What a read is to do.
enum Turn {
    /// Ask for the key itself; it is counted.
    Alone(Key),
    /// Wait, after starting the task that was counted, if so.
    Queued { reply: oneshot::Receiver<Reply>, start: bool },
}

impl<F: Fetch> Lane<F> {
    fn enter(&self, key: Key, bound: usize) -> Result<Turn, Error> {
        let mut state = self.state.lock();
        if state.commands == 0 {
            state.commands = 1;
            return Ok(Turn::Alone(key));
        }
        if state.queue.len() >= bound {
            return Err(Error::new(ErrorKind::Backpressure, "too many reads wait"));
        }
        let (sender, reply) = oneshot::channel();
        state.queue.push_back((key, sender));
        let start = state.commands < MOST_COMMANDS;
        state.commands += usize::from(start);
        Ok(Turn::Queued { reply, start })
    }

    /// Starts a task that is already counted.
    fn start(self: &Arc<Self>) {
        let mut under_way = UnderWay { lane: Arc::clone(self), polled: false };
        self.runtime.spawn(async move {
            under_way.polled = true;
            under_way.lane.work().await;
        });
    }

    async fn work(&self) {
        loop {
            // Whoever was woken with us asks first, so that we take more at once.
            yield_now().await;
            let (keys, senders) = self.take();
            if keys.is_empty() {
                return;
            }
            let replies = self.fetch.many(self.node, keys).await;
            for (reply, sender) in replies.into_iter().zip(senders) {
                let _ = sender.send(reply);
            }
        }
    }

    fn take(&self) -> (Vec<Key>, Vec<oneshot::Sender<Reply>>) {
        let mut state = self.state.lock();
        let most = state.queue.len().min(MOST_KEYS);
        let (mut keys, mut senders) = (Vec::with_capacity(most), Vec::with_capacity(most));
        while keys.len() < MOST_KEYS
            && let Some((key, sender)) = state.queue.pop_front()
        {
            if !sender.is_closed() {
                keys.push(key);
                senders.push(sender);
            }
        }
        (keys, senders)
    }
}

/// One of the commands that are counted.
struct UnderWay<F: Fetch> {
    lane: Arc<Lane<F>>,
    /// If it never was, the runtime is shutting down: no use in starting another task.
    polled: bool,
}

impl<F: Fetch> Drop for UnderWay<F> {
    fn drop(&mut self) {
        let mut state = self.lane.state.lock();
        let waiting = state.queue.iter().any(|(_, sender)| !sender.is_closed());
        if !(waiting && self.polled) {
            // Dropping the senders tells those that wait.
            state.queue.clear();
            state.commands -= 1;
            return;
        }
        drop(state);
        self.lane.start();
    }
}

/// Under way to one node.
const MOST_COMMANDS: usize = 2;

/// In one command.
const MOST_KEYS: usize = 128;

#[cfg(test)]
mod tests;
