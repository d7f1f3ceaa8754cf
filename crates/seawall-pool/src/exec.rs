//! Running one statement on one connection.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use futures_util::TryStreamExt;
use futures_util::future::{join3, join4};
use scopeguard::{ScopeGuard, guard};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::types::ToSql;
use tokio_postgres::{CopyInSink, Row, Statement};

use crate::Lsn;
use crate::error::{Error, Outcome, classify};
use crate::hedge::Hedge;
use crate::lease::Marks;
use crate::node::Node;
use crate::position::{ALL_SETTLED, POSITION, Position, REACHED};
use crate::route::Intent;
use crate::statements::Statements;
use crate::wire::Wire;

/// A statement to run.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) sql: &'a str,
    pub(crate) params: &'a [&'a (dyn ToSql + Sync)],
    pub(crate) shape: Shape,
    pub(crate) intent: Intent,
    /// What a lost answer means: a read has no effect, a statement of a
    /// transaction none yet.
    pub(crate) if_lost: Outcome,
    pub(crate) limit: Duration,
    /// Whether it is a read only by its looks. On a primary it is held for a write.
    pub(crate) guessed: bool,
    /// Ask what the node has.
    pub(crate) position: Ask,
    /// Have the write wait until synchronous standbys show it.
    pub(crate) applied: bool,
    /// Fail unless the node has this.
    pub(crate) after: Option<Lsn>,
}

impl Call<'_> {
    /// The same, as it is to be run on `node` if what it reads is to have `after`.
    pub(crate) fn on(self, node: &Node, after: Option<Lsn>) -> Self {
        let behind = node.may_be_behind();
        let if_lost = if self.guessed && !behind { Outcome::Unknown } else { self.if_lost };
        // A primary that was lost may be back as a standby.
        Self { after: after.filter(|_| behind || !node.is_up()), if_lost, ..self }
    }
}

/// When to ask what the node has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    No,
    /// After the statement: what it wrote or saw lies at or below.
    After,
    /// Before it too: what lies at or below that, it saw.
    Around,
}

/// What is wanted of the rows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    All,
    AtMostOne,
    Count,
}

/// What a statement gave.
pub(crate) struct Answer {
    pub(crate) rows: Vec<Row>,
    pub(crate) affected: u64,
    /// The position before, if it was asked for: everything up to it was visible.
    pub(crate) lsn: Option<Lsn>,
    /// The position after, if it was asked for: everything visible or written lies at or
    /// below. None of a write that was done and whose position could not be read.
    pub(crate) seen: Option<Lsn>,
    /// Their timeline; zero if unknown.
    pub(crate) timeline: u32,
    /// From sending the statement to its last row.
    pub(crate) took: Duration,
    /// Of a read that was sent twice: which attempt gave it.
    pub(crate) hedge: Option<Hedge>,
}

impl Answer {
    /// The one row, for a call that was given at most one.
    pub(crate) fn one(mut self) -> Result<Row, Error> {
        self.rows.pop().ok_or(Error::RowCount { expected: "exactly one", many: false })
    }
}

/// Where a statement runs. Anything that prepares and caches statements:
/// a connection, or a transaction on it.
pub(crate) struct Session<'a> {
    pub(crate) client: &'a tokio_postgres::Client,
    pub(crate) statements: &'a Statements,
    pub(crate) wire: &'a Wire,
    pub(crate) node: &'a Arc<Node>,
    pub(crate) marks: &'a Marks,
}

impl Session<'_> {
    /// Runs `call` and returns by its limit. If the future is dropped or the
    /// limit passes, the connection stays marked as busy.
    pub(crate) async fn run(&self, call: &Call<'_>) -> Result<Answer, Error> {
        self.run_from(None, call).await
    }

    /// As [`run`](Self::run), starting at a moment that was read already.
    pub(crate) async fn run_from(
        &self,
        start: Option<Instant>,
        call: &Call<'_>,
    ) -> Result<Answer, Error> {
        let node = self.node;
        node.metrics.queries(call.intent).increment(1);
        self.marks.begin();
        let start = start.unwrap_or_else(Instant::now);
        let result = match timeout_at(start + call.limit, self.healing(call)).await {
            Ok(result) => result,
            Err(_) => Err(self.late(call)),
        };
        if result.as_ref().err().is_none_or(|error| self.is_finished(error)) {
            self.marks.end();
        }
        self.answered(call, start.elapsed(), result)
    }

    /// No answer within the limit.
    pub(crate) fn late(&self, call: &Call<'_>) -> Error {
        let (node, limit) = (Arc::clone(&self.node.name), call.limit);
        Error::QueryTimeout { node, limit, outcome: call.if_lost }
    }

    /// Enters what the end of one statement says about the node.
    pub(crate) fn answered(
        &self,
        call: &Call<'_>,
        took: Duration,
        mut result: Result<Answer, Error>,
    ) -> Result<Answer, Error> {
        self.ended(call, took, result.as_ref().err());
        if let Ok(answer) = &mut result {
            answer.took = took;
            if let Some(lsn) = answer.lsn.or(answer.seen) {
                self.node.seen_at(lsn, answer.timeline);
            }
        }
        result
    }

    /// Enters what the end of a call, of one statement or several, says about the node.
    pub(crate) fn ended(&self, call: &Call<'_>, took: Duration, failure: Option<&Error>) {
        let node = self.node;
        self.note(call, took);
        let Some(error) = failure else {
            node.served(call.intent);
            return;
        };
        if !matches!(error, Error::RowCount { .. } | Error::Behind { .. }) {
            node.metrics.failed_queries.increment(1);
        }
        match error {
            Error::Query { source, .. } if classify::is_connection_lost(source) => node.suspect(),
            // Slow, or frozen: the monitor can tell.
            Error::QueryTimeout { .. } => node.poke.notify_one(),
            _ => {}
        }
    }

    /// Runs `call`, once more if its prepared statement has gone stale: that is
    /// found out before the statement does anything.
    pub(crate) async fn healing(&self, call: &Call<'_>) -> Result<Answer, Error> {
        // Of the statement before, whose end was seen.
        let in_transaction = !self.wire.is_idle();
        let mut healed = false;
        loop {
            match self.once(call).await {
                Err(Error::Query { source, .. })
                    if !healed && classify::is_stale_statement(&source) =>
                {
                    self.node.metrics.healed.increment(1);
                    self.statements.remove(call.sql);
                    self.forget_position();
                    if in_transaction {
                        return Err(self.failed(Outcome::NoEffect, source));
                    }
                    healed = true;
                }
                other => return other,
            }
        }
    }

    async fn once(&self, call: &Call<'_>) -> Result<Answer, Error> {
        let statement = match self.prepare(call.sql).await {
            Ok(statement) => statement,
            Err(error) => {
                // On a node that is behind, a table may be missing that is
                // there in the state asked for.
                if let Some(wanted) = call.after
                    && self.is_finished(&error)
                {
                    Box::pin(self.locate()).await?.require(wanted, self.node)?;
                }
                return Err(error);
            }
        };
        if call.applied {
            return Box::pin(self.applied(&statement, call)).await;
        }
        if call.position != Ask::No || call.after.is_some() {
            // Boxed, so that calls without are not burdened with its size.
            return Box::pin(async {
                let positions = self.positions(call).await?;
                self.with_position(&positions, &statement, call).await
            })
            .await;
        }
        self.execute(&statement, call).await
    }

    /// Prepares what is asked about the node's position beside the statement.
    async fn positions(&self, call: &Call<'_>) -> Result<Positions, Error> {
        let claims = call.position == Ask::Around;
        let mut positions = Positions::default();
        if claims || call.after.is_some() {
            positions.before = Some(self.prepare(POSITION).await?);
        }
        if claims && self.node.is_primary() {
            positions.settled = Some(self.prepare(ALL_SETTLED).await?);
        }
        if call.position != Ask::No {
            positions.after = Some(self.prepare(REACHED).await?);
        }
        Ok(positions)
    }

    /// Runs `statement` with the position of the node, read just before it and just after.
    ///
    /// All go in one flight, in this order, so the server looks up the first position before it
    /// takes the snapshot of the statement, and the last when a write has committed.
    async fn with_position(
        &self,
        positions: &Positions,
        statement: &Statement,
        call: &Call<'_>,
    ) -> Result<Answer, Error> {
        let (before, settled, answer, after) = join4(
            self.row(positions.before.as_ref()),
            self.row(positions.settled.as_ref()),
            self.execute(statement, call),
            self.row(positions.after.as_ref()),
        )
        .await;
        let (before, after) = match (
            read(before, Position::read),
            read(after, Position::read_reached),
        ) {
            (Ok(before), Ok(after)) => (before, after),
            (Err(source), _) | (_, Err(source)) if call.if_lost == Outcome::Unknown => {
                // It is done, or has failed for a reason of its own: an error here could have
                // it run again.
                self.forget_position();
                let answer = answer?;
                tracing::warn!(node = %self.node.name, error = %source, "no position of a write");
                return Ok(answer);
            }
            (Err(source), _) | (_, Err(source)) => {
                answer?;
                return Err(self.failed(call.if_lost, source));
            }
        };
        if let (Some(wanted), Some(before)) = (call.after, &before) {
            before.require(wanted, self.node)?;
        }
        let settled = settled.ok().flatten().and_then(|row| row.try_get(0).ok()).unwrap_or(false);
        let claimed = before.filter(|_| call.position == Ask::Around);
        let lsn = claimed.map(|position| position.claimed(settled));
        let seen = after.as_ref().map(|position| position.lsn);
        let timeline = after.map_or(0, |position| position.timeline);
        Ok(Answer { lsn, seen, timeline, ..answer? })
    }

    /// Runs a write that waits for synchronous standbys to show it: the setting before
    /// and after goes in the same flight.
    async fn applied(&self, statement: &Statement, call: &Call<'_>) -> Result<Answer, Error> {
        // First, or preparing would let the end of the setting go first.
        let positions = self.positions(call).await?;
        let write = self.with_position(&positions, statement, call);
        let set = self.client.batch_execute("SET synchronous_commit TO remote_apply");
        let reset = self.client.batch_execute("RESET synchronous_commit");
        // Dropped half-way, what stops the write may stop the reset instead.
        let left = guard(self.marks, Marks::soil);
        let (set, answer, reset) = join3(set, write, reset).await;
        if reset.is_ok() {
            ScopeGuard::into_inner(left);
        }
        let answer = answer?;
        // Done, and not as it was asked for.
        set.map_err(|source| self.failed(call.if_lost, source))?;
        Ok(answer)
    }

    pub(crate) async fn execute(
        &self,
        statement: &Statement,
        call: &Call<'_>,
    ) -> Result<Answer, Error> {
        let (expected, given) = (statement.params().len(), call.params.len());
        if expected != given {
            return Err(Error::ParameterCount { expected, given });
        }
        let rows = match self.client.query_raw(statement, call.params.iter().copied()).await {
            Ok(rows) => rows,
            Err(source) => return Err(self.lost_or_refused(call, source)),
        };
        let mut stream = pin!(rows);
        let mut rows = Vec::new();
        let mut too_many = false;
        while let Some(row) =
            stream.try_next().await.map_err(|source| self.lost_or_refused(call, source))?
        {
            match call.shape {
                Shape::All => rows.push(row),
                Shape::AtMostOne if rows.is_empty() => rows.push(row),
                // Given up, it would be cancelled, perhaps before it commits.
                Shape::AtMostOne if call.if_lost == Outcome::Unknown => too_many = true,
                Shape::AtMostOne => {
                    // The rest is still on its way: the connection stays marked.
                    self.marks.begin();
                    return Err(Error::RowCount { expected: "at most one", many: true });
                }
                Shape::Count => {}
            }
        }
        if too_many {
            return Err(Error::RowCount { expected: "at most one", many: true });
        }
        let affected = stream.rows_affected().unwrap_or(0);
        let took = Duration::ZERO;
        Ok(Answer { rows, affected, lsn: None, seen: None, timeline: 0, took, hedge: None })
    }

    async fn row(
        &self,
        statement: Option<&Statement>,
    ) -> Result<Option<Row>, tokio_postgres::Error> {
        match statement {
            Some(statement) => self.client.query_one(statement, &[]).await.map(Some),
            None => Ok(None),
        }
    }

    /// Asks the node where it is: one round trip.
    pub(crate) async fn position(&self, limit: Duration) -> Result<Position, Error> {
        self.marks.begin();
        let located = async {
            match self.locate().await {
                Err(Error::Query { source, .. }) if classify::is_stale_statement(&source) => {
                    self.forget_position();
                    self.locate().await
                }
                other => other,
            }
        };
        match timeout_at(Instant::now() + limit, located).await {
            Ok(Ok(position)) => {
                self.marks.end();
                Ok(position)
            }
            Ok(Err(error)) => {
                if self.is_finished(&error) {
                    self.marks.end();
                }
                Err(error)
            }
            Err(_) => Err(Error::QueryTimeout {
                node: Arc::clone(&self.node.name),
                limit,
                outcome: Outcome::NoEffect,
            }),
        }
    }

    async fn locate(&self) -> Result<Position, Error> {
        let statement = self.prepare(POSITION).await?;
        let row = self.client.query_one(&statement, &[]).await;
        let row = row.and_then(|row| Position::read(&row));
        row.map_err(|source| self.failed(Outcome::NoEffect, source))
    }

    /// Prepares `sql`, once per connection. Nothing was executed if it fails.
    pub(crate) async fn prepare(&self, sql: &str) -> Result<Statement, Error> {
        let prepared = self.statements.prepare(self.client, sql).await.map_err(|source| {
            let refused = classify::is_refusal(&source);
            self.failed(if refused { Outcome::NoEffect } else { Outcome::NotSent }, source)
        })?;
        if prepared.leaves_traces {
            self.marks.soil();
        }
        Ok(prepared.statement)
    }

    /// Begins a copy that its borrower sees to. Given up before it has begun, it is cancelled on the server
    /// when the connection is given back.
    pub(crate) async fn borrower_copies<T>(
        &self,
        sql: &str,
        limit: Duration,
    ) -> Result<CopyInSink<T>, Error>
    where
        T: Buf + Send + 'static,
    {
        self.marks.soil();
        self.marks.begin();
        let begun = async { self.copy_in(&self.prepare(sql).await?).await };
        let sink = timeout_at(Instant::now() + limit, begun).await.unwrap_or_else(|_| {
            let (node, outcome) = (Arc::clone(&self.node.name), Outcome::NoEffect);
            Err(Error::QueryTimeout { node, limit, outcome })
        });
        if sink.as_ref().err().is_none_or(|error| self.is_finished(error)) {
            self.marks.end();
        }
        sink
    }

    /// Begins to copy rows to the server. If it refuses, the connection is as before.
    pub(crate) async fn copy_in<T>(&self, statement: &Statement) -> Result<CopyInSink<T>, Error>
    where
        T: Buf + Send + 'static,
    {
        if !statement.params().is_empty() {
            // No copy, and not sent by the driver.
            return Err(Error::ParameterCount { expected: statement.params().len(), given: 0 });
        }
        // Given up before it is known whether the server takes the rows, the connection is not lent
        // again.
        self.marks.spoil(true);
        self.wire.begin_copy();
        let sink = self.client.copy_in(statement).await;
        if sink.as_ref().err().is_none_or(classify::is_refusal) {
            self.marks.spoil(false);
        }
        sink.map_err(|source| {
            let answered = classify::is_refusal(&source) || classify::is_connection_lost(&source);
            // Otherwise it was a statement that copies no rows from here, and did what it does.
            self.failed(if answered { Outcome::NoEffect } else { Outcome::Unknown }, source)
        })
    }

    /// Has the statements about the position prepared anew.
    fn forget_position(&self) {
        self.statements.remove(POSITION);
        self.statements.remove(ALL_SETTLED);
        self.statements.remove(REACHED);
    }

    fn lost_or_refused(&self, call: &Call<'_>, source: tokio_postgres::Error) -> Error {
        let outcome = if classify::is_unsent(&source) {
            Outcome::NotSent
        } else if classify::is_refusal(&source) {
            Outcome::NoEffect
        } else {
            call.if_lost
        };
        self.failed(outcome, source)
    }

    pub(crate) fn failed(&self, outcome: Outcome, source: tokio_postgres::Error) -> Error {
        Error::Query { node: Arc::clone(&self.node.name), outcome, source }
    }

    /// Whether the connection is at rest after `error`.
    pub(crate) fn is_finished(&self, error: &Error) -> bool {
        match error {
            Error::Query { source, .. } => {
                classify::is_refusal(source) || classify::is_unsent(source)
            }
            Error::RowCount { .. } | Error::Behind { .. } | Error::ParameterCount { .. } => true,
            _ => false,
        }
    }

    fn note(&self, call: &Call<'_>, took: Duration) {
        self.node.metrics.query_seconds.record(took.as_secs_f64());
        if took > self.node.limits.slow_query {
            self.node.metrics.slow.increment(1);
            let fingerprint = self.node.slow.caught(self.node, call.sql, call.intent, took);
            let statement = &call.sql[..call.sql.floor_char_boundary(LOGGED_BYTES)];
            tracing::warn!(
                node = %self.node.name,
                op = call.intent.name(),
                seconds = took.as_secs_f64(),
                %fingerprint,
                statement,
                "slow query"
            );
        }
    }
}

/// The questions about a node's position that go with a statement.
#[derive(Default)]
struct Positions {
    before: Option<Statement>,
    settled: Option<Statement>,
    after: Option<Statement>,
}

fn read(
    row: Result<Option<Row>, tokio_postgres::Error>,
    read: impl FnOnce(&Row) -> Result<Position, tokio_postgres::Error>,
) -> Result<Option<Position>, tokio_postgres::Error> {
    row?.map(|row| read(&row)).transpose()
}

/// A longer statement is cut in the log.
const LOGGED_BYTES: usize = 2_000;
