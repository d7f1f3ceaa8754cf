//! One statement with many sets of parameters, in one flight.

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::dispatch::{Search, unless_down};
use crate::error::{Error, Outcome, classify};
use crate::exec::{Call, Session};
use crate::pool::Inner;
use crate::route::{Intent, Request};

/// Runs `call` with each set of parameters on one connection of a node that fits.
pub(crate) async fn run(
    pool: &Inner,
    request: Request,
    call: &Call<'_>,
    sets: &[&[&(dyn ToSql + Sync)]],
) -> Result<Vec<Vec<Row>>, Error> {
    let mut search = Search::of_many(pool, request);
    loop {
        let (node, choice) = search.next().await?;
        let served = async {
            let lease = search.fit_lease(node, call.limit).await?;
            lease.session().run_each(call, sets).await
        };
        let served = { unless_down(node, std::pin::pin!(served)).await };
        // Many statements: how long they took says nothing about the node.
        if let Some(rows) = search.ended(node, choice, served, |_| None)? {
            return Ok(rows);
        }
    }
}

impl Session<'_> {
    async fn run_each(
        &self,
        call: &Call<'_>,
        sets: &[&[&(dyn ToSql + Sync)]],
    ) -> Result<Vec<Vec<Row>>, Error> {
        self.node.metrics.queries(call.intent).increment(sets.len() as u64);
        self.marks.begin();
        let start = Instant::now();
        let result = match timeout_at(start + call.limit, self.healing_each(call, sets)).await {
            Ok(result) => result,
            Err(_) => Err(self.late(call)),
        };
        self.ended(call, start.elapsed(), result.as_ref().err());
        if result.as_ref().err().is_none_or(|error| self.is_finished(error)) {
            self.marks.end();
        }
        result
    }

    async fn healing_each(
        &self,
        call: &Call<'_>,
        sets: &[&[&(dyn ToSql + Sync)]],
    ) -> Result<Vec<Vec<Row>>, Error> {
        let first = self.pipeline(call, sets).await;
        match first {
            // Of a read only: some of many writes may have been executed before.
            Err(Error::Query { source, .. })
                if classify::is_stale_statement(&source) && call.intent != Intent::Write =>
            {
                self.node.metrics.healed.increment(1);
                self.statements.remove(call.sql);
                self.pipeline(call, sets).await
            }
            other => other,
        }
    }

    /// Sends up to [`WINDOW`] ahead of the answers. After a failure no more is sent,
    /// and the answers to what was sent are waited for.
    async fn pipeline(
        &self,
        call: &Call<'_>,
        sets: &[&[&(dyn ToSql + Sync)]],
    ) -> Result<Vec<Vec<Row>>, Error> {
        let statement = self.prepare(call.sql).await?;
        let mut under_way = FuturesOrdered::new();
        let mut left = sets.iter();
        let mut rows = Vec::with_capacity(sets.len());
        let mut failure = None;
        loop {
            while failure.is_none() && under_way.len() < WINDOW {
                let Some(&params) = left.next() else {
                    break;
                };
                let statement = &statement;
                under_way.push_back(async move {
                    let call = Call { params, ..*call };
                    self.execute(statement, &call).await
                });
            }
            match under_way.next().await {
                Some(Ok(answer)) => rows.push(answer.rows),
                Some(Err(mut error)) => {
                    if sets.len() > 1
                        && call.if_lost == Outcome::Unknown
                        && let Error::Query { outcome, .. } = &mut error
                    {
                        // It had no effect, but others of the call may have had theirs.
                        *outcome = Outcome::Unknown;
                    }
                    failure.get_or_insert(error);
                }
                None => return failure.map_or(Ok(rows), Err),
            }
        }
    }
}

/// Enough to hide a round trip, few enough not to fill a server's buffers.
const WINDOW: usize = 128;
