//! Choosing a node for a call, and the next one if it fails.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::Spill;
use crate::buffer::Place;
use crate::checkout::{Ask, Patience};
use crate::error::{Error, Outcome, classify};
use crate::exec::{Answer, Call};
use crate::lease::Lease;
use crate::ledger::{Class, Site};
use crate::lsn::EVERYTHING;
use crate::node::Node;
use crate::pool::Inner;
use crate::route::{Choice, Intent, Request, Verdict};

pub(crate) mod fallback;
mod write;

/// Runs `call` on a node that fits, and on the next if that one fails.
pub(crate) async fn run<'p>(
    pool: &'p Inner,
    request: Request,
    call: Call<'_>,
) -> Result<(&'p Arc<Node>, Answer), Error> {
    let mut search = Search::new(pool, request, None);
    loop {
        let (node, choice) = search.next().await?;
        let call = call.on(node, request.after);
        let served = async {
            let lease = search.lease(node).await?;
            let start = lease.granted().or(choice.since());
            match lease.session().run_from(start, &call).await {
                Err(Error::Query { source, node, outcome })
                    if call.intent == Intent::Write && classify::is_read_only(&source) =>
                {
                    let error = Error::Query { source, node, outcome };
                    Err(Box::pin(refused(&lease, error, call.limit)).await)
                }
                served => served,
            }
        };
        let served = { unless_down(node, pin!(served)).await };
        if let Some(answer) = search.ended(node, choice, served, |answer| answer.lasted(&call))? {
            return Ok((node, answer));
        }
    }
}

/// A write was refused, having done nothing, because its transaction was read-only. If that is
/// because the node is a standby by now, which its monitor has yet to find out, it is as one that
/// met no primary.
async fn refused(lease: &Lease, error: Error, limit: Duration) -> Error {
    match lease.session().position(limit).await {
        Ok(position) if position.recovering => {
            lease.node.found_recovering();
            Error::NotWritable { node: Arc::clone(&lease.node.name) }
        }
        _ => error,
    }
}

/// Takes a connection to a node that fits.
pub(crate) async fn connection(
    pool: &Inner,
    request: Request,
    limit: Duration,
    site: Site,
) -> Result<(Lease, Option<fallback::Place>), Error> {
    let mut search = Search::new(pool, request, Some(site));
    loop {
        let (node, choice) = search.next().await?;
        let lease = search.fit_lease(node, limit);
        let lease = { unless_down(node, pin!(lease)).await };
        // How long it is out for says nothing about the node.
        if let Some(lease) = search.ended(node, choice, lease, |_| None)? {
            return Ok((lease, search.take_place()));
        }
    }
}

impl Answer {
    /// How long the node took, if that tells how fast it is: of a report that took a
    /// minute nobody learns that.
    pub(crate) fn lasted(&self, call: &Call<'_>) -> Option<Duration> {
        (call.intent != Intent::Analytics).then_some(self.took)
    }
}

/// Tells the balancer how a call failed, as far as it is the node's doing.
pub(crate) fn ended_badly(choice: Choice, node: &Node, error: &Error) {
    let Some(since) = choice.since() else { return };
    let took = Instant::now() - since;
    match error {
        Error::Connect { source, .. } | Error::Query { source, .. } => {
            if classify::is_full(source) {
                choice.finish(Verdict::Saturated(None), took);
            } else if classify::is_connection_lost(source) {
                choice.finish(Verdict::Failure, took);
            } else {
                // The statement is at fault, or stood in the way of replay.
                choice.release();
            }
        }
        Error::ConnectTimeout { .. } => choice.finish(Verdict::Failure, took),
        Error::AcquireTimeout { .. } | Error::QueueFull { .. } | Error::QueueSlow { .. } => {
            node.metrics.saturated.increment(1);
            choice.finish(Verdict::Saturated(None), took);
        }
        // Slow, which is not failed.
        Error::QueryTimeout { .. } => choice.cancel(took),
        // Also a node that is down, which the monitor has entered.
        _ => choice.release(),
    }
}

/// Fails a write that is about to go to a node which is not the primary any more.
fn still_primary(node: &Node, intent: Intent) -> Result<(), Error> {
    if intent == Intent::Write && node.may_be_behind() {
        return Err(Error::NotWritable { node: Arc::clone(&node.name) });
    }
    Ok(())
}

/// Gives up `work` on a replica as soon as it is declared down. The primary
/// has no stand-in: what was sent there may as well wait for its limit.
pub(crate) async fn unless_down<T>(
    node: &Node,
    // By reference, or the future around it holds it once for each way it is awaited.
    work: Pin<&mut impl Future<Output = Result<T, Error>>>,
) -> Result<T, Error> {
    if node.is_primary() {
        return work.await;
    }
    // Made before the state is looked at, so that no change is missed.
    let went_down = node.went_down.notified();
    let down = || Err(Error::NodeDown { node: Arc::clone(&node.name) });
    if node.is_down() {
        return down();
    }
    tokio::select! {
        biased;
        result = work => result,
        () = went_down => down(),
    }
}

/// The nodes to try for one call, best first, each once.
pub(crate) struct Search<'p> {
    pool: &'p Inner,
    request: Request,
    pub(crate) ask: Ask,
    /// One deadline for the connections of all attempts.
    pub(crate) patience: Patience,
    /// Of a read on the primary, while it lasts.
    admitted: Option<fallback::Place>,
    waited: bool,
    primary_again: bool,
    failure: Option<(&'p Arc<Node>, Error)>,
    /// What the first replica said that had no room.
    full: Option<Error>,
    /// Of a write that found no primary.
    place: Option<Box<Place>>,
    /// Whether it is one statement, which has done nothing if it was not sent.
    single: bool,
}

impl<'p> Search<'p> {
    pub(crate) fn new(pool: &'p Inner, request: Request, site: Option<Site>) -> Self {
        let class = match request.intent {
            Intent::Read | Intent::Write => Class::Interactive,
            Intent::Analytics => Class::Analytics,
        };
        Self {
            pool,
            request,
            ask: Ask { class, site },
            patience: Patience::new(pool.config.acquire_timeout),
            admitted: None,
            waited: false,
            primary_again: false,
            failure: None,
            full: None,
            place: None,
            single: true,
        }
    }

    /// For several statements, of which some may be done when one was not sent.
    pub(crate) fn of_many(pool: &'p Inner, request: Request) -> Self {
        Self { single: false, ..Self::new(pool, request, None) }
    }

    pub(crate) async fn next(&mut self) -> Result<(&'p Arc<Node>, Choice), Error> {
        self.admitted = None;
        let choice = if self.request.intent == Intent::Write {
            self.primary().await?
        } else {
            let picked = self.pick().await.and_then(|choice| self.spill(choice));
            let Some(choice) = picked else {
                return Err(self.exhausted());
            };
            if let Some((failed, _)) = &self.failure {
                failed.metrics.retried.increment(1);
            }
            choice
        };
        let index = choice.node;
        self.request.excluded |= 1 << index;
        Ok((&self.pool.nodes[index], choice))
    }

    /// Another replica for a call that is under way on one, if one fits.
    pub(crate) fn another_replica(&mut self) -> Option<(&'p Arc<Node>, Choice)> {
        let excluded = self.request.excluded | !self.pool.replicas();
        let choice = self.pool.choose(&Request { excluded, ..self.request })?;
        if choice.is_full() {
            choice.release();
            return None;
        }
        let index = choice.node;
        self.request.excluded |= 1 << index;
        Some((&self.pool.nodes[index], choice))
    }

    /// Takes a connection to `node`. A write gives that up when the node is no longer the primary.
    pub(crate) async fn lease(&mut self, node: &Arc<Node>) -> Result<Lease, Error> {
        let intent = self.request.intent;
        self.admit(node).await?;
        let acquiring = pin!(node.acquire(self.ask, &mut self.patience));
        let lease = if intent == Intent::Write {
            let resigned = node.resigned.notified();
            still_primary(node, intent)?;
            tokio::select! {
                biased;
                lease = acquiring => lease?,
                () = resigned => {
                    return Err(Error::NotWritable { node: Arc::clone(&node.name) });
                }
            }
        } else {
            acquiring.await?
        };
        still_primary(node, intent)?;
        if let Some(place) = &mut self.place {
            place.served();
        }
        Ok(lease)
    }

    /// Takes a connection to `node`, which is to be as recent as the request says.
    pub(crate) async fn fit_lease(
        &mut self,
        node: &Arc<Node>,
        limit: Duration,
    ) -> Result<Lease, Error> {
        let lease = self.lease(node).await?;
        if let Some(wanted) = self.request.after.filter(|_| node.may_be_behind() || !node.is_up()) {
            lease.session().position(limit).await?.require(wanted, node)?;
        }
        Ok(lease)
    }

    /// Enters how an attempt at `node` ended. Gives what it brought, or nothing if the next
    /// node is to be tried. `lasted`: how long the node worked, if that says how fast it is.
    pub(crate) fn ended<T>(
        &mut self,
        node: &'p Arc<Node>,
        choice: Choice,
        served: Result<T, Error>,
        lasted: impl FnOnce(&T) -> Option<Duration>,
    ) -> Result<Option<T>, Error> {
        match served {
            Ok(given) => {
                match lasted(&given) {
                    Some(took) => choice.finish(Verdict::Success, took),
                    None => choice.release(),
                }
                Ok(Some(given))
            }
            Err(error) => {
                ended_badly(choice, node, &error);
                self.failed(node, error)?;
                Ok(None)
            }
        }
    }

    /// Notes that `node` failed the call, or returns the error if another node
    /// would not help or must not be asked.
    fn failed(&mut self, node: &'p Arc<Node>, error: Error) -> Result<(), Error> {
        if node.is_primary()
            && matches!(error, Error::Connect { .. } | Error::ConnectTimeout { .. })
        {
            // Another one may be the primary by now.
            self.pool.look();
        }
        let no_room = matches!(error, Error::QueueFull { .. } | Error::QueueSlow { .. });
        if no_room && !node.is_primary() {
            // No time was lost, and another may have room. Beyond those, overload goes where
            // `spill` says.
            self.request.excluded |= self.pool.unlike(node) & !self.spills_over();
            self.full.get_or_insert(error);
            return Ok(());
        }
        if self.request.intent == Intent::Write && self.can_wait(&error) {
            self.failure = Some((node, error));
            return Ok(());
        }
        // A supposed read that may have been a write, and been done.
        let unknown = error.outcome() == Some(Outcome::Unknown);
        if self.request.intent == Intent::Write || unknown || !runs_elsewhere(&error, node) {
            return Err(error);
        }
        // A stale connection says little about the primary: once more, on
        // another one, before giving up.
        if node.is_primary() && matches!(error, Error::Query { .. }) && !self.primary_again {
            self.primary_again = true;
            self.request.excluded &= !(1 << node.index);
        }
        self.failure = Some((node, error));
        Ok(())
    }

    fn exhausted(&mut self) -> Error {
        if let Some(full) = self.full.take() {
            return full;
        }
        let intent = self.request.intent;
        let source = self.failure.take().map(|(_, error)| Box::new(error));
        Error::NoNode { intent, nodes: self.pool.statuses(), source }
    }

    /// Chooses a node. A read after a position that no replica is known to
    /// have waits a little for one, once per call.
    async fn pick(&mut self) -> Option<Choice> {
        let chosen = self.pool.choose(&self.request);
        let wait = self.pool.config.catch_up_wait;
        // What no replica will ever have is not waited for.
        let later = self.request.after.is_some_and(|wanted| wanted < EVERYTHING);
        let waits = later && !self.waited && !wait.is_zero();
        if !waits || self.is_replica(&chosen) || self.request.intent == Intent::Write {
            return chosen;
        }
        self.waited = true;
        let deadline = Instant::now() + wait;
        loop {
            let progress = self.pool.board.progress.notified();
            let chosen = self.pool.choose(&self.request);
            if self.is_replica(&chosen) || !self.ask_replicas() {
                return chosen;
            }
            if timeout_at(deadline, progress).await.is_err() {
                return chosen;
            }
        }
    }

    /// What becomes of a read for which there are replicas, all of them full.
    fn spill(&self, choice: Choice) -> Option<Choice> {
        if !choice.is_full() && self.full.is_none() {
            return Some(choice);
        }
        let primary = self.pool.primary();
        let routing = &self.pool.config.routing;
        if !choice.is_full() {
            let spills = self.full.is_some() && choice.node == primary.index;
            if spills && !primary.is_idle(routing.spill_below) {
                return None;
            }
            primary.metrics.spilled.increment(u64::from(spills));
            return Some(choice);
        }
        match routing.spill {
            Spill::Wait => Some(choice),
            Spill::Primary => {
                let there = self.pool.on_primary(&self.request);
                let Some(there) = there.filter(|_| primary.is_idle(routing.spill_below)) else {
                    return Some(choice);
                };
                choice.release();
                primary.metrics.spilled.increment(1);
                Some(there)
            }
            Spill::Shed => {
                choice.release();
                None
            }
        }
    }

    /// The primary, if it may take what is too much for the replicas: bit `i` for node `i`.
    fn spills_over(&self) -> u64 {
        match self.pool.config.routing.spill {
            Spill::Primary => 1 << self.pool.primary().index,
            Spill::Wait | Spill::Shed => 0,
        }
    }

    fn is_replica(&self, chosen: &Option<Choice>) -> bool {
        chosen.as_ref().is_some_and(|choice| !self.pool.nodes[choice.node].is_primary())
    }

    /// Asks for new samples of the replicas that would serve the call. False if
    /// none is near enough to be worth the wait.
    fn ask_replicas(&self) -> bool {
        let any_position = Request { after: None, ..self.request };
        if !self.pool.has_replica(&any_position) {
            return false;
        }
        let config = &self.pool.config;
        // The lag is known to within two samples.
        let hopeless = config.catch_up_wait + 2 * config.health_interval;
        let mut asked = false;
        for node in self.pool.nodes.iter().filter(|node| !node.is_primary() && node.is_up()) {
            if node.lag().is_none_or(|lag| lag.time <= hopeless) {
                node.poke.notify_one();
                asked = true;
            }
        }
        asked
    }
}

/// Whether `error` is about the node rather than the statement.
fn runs_elsewhere(error: &Error, node: &Node) -> bool {
    match error {
        Error::Connect { .. }
        | Error::ConnectTimeout { .. }
        | Error::NodeDown { .. }
        | Error::Behind { .. } => true,
        Error::Query { source, .. } => {
            classify::is_connection_lost(source)
                || classify::is_full(source)
                || (!node.is_primary() && classify::is_conflict(source))
        }
        _ => false,
    }
}
