//! Questions to Redis: many at once in one command, each within its deadline.
//!
//! As long as few commands are under way to a master, a question goes by itself, at once. Those that
//! come when there are more queue up, and share the commands that follow: the busier the master is, the more of
//! them do.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use seawall_redis::{Carry, Fold, Replies, Unasked, is_redirection, within};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::breaker::Breakers;
use super::config::ClusterConfig;
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
    /// The master answered: that another has the key, which is not to be reached.
    Elsewhere,
    Failed,
}

pub(crate) struct Desk {
    pub(crate) link: SharedLink,
    pub(crate) breakers: Breakers,
    stats: Arc<Stats>,
    deadline: Duration,
    pub(crate) runtime: Handle,
    fold: Fold<Carrier>,
}

type Reply = Result<Answer, NoAnswer>;

impl Desk {
    pub(crate) fn new(
        link: SharedLink,
        breakers: Breakers,
        stats: Arc<Stats>,
        config: &ClusterConfig,
    ) -> Self {
        let (deadline, runtime) = (config.deadline, Handle::current());
        let carrier = Carrier { link: Arc::clone(&link), stats: Arc::clone(&stats), deadline };
        let fold = Fold::new(carrier, config.max_queued, runtime.clone()).spread(COMMANDS, ASKS);
        Self { link, breakers, stats, deadline, runtime, fold }
    }

    /// Whether there is use in asking a node.
    pub(crate) fn is_reachable(&self, node: u32) -> bool {
        !self.breakers.is_open(node) && self.link.is_connected(node)
    }

    /// The nodes that serve keys and are not asked.
    pub(crate) fn out_of_reach(&self) -> Vec<u32> {
        let mut nodes = self.link.serving();
        nodes.retain(|node| self.breakers.is_open(*node));
        nodes
    }

    /// How many they are.
    pub(crate) fn given_up(&self) -> usize {
        self.out_of_reach().len()
    }

    /// Asks, within the deadline. Dropping the future is safe: what is under way may be charged.
    pub(crate) async fn ask(&self, ask: Ask) -> Reply {
        let node = self.link.node(ask.subject);
        if self.breakers.is_open(node) {
            return Err(NoAnswer::Unreachable);
        }
        if !self.link.is_connected(node) {
            self.failed(node, Instant::now());
            return Err(NoAnswer::Unreachable);
        }
        let asked = Instant::now();
        let reply = within(self.deadline, self.fold.ask(node, ask)).await;
        let reply = reply.unwrap_or(Err(NoAnswer::Late));
        match &reply {
            Ok(_) => self.answered(node),
            Err(NoAnswer::Full | NoAnswer::Elsewhere) => {}
            Err(no) => {
                // Here, whoever noticed it first: we, or the task that carried it.
                if *no == NoAnswer::Late {
                    self.stats.late();
                }
                self.failed(node, asked);
            }
        }
        reply
    }

    /// Asks whatever the breaker says, and lets it know.
    pub(crate) async fn probe(&self, ask: &Ask) {
        let node = self.link.node(ask.subject);
        let asked = self.link.decide(&ask.spec, 1, (ask.subject, ask.want));
        match within(self.deadline, asked).await {
            Some(Ok(_)) => self.answered(node),
            // It is there, whoever it names.
            Some(Err(error)) if is_redirection(&error) => self.answered(node),
            _ => {}
        }
    }

    /// A node has answered what was asked beside decisions, or these.
    pub(crate) fn answered(&self, node: u32) {
        if self.breakers.success(node) {
            self.stats.out_of_reach(self.given_up());
        }
    }

    /// It did not answer what was asked at `asked`.
    pub(crate) fn failed(&self, node: u32, asked: Instant) {
        if self.breakers.failure(node, asked, Instant::now()) {
            self.stats.out_of_reach(self.given_up());
        }
    }
}

/// How questions are put to a node.
#[derive(Clone)]
struct Carrier {
    link: SharedLink,
    stats: Arc<Stats>,
    deadline: Duration,
}

impl Carry for Carrier {
    type Ask = Ask;
    type Reply = Reply;

    async fn one(&self, _: u32, ask: Ask) -> Reply {
        let answer = self.link.decide(&ask.spec, ask.divisor, (ask.subject, ask.want)).await;
        answer.map_err(|error| self.refused(&error))
    }

    /// Sends what may share a command in one, and all commands at once.
    async fn many(&self, _: u32, asks: Vec<Ask>, replies: &Replies<Reply>) {
        let mut groups: Vec<Group> = Vec::new();
        for (place, ask) in asks.into_iter().enumerate() {
            let slot = self.link.group(ask.subject);
            let fits = |it: &&mut Group| {
                it.slot == slot && Arc::ptr_eq(&it.spec, &ask.spec) && it.divisor == ask.divisor
            };
            let asked = (ask.subject, ask.want);
            match groups.iter_mut().find(fits) {
                Some(group) => {
                    group.asks.push(asked);
                    group.places.push(place);
                }
                None => groups.push(Group {
                    slot,
                    spec: ask.spec,
                    divisor: ask.divisor,
                    asks: vec![asked],
                    places: vec![place],
                }),
            }
        }
        let send = async |group: Group| {
            let tell = |place: usize, answer: Result<Answer, fred::error::Error>| {
                replies.tell(group.places[place], answer.map_err(|error| self.refused(&error)));
            };
            let asked = self.link.decide_each(&group.spec, group.divisor, &group.asks, &tell);
            if within(self.deadline, asked).await.is_none() {
                // Those that have their answer keep it.
                group.places.iter().for_each(|place| replies.tell(*place, Err(NoAnswer::Late)));
            }
        };
        join_all(groups.into_iter().map(send)).await;
    }

    fn unasked(&self, why: Unasked) -> Reply {
        Err(if why == Unasked::Full { NoAnswer::Full } else { NoAnswer::Failed })
    }
}

impl Carrier {
    fn refused(&self, error: &fred::error::Error) -> NoAnswer {
        self.stats.redis_failed(error);
        if *error.kind() == fred::error::ErrorKind::Timeout {
            NoAnswer::Late
        } else if is_redirection(error) {
            NoAnswer::Elsewhere
        } else {
            NoAnswer::Failed
        }
    }
}

/// Questions that share a command.
struct Group {
    slot: u16,
    spec: Arc<Spec>,
    divisor: u32,
    asks: Vec<(Subject, Want)>,
    places: Vec<usize>,
}

/// Under way to a master. A question takes it several microseconds: with few and large commands it
/// would stand still while answers travel, and everybody would wait for the last of many.
const COMMANDS: usize = 8;

/// In one command. From here on what a command takes by itself is little beside its questions.
const ASKS: usize = 16;
