//! One statement on a lane.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use crate::dispatch::{Search, unless_down};
use crate::error::{Error, classify};
use crate::exec::{Answer, Call, Session};
use crate::lanes::Lane;
use crate::node::Node;
use crate::pool::Inner;
use crate::route::Request;
use crate::text;

/// Runs a read on a lane of a node that fits. Should there be none with room, or the lane
/// fail, it runs as any other read does.
pub(crate) async fn run<'p>(
    pool: &'p Inner,
    request: Request,
    call: Call<'_>,
) -> Result<(&'p Arc<Node>, Answer), Error> {
    let mut search = Search::new(pool, request, None);
    let mut sharing = true;
    loop {
        let (node, choice) = search.next().await?;
        let call = call.on(node, request.after);
        let served = async {
            if sharing && let Some(served) = ride(node, &call).await {
                return served;
            }
            let lease = search.lease(node).await?;
            lease.session().run_from(lease.granted(), &call).await
        };
        let served = { unless_down(node, std::pin::pin!(served)).await };
        if let Some(answer) = search.ended(node, choice, served, |answer| answer.lasted(&call))? {
            return Ok((node, answer));
        }
        sharing = false;
    }
}

/// Runs a read on a lane of `node`, if one has room and is fit for it.
pub(crate) async fn ride(node: &Arc<Node>, call: &Call<'_>) -> Option<Result<Answer, Error>> {
    if let Some(seat) = node.lanes.enter(node)
        && let Some(served) = seat.run(call).await
    {
        return Some(served);
    }
    node.lanes.metrics.overflows.increment(1);
    None
}

/// A place on a lane. One that is left before its statement is over stays counted
/// until the server is done with it.
pub(crate) struct Seat<'n> {
    node: &'n Arc<Node>,
    lane: Arc<Lane>,
    under_way: bool,
}

impl<'n> Seat<'n> {
    /// For a statement that was counted on `lane`.
    pub(crate) fn new(node: &'n Arc<Node>, lane: Arc<Lane>) -> Self {
        Self { node, lane, under_way: false }
    }

    /// Runs `call`. `None` if it is to run on a connection of its own: it may leave
    /// traces, or the lane was given up.
    async fn run(mut self, call: &Call<'_>) -> Option<Result<Answer, Error>> {
        let (node, lane) = (self.node, Arc::clone(&self.lane));
        let session = Session {
            client: &lane.link.client,
            statements: &lane.link.statements,
            wire: &lane.link.wire,
            node,
            marks: &lane.marks,
        };
        let start = Instant::now();
        self.under_way = true;
        let work = async {
            if !lane.is_fit(call.sql).await {
                return None;
            }
            node.metrics.queries(call.intent).increment(1);
            node.lanes.metrics.queries.increment(1);
            Some(session.healing(call).await)
        };
        let Ok(done) = timeout_at(start + call.limit, work).await else {
            return Some(session.answered(call, start.elapsed(), Err(session.late(call))));
        };
        // Its answer is there, or will never be.
        self.under_way = false;
        let result = done?;
        if let Err(Error::Query { source, .. }) = &result
            && classify::is_connection_lost(source)
        {
            if lane.is_abandoned() {
                node.lanes.metrics.moved.increment(1);
                return None;
            }
            node.lanes.retire(&lane);
        }
        Some(session.answered(call, start.elapsed(), result))
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if !self.under_way || self.lane.link.is_closed() {
            self.lane.let_go();
            return;
        }
        let lane = Arc::clone(&self.lane);
        self.node.spawn_at_home(async move {
            // Answered when everything sent before it is over.
            let _ = lane.link.is_there().await;
            lane.let_go();
        });
    }
}

impl Lane {
    /// Whether a statement leaves nothing in the session, as far as its text tells.
    /// Prepares it, the first time: one for all who come with it then.
    async fn is_fit(&self, sql: &str) -> bool {
        let statements = &self.link.statements;
        if statements.has(sql) {
            return true;
        }
        if text::may_leave_traces(sql) {
            return false;
        }
        let _one = self.preparing.lock().await;
        // Should it fail, it fails again where the error is made of it.
        let _ = statements.prepare(&self.link.client, sql).await;
        true
    }
}
