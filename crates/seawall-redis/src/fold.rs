//! Questions of many tasks, folded into few commands.

mod replies;

use std::collections::VecDeque;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Handle, Id};
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

pub use self::replies::Replies;
use self::replies::Waiting;
use crate::per_node::PerNode;

/// How questions are carried to a node.
pub trait Carry: Clone + Send + Sync + 'static {
    /// A question.
    type Ask: Send + 'static;
    /// Its answer, or why there is none.
    type Reply: Send + 'static;

    /// Asks `node` one question. Who asks has a deadline.
    fn one(&self, node: u32, ask: Self::Ask) -> impl Future<Output = Self::Reply> + Send;

    /// Asks `node`, by as few commands as can be, within a deadline. Each reply is told when it is
    /// there; a question without one was [not asked](Unasked::Ended).
    fn many(
        &self,
        node: u32,
        asks: Vec<Self::Ask>,
        replies: &Replies<Self::Reply>,
    ) -> impl Future<Output = ()> + Send;

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
    /// There was no answer in time. The question may have been asked all the same.
    Late,
}

/// Folds concurrent questions of one each into questions of many, node by node.
///
/// While nothing is under way to a node, a question goes there by itself, at once. Those that come
/// meanwhile queue up; at most two commands are under way to a node, each with up to 128 of them, or
/// as many as [`spread`](Self::spread) says.
///
/// Where one of the questions of a command is led on to a node that hangs, as one about a slot that is
/// on its way there, the others do not wait for it, but the command counts as under way until its deadline.
///
/// Dropping the future of a question is safe: it is not asked if that has not happened yet, and the
/// others are.
pub struct Fold<C: Carry> {
    carry: C,
    /// Most questions that wait for one node.
    bound: usize,
    size: Size,
    runtime: Handle,
    home: Id,
    lanes: PerNode<Arc<Lane<C>>>,
}

impl<C: Carry> Fold<C> {
    /// At most `bound` questions wait for a node. Its tasks run on `runtime`, only while there is something to ask.
    pub fn new(carry: C, bound: usize, runtime: Handle) -> Self {
        let home = runtime.id();
        Self { carry, bound, size: GATHERED, runtime, home, lanes: PerNode::new() }
    }

    /// For questions that take the node longer than a command does by itself, as scripts do: at
    /// most `commands` are under way to a node, of `asks` questions each, and as long as there are
    /// fewer, a question does not wait for others to join it. So the node has work while answers travel.
    #[must_use]
    pub fn spread(mut self, commands: usize, asks: usize) -> Self {
        self.size = Size { commands: commands.max(1), asks: asks.max(1), gather: false };
        self
    }

    /// Asks `node`. Who waits has a deadline; the commands of several have.
    ///
    /// Cancel safety: a question that is under way when the future is dropped is answered to nobody.
    pub async fn ask(&self, node: u32, ask: C::Ask) -> C::Reply {
        self.go(node, ask, None).await
    }

    /// The same, with an answer by `until`: of those that share a command, one timer is kept, and
    /// not one by each who waits. A fold is asked in either way, not in both.
    ///
    /// Cancel safety: as of [`ask`](Self::ask).
    pub async fn ask_until(&self, node: u32, ask: C::Ask, until: Instant) -> C::Reply {
        self.go(node, ask, Some(until)).await
    }

    async fn go(&self, node: u32, ask: C::Ask, until: Option<Instant>) -> C::Reply {
        let lane = self.lane(node);
        match lane.enter(ask, until, self.bound) {
            Turn::Alone(ask) => {
                // Whoever waits by then gets a task, also if this future is dropped.
                let _under_way = UnderWay { lane: Arc::clone(lane), polled: true };
                // Boxed: fred's futures take 5 KiB, which every question would carry about.
                let one = Box::pin(self.carry.one(node, ask));
                self.by(until, one).await
            }
            Turn::Queued { reply, start } => {
                if start {
                    lane.start();
                }
                let reply =
                    async { reply.await.unwrap_or_else(|_| self.carry.unasked(Unasked::Ended)) };
                // The task that carries it keeps the time, unless it runs elsewhere: what stops that
                // runtime need not stop this one.
                if until.is_none() || Handle::try_current().is_ok_and(|it| it.id() == self.home) {
                    return reply.await;
                }
                self.by(until, reply).await
            }
            Turn::Full => self.carry.unasked(Unasked::Full),
        }
    }

    async fn by(&self, until: Option<Instant>, reply: impl Future<Output = C::Reply>) -> C::Reply {
        let Some(until) = until else { return reply.await };
        timeout_at(until, reply).await.unwrap_or_else(|_| self.carry.unasked(Unasked::Late))
    }

    fn lane(&self, node: u32) -> &Arc<Lane<C>> {
        self.lanes.get(node, |node| {
            let (carry, runtime) = (self.carry.clone(), self.runtime.clone());
            let (size, state) = (self.size, Mutex::new(State::new()));
            Arc::new(Lane { node, carry, size, runtime, state })
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
    size: Size,
    runtime: Handle,
    state: Mutex<State<C>>,
}

/// How questions are put into commands.
#[derive(Clone, Copy)]
struct Size {
    /// Most under way.
    commands: usize,
    /// Most questions in one.
    asks: usize,
    /// Whether a command waits for those who are about to ask.
    gather: bool,
}

struct State<C: Carry> {
    queue: VecDeque<(C::Ask, Waiting<C::Reply>)>,
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
    fn enter(&self, ask: C::Ask, until: Option<Instant>, bound: usize) -> Turn<C> {
        let mut state = self.state.lock();
        if state.commands == 0 {
            state.commands = 1;
            return Turn::Alone(ask);
        }
        if state.queue.len() >= bound {
            return Turn::Full;
        }
        let (sender, reply) = oneshot::channel();
        state.queue.push_back((ask, Waiting { reply: sender, until }));
        let start = state.commands < self.size.commands;
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
            if self.size.gather {
                // Whoever was woken with us asks first, so that we take more at once.
                yield_now().await;
            }
            let (asks, replies) = self.take();
            if asks.is_empty() {
                return;
            }
            self.carry(asks, &replies).await;
        }
    }

    /// Carries what was taken. Those that wait for too long are told, here and in the queue.
    async fn carry(&self, asks: Vec<C::Ask>, replies: &Replies<C::Reply>) {
        let mut command = pin!(self.carry.many(self.node, asks, replies));
        let mut next = replies.first();
        while let Some(until) = next {
            if timeout_at(until, &mut command).await.is_ok() {
                return;
            }
            let now = Instant::now();
            for late in replies.take_late(now) {
                let _ = late.reply.send(self.carry.unasked(Unasked::Late));
            }
            let queued = self.give_up(now);
            // Those that come from now on are looked at soon enough.
            next = replies.first().or(queued).or(Some(now + LOOK)).map(|next| next.max(now));
        }
        command.await;
    }

    /// Tells those in the queue that waited for too long. When the next will have.
    fn give_up(&self, now: Instant) -> Option<Instant> {
        let mut late = Vec::new();
        let next = {
            let mut state = self.state.lock();
            while state.queue.front().is_some_and(|(_, waiting)| waiting.is_late(now)) {
                late.extend(state.queue.pop_front());
            }
            state.queue.front().and_then(|(_, waiting)| waiting.until)
        };
        for (_, waiting) in late {
            let _ = waiting.reply.send(self.carry.unasked(Unasked::Late));
        }
        next
    }

    fn take(&self) -> (Vec<C::Ask>, Replies<C::Reply>) {
        let mut state = self.state.lock();
        let most = state.queue.len().min(self.size.asks);
        let (mut asks, mut all) = (Vec::with_capacity(most), Vec::with_capacity(most));
        while asks.len() < self.size.asks
            && let Some((ask, waiting)) = state.queue.pop_front()
        {
            if !waiting.reply.is_closed() {
                asks.push(ask);
                all.push(Some(waiting));
            }
        }
        (asks, Replies::to(all))
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
        let waiting = state.queue.iter().any(|(_, it)| !it.reply.is_closed());
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

/// For questions that take a node less than a command does by itself.
const GATHERED: Size = Size { commands: 2, asks: 128, gather: true };

/// Between two looks at who waits, while a command takes longer than it may.
const LOOK: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests;
