//! Questions of many tasks, folded into few commands.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::yield_now;

use crate::per_node::PerNode;

/// How questions are carried to a node.
pub trait Carry: Clone + Send + Sync + 'static {
    /// A question.
    type Ask: Send + 'static;
    /// Its answer, or why there is none.
    type Reply: Send + 'static;

    /// Asks `node` one question. Who asks has a deadline.
    fn one(&self, node: u32, ask: Self::Ask) -> impl Future<Output = Self::Reply> + Send;

    /// Asks `node`, by as few commands as can be; one reply a question, in order, within a
    /// deadline.
    fn many(
        &self,
        node: u32,
        asks: Vec<Self::Ask>,
    ) -> impl Future<Output = Vec<Self::Reply>> + Send;

    /// What to answer where nothing was asked.
    fn unasked(&self, why: Unasked) -> Self::Reply;
}

/// Why a question was not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unasked {
    /// Too many wait already.
    Full,
    /// The runtime is shutting down. The question may have been asked all the same.
    Ended,
}

/// Folds concurrent questions of one each into questions of many, node by node.
///
/// While nothing is under way to a node, a question goes there by itself, at once. Those that come
/// meanwhile queue up; at most two commands are under way to a node, each with up to 128 of them.
///
/// Dropping the future of a question is safe: it is not asked if that has not happened yet, and the
/// others are. Questions have no deadline here; the commands of several have.
pub struct Fold<C: Carry> {
    carry: C,
    /// Most questions that wait for one node.
    bound: usize,
    runtime: Handle,
    lanes: PerNode<Arc<Lane<C>>>,
}

impl<C: Carry> Fold<C> {
    /// At most `bound` questions wait for a node. Its tasks run on `runtime`, only while there is something to ask.
    pub fn new(carry: C, bound: usize, runtime: Handle) -> Self {
        Self { carry, bound, runtime, lanes: PerNode::new() }
    }

    /// Asks `node`.
    ///
    /// Cancel safety: a question that is under way when the future is dropped is answered to nobody.
    pub async fn ask(&self, node: u32, ask: C::Ask) -> C::Reply {
        let lane = self.lane(node);
        match lane.enter(ask, self.bound) {
            Turn::Alone(ask) => {
                // Whoever waits by then gets a task, also if this future is dropped.
                let _under_way = UnderWay { lane: Arc::clone(lane), polled: true };
                // Boxed: fred's futures take 5 KiB, which every question would carry about.
                Box::pin(self.carry.one(node, ask)).await
            }
            Turn::Queued { reply, start } => {
                if start {
                    lane.start();
                }
                reply.await.unwrap_or_else(|_| self.carry.unasked(Unasked::Ended))
            }
            Turn::Full => self.carry.unasked(Unasked::Full),
        }
    }

    fn lane(&self, node: u32) -> &Arc<Lane<C>> {
        self.lanes.get(node, |node| {
            let (carry, runtime) = (self.carry.clone(), self.runtime.clone());
            Arc::new(Lane { node, carry, runtime, state: Mutex::new(State::new()) })
        })
    }
}

impl<C: Carry> fmt::Debug for Fold<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fold").field("bound", &self.bound).finish_non_exhaustive()
    }
}

/// The questions to one node.
struct Lane<C: Carry> {
    node: u32,
    carry: C,
    runtime: Handle,
    state: Mutex<State<C>>,
}

struct State<C: Carry> {
    queue: VecDeque<(C::Ask, oneshot::Sender<C::Reply>)>,
    /// Questions by themselves and tasks.
    commands: usize,
}

impl<C: Carry> State<C> {
    fn new() -> Self {
        Self { queue: VecDeque::new(), commands: 0 }
    }
}

/// What a question is to do.
enum Turn<C: Carry> {
    /// Ask itself; it is counted.
    Alone(C::Ask),
    /// Wait, after starting the task that was counted, if so.
    Queued {
        reply: oneshot::Receiver<C::Reply>,
        start: bool,
    },
    Full,
}

impl<C: Carry> Lane<C> {
    fn enter(&self, ask: C::Ask, bound: usize) -> Turn<C> {
        let mut state = self.state.lock();
        if state.commands == 0 {
            state.commands = 1;
            return Turn::Alone(ask);
        }
        if state.queue.len() >= bound {
            return Turn::Full;
        }
        let (sender, reply) = oneshot::channel();
        state.queue.push_back((ask, sender));
        let start = state.commands < MOST_COMMANDS;
        state.commands += usize::from(start);
        Turn::Queued { reply, start }
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
            let (asks, senders) = self.take();
            if asks.is_empty() {
                return;
            }
            let replies = self.carry.many(self.node, asks).await;
            for (reply, sender) in replies.into_iter().zip(senders) {
                let _ = sender.send(reply);
            }
        }
    }

    fn take(&self) -> (Vec<C::Ask>, Vec<oneshot::Sender<C::Reply>>) {
        let mut state = self.state.lock();
        let most = state.queue.len().min(MOST_ASKS);
        let (mut asks, mut senders) = (Vec::with_capacity(most), Vec::with_capacity(most));
        while asks.len() < MOST_ASKS
            && let Some((ask, sender)) = state.queue.pop_front()
        {
            if !sender.is_closed() {
                asks.push(ask);
                senders.push(sender);
            }
        }
        (asks, senders)
    }
}

/// One of the commands that are counted.
struct UnderWay<C: Carry> {
    lane: Arc<Lane<C>>,
    /// If it never was, the runtime is shutting down: no use in starting another task.
    polled: bool,
}

impl<C: Carry> Drop for UnderWay<C> {
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
const MOST_ASKS: usize = 128;

#[cfg(test)]
mod tests;
