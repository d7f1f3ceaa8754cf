//! Reads that are sent to a second replica when the first takes long.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use tokio::time::{Instant, timeout_at};

use crate::checkout::{Ask, Patience};
use crate::dispatch::{Search, ended_badly, unless_down};
use crate::error::Error;
use crate::exec::{Answer, Call};
use crate::metrics::Labels;
use crate::node::Node;
use crate::pool::Inner;
use crate::route::{Choice, Request};
use crate::{lanes, text};

mod budget;
pub(crate) mod config;
mod delay;
pub(crate) mod metrics;

use budget::Budget;
use config::HedgeConfig;
use delay::Delay;
use metrics::HedgeMetrics;

/// Which of two attempts at a read gave the answer ([`At::hedge`](crate::At::hedge)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hedge {
    /// The first; the second was for nothing.
    Lost,
    /// The second, at another replica.
    Won,
}

/// What a pool knows about its hedged reads.
pub(crate) struct Hedger {
    budget: Budget,
    delay: Delay,
    metrics: HedgeMetrics,
}

impl Hedger {
    pub(crate) fn new(config: &HedgeConfig, labels: &Labels) -> Self {
        let hedger = Self {
            budget: Budget::new(config.budget, config.burst),
            delay: Delay::new(config.delay, config.quantile, config.min_delay),
            metrics: HedgeMetrics::new(labels),
        };
        hedger.show();
        hedger
    }

    /// A first attempt took so long, or was given up after this time.
    fn record(&self, began: Instant) {
        if self.delay.record(began.elapsed()) {
            self.show();
        }
    }

    fn show(&self) {
        self.metrics.delay.set(self.delay.get().unwrap_or_default().as_secs_f64());
    }

    /// Another replica for a read that takes long, if there is one and the budget allows it.
    fn second<'p>(&self, search: &mut Search<'p>, sql: &str) -> Option<Attempt<'p>> {
        if text::may_leave_traces(sql) {
            return None;
        }
        if !self.budget.spend() {
            self.metrics.no_budget.increment(1);
            return None;
        }
        let Some((node, choice)) = search.another_replica() else {
            self.budget.refund();
            self.metrics.no_replica.increment(1);
            return None;
        };
        self.metrics.sent.increment(1);
        Some(Attempt { node, choice, began: Instant::now() })
    }
}

/// Runs a read as any other, but for the second attempt. It is one that may have one.
pub(crate) async fn run<'p>(
    pool: &'p Inner,
    request: Request,
    call: Call<'_>,
    mut sharing: bool,
) -> Result<(&'p Arc<Node>, Answer), Error> {
    let hedger = &pool.hedger;
    let mut search = Search::new(pool, request, None);
    search.patience.begins();
    hedger.budget.earn();
    let mut delay = hedger.delay.get();
    loop {
        let (node, choice) = search.next().await?;
        let one = Attempt { node, choice, began: Instant::now() };
        if let Err(error) = search.admit(node).await {
            search.ended(node, one.choice, Err::<(), _>(error), |()| None)?;
            continue;
        }
        let on_one = call.on(node, request.after);
        let run = attempt(node, search.ask, search.patience.clone(), on_one, sharing);
        let mut first = pin!(run);
        let soon = match delay.filter(|_| !node.is_primary()) {
            Some(delay) => timeout_at(one.began + delay, first.as_mut()).await.ok(),
            None => Some(first.as_mut().await),
        };
        let two = if soon.is_none() { hedger.second(&mut search, call.sql) } else { None };
        let Some(two) = two else {
            let served = match soon {
                Some(served) => served,
                None => first.await,
            };
            if served.is_ok() && !one.node.is_primary() {
                hedger.record(one.began);
            }
            if let Some(answer) =
                search.ended(node, one.choice, served, |answer| answer.lasted(&call))?
            {
                return Ok((node, answer));
            }
            sharing = false;
            continue;
        };
        // One is enough for a call.
        delay = None;
        // Both end when the first is to.
        let limit = call.limit.saturating_sub(two.began - one.began);
        let on_two = Call { limit, ..call.on(two.node, request.after) };
        let run = attempt(two.node, search.ask, search.patience.clone(), on_two, sharing);
        let second = pin!(run);
        let (won, served, rest) = match select(first, second).await {
            Either::Left((served, rest)) => (Hedge::Lost, served, rest),
            Either::Right((served, rest)) => (Hedge::Won, served, rest),
        };
        hedger.record(one.began);
        let (winner, loser, other) = match won {
            Hedge::Lost => (one, two, Hedge::Won),
            Hedge::Won => (two, one, Hedge::Lost),
        };
        let answered = |won: Hedge, node: &Arc<Node>, answer| {
            if won == Hedge::Won {
                hedger.metrics.won.increment(1);
            }
            tracing::debug!(node = %node.name, ?won, "a read was sent twice");
            Answer { hedge: Some(won), ..answer }
        };
        let mut lacked = None;
        match served {
            Err(error) if lacked_time(&error) => {
                // The other may still have an answer, and is held to the same time.
                ended_badly(winner.choice, winner.node, &error);
                lacked = Some(error);
            }
            served => {
                let served =
                    search.ended(winner.node, winner.choice, served, |answer| answer.lasted(&call));
                if let Some(answer) = served? {
                    loser.choice.cancel(loser.began.elapsed());
                    return Ok((winner.node, answered(won, winner.node, answer)));
                }
            }
        }
        let served = rest.await;
        if let Some(answer) =
            search.ended(loser.node, loser.choice, served, |answer| answer.lasted(&call))?
        {
            return Ok((loser.node, answered(other, loser.node, answer)));
        }
        if let Some(error) = lacked {
            // As if there had been that attempt alone: what is too much for the replicas is not
            // for the primary.
            return Err(error);
        }
        sharing = false;
    }
}

/// One of the attempts at a read.
struct Attempt<'p> {
    node: &'p Arc<Node>,
    choice: Choice,
    began: Instant,
}

async fn attempt(
    node: &Arc<Node>,
    ask: Ask,
    mut patience: Patience,
    call: Call<'_>,
    sharing: bool,
) -> Result<Answer, Error> {
    let work = async {
        if sharing && let Some(served) = lanes::ride(node, &call).await {
            return served;
        }
        let lease = node.acquire(ask, &mut patience).await?;
        lease.session().run_from(lease.granted(), &call).await
    };
    unless_down(node, pin!(work)).await
}

/// Whether an attempt failed for want of time, where the other need not.
fn lacked_time(error: &Error) -> bool {
    matches!(error, Error::AcquireTimeout { .. } | Error::QueryTimeout { .. })
}
