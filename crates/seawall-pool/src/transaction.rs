//! A transaction that says whether it took effect.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Buf;
use futures_util::TryStreamExt;
use parking_lot::Mutex;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{CopyInSink, Row, SimpleQueryMessage};

use crate::error::{Error, Outcome, classify};
use crate::exec::{Answer, Ask, Call, Session, Shape};
use crate::lease::Marks;
use crate::lsn::EVERYTHING;
use crate::node::Node;
use crate::position::{POSITION, Position};
use crate::route::Intent;
use crate::statements::Statements;
use crate::wire::Wire;
use crate::{Token, text};

mod options;

pub use options::{ParseTransactionError, TransactionOptions};

/// A transaction on a [`Conn`](crate::Conn), rolled back when dropped.
///
/// Its errors before [`commit`](Self::commit) have the outcome
/// [`Outcome::NoEffect`]: nothing is committed, whatever was lost. Derefs to
/// [`deadpool_postgres::Transaction`] for everything else.
///
/// Cancel safety: if a future of this type is dropped before it is done, or
/// runs out of time, the statement goes on until the transaction and its
/// connection are dropped too; then it is cancelled, and the connection not lent
/// before that is confirmed.
/// A [`commit`](Self::commit) that is called all the same waits for the statement
/// and commits what it did. A dropped `commit` may or may not have committed.
pub struct Transaction<'a> {
    inner: deadpool_postgres::Transaction<'a>,
    on: On<'a>,
    intent: Intent,
    limit: Duration,
    /// Whether the server may have given up the transaction.
    doubtful: AtomicBool,
}

/// The connection that a transaction is on.
#[derive(Clone, Copy)]
pub(crate) struct On<'a> {
    pub(crate) statements: &'a Statements,
    pub(crate) wire: &'a Wire,
    pub(crate) node: &'a Arc<Node>,
    pub(crate) marks: &'a Marks,
}

impl<'a> Transaction<'a> {
    pub(crate) fn new(
        inner: deadpool_postgres::Transaction<'a>,
        on: On<'a>,
        intent: Intent,
        limit: Duration,
    ) -> Self {
        Self { inner, on, intent, limit, doubtful: AtomicBool::new(false) }
    }

    /// Runs a statement and returns its rows.
    ///
    /// # Errors
    ///
    /// [`Error::Query`], [`Error::QueryTimeout`] and [`Error::ParameterCount`].
    pub async fn query(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        Ok(self.run(sql, params, Shape::All).await?.rows)
    }

    /// Runs a statement that gives exactly one row.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query), and [`Error::RowCount`].
    pub async fn query_one(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Row, Error> {
        self.run(sql, params, Shape::AtMostOne).await?.one()
    }

    /// Runs a statement that gives at most one row.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query), and [`Error::RowCount`].
    pub async fn query_opt(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Error> {
        Ok(self.run(sql, params, Shape::AtMostOne).await?.rows.pop())
    }

    /// Runs a statement and returns how many rows it touched.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    pub async fn execute(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        Ok(self.run(sql, params, Shape::Count).await?.affected)
    }

    /// As [`Conn::copy_in`](crate::Conn::copy_in), within the transaction.
    ///
    /// # Errors
    ///
    /// As [`Conn::copy_in`](crate::Conn::copy_in).
    pub async fn copy_in<T>(&self, sql: &str) -> Result<CopyInSink<T>, Error>
    where
        T: Buf + Send + 'static,
    {
        self.doubtful.store(true, Ordering::Relaxed);
        self.session().borrower_copies(sql, self.limit).await
    }

    /// Commits.
    ///
    /// PostgreSQL answers `COMMIT` of a failed transaction with a silent
    /// rollback. If a statement failed or was given up, this first asks whether the
    /// transaction is still alive, and fails if it is not.
    ///
    /// # Errors
    ///
    /// [`Error::Query`] with [`Outcome::NoEffect`] if the server refused, and
    /// [`Error::Query`] or [`Error::QueryTimeout`] with [`Outcome::Unknown`] if
    /// its answer was lost.
    pub async fn commit(self) -> Result<(), Error> {
        self.check().await?;
        let Self { inner, on, limit, .. } = self;
        finish(inner.commit(), on, limit, Outcome::Unknown).await
    }

    /// Commits, and reads in the same flight where the log ends after it: the token
    /// for [`Route::after`](crate::Route::after), without a round trip of its own.
    ///
    /// Should it be committed and the position not be readable, the token is one that
    /// only the primary has, with the largest position there is.
    ///
    /// The connection is back in the pool one round trip later than after
    /// [`commit`](Self::commit), which nobody waits for.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    pub async fn commit_token(self) -> Result<Token, Error> {
        self.check().await?;
        let Self { inner, on, limit, .. } = self;
        // The driver's transaction ends with a ROLLBACK when it is dropped, for which
        // there must be one: hence BEGIN.
        let sql = format!("COMMIT; {POSITION}; BEGIN");
        let (committed, position) = (AtomicBool::new(false), Mutex::new(None));
        let ending = async {
            let mut messages = std::pin::pin!(inner.client().simple_query_raw(&sql).await?);
            while let Some(message) = messages.try_next().await? {
                // The first to end is the commit.
                committed.store(true, Ordering::Relaxed);
                if let SimpleQueryMessage::Row(row) = message {
                    *position.lock() = Position::read_text(&row);
                }
            }
            Ok(())
        };
        let ended = finish(ending, on, limit, Outcome::Unknown).await;
        if let Err(error) = ended
            && !committed.load(Ordering::Relaxed)
        {
            return Err(error);
        }
        let position = position.into_inner().filter(|position| !position.recovering);
        Ok(position.map_or_else(
            || on.node.token(EVERYTHING, 0),
            |position| on.node.token(position.lsn, position.timeline),
        ))
    }

    /// Has the commit wait until the synchronous standbys show its effect
    /// (`synchronous_commit = remote_apply`, for this transaction): reads there then see
    /// it without a token. Standbys that are not named in the server's
    /// `synchronous_standby_names` are not waited for. One round trip.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    pub async fn remote_apply(&self) -> Result<(), Error> {
        self.run("SET LOCAL synchronous_commit TO remote_apply", &[], Shape::Count).await?;
        Ok(())
    }

    /// Fails if the server has given up the transaction.
    async fn check(&self) -> Result<(), Error> {
        // A statement whose future was dropped may fail with nobody listening.
        if self.doubtful.load(Ordering::Relaxed) || self.on.marks.is_busy() {
            self.run("SELECT", &[], Shape::Count).await?;
        }
        Ok(())
    }

    /// Rolls back and waits until the server has done so.
    ///
    /// # Errors
    ///
    /// [`Error::Query`] and [`Error::QueryTimeout`]; the transaction has no effect
    /// in any case.
    pub async fn rollback(self) -> Result<(), Error> {
        let Self { inner, on, limit, .. } = self;
        finish(inner.rollback(), on, limit, Outcome::NoEffect).await
    }

    async fn run(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
        shape: Shape,
    ) -> Result<Answer, Error> {
        if text::leaves_traces(sql) {
            self.on.marks.soil();
        }
        let call = Call {
            sql,
            params,
            shape,
            intent: self.intent,
            if_lost: Outcome::NoEffect,
            limit: self.limit,
            guessed: false,
            position: Ask::No,
            applied: false,
            after: None,
        };
        let result = self.session().run(&call).await;
        if result.is_err() {
            self.doubtful.store(true, Ordering::Relaxed);
        }
        result
    }

    fn session(&self) -> Session<'_> {
        let On { statements, wire, node, marks } = self.on;
        Session { client: self.inner.client(), statements, wire, node, marks }
    }
}

/// Everything else a transaction can do. What happens there is not watched, so
/// the connection is reset afterwards.
impl<'a> Deref for Transaction<'a> {
    type Target = deadpool_postgres::Transaction<'a>;

    fn deref(&self) -> &Self::Target {
        self.on.marks.soil();
        self.doubtful.store(true, Ordering::Relaxed);
        &self.inner
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("node", &self.on.node.name).finish_non_exhaustive()
    }
}

async fn finish(
    ending: impl Future<Output = Result<(), tokio_postgres::Error>>,
    On { node, marks, .. }: On<'_>,
    limit: Duration,
    if_lost: Outcome,
) -> Result<(), Error> {
    marks.begin();
    match timeout(limit, ending).await {
        Ok(Ok(())) => {
            marks.end();
            Ok(())
        }
        Ok(Err(source)) => {
            let refused = classify::is_refusal(&source);
            if refused {
                marks.end();
            } else {
                node.suspect();
            }
            let outcome = if refused { Outcome::NoEffect } else { if_lost };
            Err(Error::Query { node: Arc::clone(&node.name), outcome, source })
        }
        Err(_) => {
            Err(Error::QueryTimeout { node: Arc::clone(&node.name), limit, outcome: if_lost })
        }
    }
}
