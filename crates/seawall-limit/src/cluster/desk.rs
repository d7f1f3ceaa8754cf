//! Questions to Redis: many at once in one command, each within its deadline.
//!
//! While nothing is under way, a question goes by itself, at once. Those that come meanwhile queue
//! up; at most two tasks carry them, each up to 128 at a time, so that the busier it is the more
//! of them share a command. In a cluster each sixteenth of the slots has a queue of its own.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::breaker::{Breakers, SECTIONS};
use super::link::SharedLink;
use super::protocol::{Answer, Spec, Want};
use super::stats::Stats;
use super::subject::Subject;

/// One question.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) subject: Subject,
    pub(crate) spec: Arc<Spec>,
    pub(crate) want: Want,
    /// The part of what is left that may be taken ahead: one in so many.
    pub(crate) divisor: u32,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// The breaker is open, or there is no connection: nothing was sent.
    Unreachable,
    /// Too many wait already: nothing was sent.
    Full,
    /// Redis may have charged it.
    Late,
    Failed,
}

pub(crate) struct Desk {
    pub(crate) link: SharedLink,
    pub(crate) breakers: Breakers,
    stats: Arc<Stats>,
    deadline: Duration,
    bound: usize,
    pub(crate) runtime: Handle,
    lanes: [Arc<Lane>; SECTIONS],
}

#[derive(Default)]
struct Lane(Mutex<Waiting>);

type Reply = Result<Answer, NoAnswer>;

#[derive(Default)]
struct Waiting {
    queue: VecDeque<(Ask, oneshot::Sender<Reply>)>,
    /// Questions by themselves, and tasks.
    under_way: usize,
}

enum Turn {
    Alone(Ask),
    Queued { reply: oneshot::Receiver<Reply>, start: bool },
    Full,
}

impl Desk {
    pub(crate) fn new(
        link: SharedLink,
        breakers: Breakers,
        stats: Arc<Stats>,
        deadline: Duration,
        bound: usize,
    ) -> Self {
        let lanes = std::array::from_fn(|_| Arc::default());
        Self { link, breakers, stats, deadline, bound, runtime: Handle::current(), lanes }
    }

    /// Whether there is use in asking about a subject.
    pub(crate) fn is_reachable(&self, section: usize) -> bool {
        !self.breakers.is_open(section) && self.link.is_up()
    }

    /// Asks, within the deadline. Dropping the future is safe: what is under way may be charged.
    pub(crate) async fn ask(self: &Arc<Self>, ask: Ask) -> Reply {
        let section = self.link.section(ask.subject);
        if self.breakers.is_open(section) {
            return Err(NoAnswer::Unreachable);
        }
        if !self.link.is_up() {
            self.failed(section);
            return Err(NoAnswer::Unreachable);
        }
        let lane = &self.lanes[section];
        let reply = match timeout(self.deadline, self.go(lane, ask)).await {
            Ok(reply) => reply,
            Err(_) => {
                self.stats.late();
                Err(NoAnswer::Late)
            }
        };
        match &reply {
            Ok(_) => self.answered(section),
            Err(NoAnswer::Full) => {}
            Err(_) => self.failed(section),
        }
        reply
    }

    /// Asks whatever the breaker says, and lets it know.
    pub(crate) async fn probe(&self, ask: &Ask) {
        let section = self.link.section(ask.subject);
        let asks = [(ask.subject, ask.want)];
        let answer = timeout(self.deadline, self.link.decide(&ask.spec, 1, &asks)).await;
        if matches!(answer, Ok(Ok(_))) {
            self.answered(section);
        }
    }

    async fn go(self: &Arc<Self>, lane: &Arc<Lane>, ask: Ask) -> Reply {
        match lane.enter(ask, self.bound) {
            Turn::Full => Err(NoAnswer::Full),
            Turn::Alone(ask) => {
                // Whoever waits by then gets a task, also if this future is dropped.
                let _under_way = UnderWay { desk: self, lane };
                let asks = [(ask.subject, ask.want)];
                // Boxed: fred's futures are large.
                let answers = Box::pin(self.link.decide(&ask.spec, ask.divisor, &asks)).await;
                self.one(answers)
            }
            Turn::Queued { reply, start } => {
                if start {
                    self.start(lane);
                }
                reply.await.unwrap_or(Err(NoAnswer::Failed))
            }
        }
    }

    fn start(self: &Arc<Self>, lane: &Arc<Lane>) {
        let (desk, lane) = (Arc::clone(self), Arc::clone(lane));
        self.runtime.spawn(async move {
            let _under_way = UnderWay { desk: &desk, lane: &lane };
            loop {
                // Whoever was woken with us asks first, so that we take more at once.
                yield_now().await;
                let batch = lane.take();
                if batch.is_empty() {
                    return;
                }
                desk.carry(batch).await;
            }
        });
    }

    /// Sends what may share a command in one, and all commands at once.
    async fn carry(&self, batch: Vec<(Ask, oneshot::Sender<Reply>)>) {
        type Group = (u16, Arc<Spec>, u32, Vec<(Subject, Want)>, Vec<oneshot::Sender<Reply>>);
        let mut groups: Vec<Group> = Vec::new();
        for (ask, sender) in batch {
            let group = self.link.group(ask.subject);
            let fits = |it: &&mut Group| {
                it.0 == group && Arc::ptr_eq(&it.1, &ask.spec) && it.2 == ask.divisor
            };
            match groups.iter_mut().find(fits) {
                Some(it) => {
                    it.3.push((ask.subject, ask.want));
                    it.4.push(sender);
                }
                None => {
                    let asks = vec![(ask.subject, ask.want)];
                    groups.push((group, ask.spec, ask.divisor, asks, vec![sender]));
                }
            }
        }
        let send = async |(_, spec, divisor, asks, senders): Group| {
            let answers = timeout(self.deadline, self.link.decide(&spec, divisor, &asks)).await;
            match answers {
                Ok(Ok(answers)) => {
                    for (sender, answer) in senders.into_iter().zip(answers) {
                        let _ = sender.send(Ok(answer));
                    }
                }
                Ok(Err(error)) => {
                    let no = self.refused(&error);
                    senders.into_iter().for_each(|sender| drop(sender.send(Err(no))));
                }
                Err(_) => {
                    senders.into_iter().for_each(|sender| drop(sender.send(Err(NoAnswer::Late))));
                }
            }
        };
        join_all(groups.into_iter().map(send)).await;
    }

    fn one(&self, answers: Result<Vec<Answer>, fred::error::Error>) -> Reply {
        match answers {
            Ok(mut answers) => answers.pop().ok_or(NoAnswer::Failed),
            Err(error) => Err(self.refused(&error)),
        }
    }

    fn refused(&self, error: &fred::error::Error) -> NoAnswer {
        self.stats.redis_failed(error);
        if *error.kind() == fred::error::ErrorKind::Timeout {
            NoAnswer::Late
        } else {
            NoAnswer::Failed
        }
    }

    fn answered(&self, section: usize) {
        if self.breakers.success(section) {
            self.stats.breaker(section, false);
        }
    }

    fn failed(&self, section: usize) {
        if self.breakers.failure(section) {
            self.stats.breaker(section, true);
        }
    }
}

impl Lane {
    fn enter(&self, ask: Ask, bound: usize) -> Turn {
        let mut waiting = self.0.lock();
        if waiting.under_way == 0 {
            waiting.under_way = 1;
            return Turn::Alone(ask);
        }
        if waiting.queue.len() >= bound {
            return Turn::Full;
        }
        let (sender, reply) = oneshot::channel();
        waiting.queue.push_back((ask, sender));
        let start = waiting.under_way < MOST_UNDER_WAY;
        waiting.under_way += usize::from(start);
        Turn::Queued { reply, start }
    }

    /// Those of the front that somebody still waits for.
    fn take(&self) -> Vec<(Ask, oneshot::Sender<Reply>)> {
        let mut waiting = self.0.lock();
        let mut batch = Vec::with_capacity(waiting.queue.len().min(MOST_ASKS));
        while batch.len() < MOST_ASKS
            && let Some((ask, sender)) = waiting.queue.pop_front()
        {
            if !sender.is_closed() {
                batch.push((ask, sender));
            }
        }
        batch
    }
}

/// One of what is counted in a lane.
struct UnderWay<'a> {
    desk: &'a Arc<Desk>,
    lane: &'a Arc<Lane>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut waiting = self.lane.0.lock();
        if waiting.queue.iter().all(|(_, sender)| sender.is_closed()) {
            waiting.queue.clear();
            waiting.under_way -= 1;
            return;
        }
        drop(waiting);
        // A runtime that is shutting down drops the task, and with it who waits.
        self.desk.start(self.lane);
    }
}

const MOST_UNDER_WAY: usize = 2;
const MOST_ASKS: usize = 128;
