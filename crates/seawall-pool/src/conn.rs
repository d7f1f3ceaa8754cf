//! A connection of one's own, for transactions and everything else.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use deadpool_postgres::ClientWrapper;
use tokio_postgres::types::ToSql;
use tokio_postgres::{CopyInSink, Row};

use crate::dispatch::fallback::Place;
use crate::error::{Error, Outcome, classify};
use crate::exec::{Answer, Ask, Call, Shape};
use crate::lease::{Lease, Parts};
use crate::position::Position;
use crate::route::Intent;
use crate::text;
use crate::transaction::{On, Transaction, TransactionOptions};
use crate::{Lsn, Token};

/// A connection taken out of the pool with [`Route::get`](crate::Route::get).
///
/// It goes back when dropped. Its own methods, and those of
/// [`Transaction`], watch what they do to the session: if nothing is left
/// behind, giving back costs nothing. Everything else that a connection can do
/// is there through `Deref` to [`ClientWrapper`] and from there to
/// [`tokio_postgres::Client`]; a connection used that way, or one that ran a
/// statement such as `SET`, `LISTEN`, `DO`, `CALL` or one that names
/// `set_config` or an advisory lock, is reset in the background before it is
/// lent again: one round trip that drops settings, temporary tables,
/// advisory locks and listeners, but keeps prepared statements. A
/// transaction left open, by whatever means, is seen by the status that the server
/// sends with each answer, and rolled back. A function that takes an advisory lock
/// or makes a temporary table inside its body is not seen: call such functions
/// through `Deref`.
///
/// Cancel safety: if a future of this type is dropped before it is done, the
/// statement is cancelled on the server when the connection is dropped too, and the
/// connection is not lent again before the server has confirmed that.
pub struct Conn {
    lease: Lease,
    /// Of a read on the primary, given up after the connection.
    _place: Option<Place>,
    intent: Intent,
    limit: Duration,
}

impl Conn {
    pub(crate) fn new(lease: Lease, place: Option<Place>, intent: Intent, limit: Duration) -> Self {
        Self { lease, _place: place, intent, limit }
    }

    /// The node it is connected to.
    #[must_use]
    pub fn node(&self) -> &Arc<str> {
        &self.lease.node.name
    }

    /// Runs a statement and returns its rows. The statement is prepared once per
    /// connection.
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

    /// Begins to copy rows to the server: what is sent into the sink, which
    /// [`tokio_postgres::binary_copy`] can write, in the format of the statement. If the server
    /// refuses, the connection goes on. [`Route::in_chunks`](crate::Route::in_chunks) does it all for
    /// rows of an iterator.
    ///
    /// # Errors
    ///
    /// [`Error::Query`] and, if the server does not say in time that it takes rows,
    /// [`Error::QueryTimeout`]: nothing was copied. Of a statement that is no `COPY .. FROM STDIN` the
    /// server does what it says; the error then has the outcome [`Outcome::Unknown`] and the connection is
    /// closed when it comes back. [`Error::ParameterCount`] for one with parameters.
    ///
    /// After a copy that failed once the server took rows, run a statement before the driver's
    /// `check_connection`: the answer to that alone is taken for one too many to the copy.
    ///
    /// Cancel safety: dropped before it is done, or out of time, the statement is cancelled on the
    /// server, and the connection closed, when the connection comes back. A sink
    /// that is dropped before its `finish` is done has copied nothing, unless the end was on its way.
    pub async fn copy_in<T>(&self, sql: &str) -> Result<CopyInSink<T>, Error>
    where
        T: Buf + Send + 'static,
    {
        self.lease.session().borrower_copies(sql, self.limit).await
    }

    /// Begins a transaction. It is rolled back when dropped; the server
    /// hears of that before the next statement on this connection.
    ///
    /// # Errors
    ///
    /// [`Error::Query`] and [`Error::QueryTimeout`]; nothing was done.
    pub async fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        self.transaction_with(TransactionOptions::default()).await
    }

    /// As [`transaction`](Self::transaction), with an isolation level, read-only, or both. See
    /// [`Route::begins`](crate::Route::begins) for a connection on which it can run.
    ///
    /// # Errors
    ///
    /// As [`transaction`](Self::transaction).
    pub async fn transaction_with(
        &mut self,
        options: TransactionOptions,
    ) -> Result<Transaction<'_>, Error> {
        let (intent, limit) = (self.intent, self.limit);
        let Parts { client, statements, wire, node, marks } = self.lease.parts_mut();
        marks.begin();
        let mut builder = client.build_transaction();
        if let Some(level) = options.isolation {
            builder = builder.isolation_level(level);
        }
        if let Some(read_only) = options.read_only {
            builder = builder.read_only(read_only);
        }
        if let Some(deferrable) = options.deferrable {
            builder = builder.deferrable(deferrable);
        }
        let began = tokio::time::timeout(limit, builder.start()).await;
        let node_name = || Arc::clone(&node.name);
        match began {
            Ok(Ok(inner)) => {
                marks.end();
                let on = On { statements, wire, node, marks };
                Ok(Transaction::new(inner, on, intent, limit))
            }
            Ok(Err(source)) => {
                if classify::is_refusal(&source) {
                    marks.end();
                }
                Err(Error::Query { node: node_name(), outcome: Outcome::NoEffect, source })
            }
            Err(_) => {
                Err(Error::QueryTimeout { node: node_name(), limit, outcome: Outcome::NoEffect })
            }
        }
    }

    /// The token of everything this connection has committed so far, for
    /// [`Route::after`](crate::Route::after). Call it after `commit` has
    /// returned; one round trip.
    ///
    /// It is the position of the log at the time of the call, so it may lie a
    /// little above the commit, and never below.
    ///
    /// # Errors
    ///
    /// [`Error::NotWritable`] if the node is in recovery, [`Error::Query`],
    /// [`Error::QueryTimeout`]. What was committed stays committed.
    pub async fn commit_lsn(&self) -> Result<Lsn, Error> {
        Ok(self.written().await?.lsn)
    }

    /// As [`commit_lsn`](Self::commit_lsn), as a token that knows its cluster and
    /// timeline. [`Transaction::commit_token`] gets it without the round trip.
    ///
    /// # Errors
    ///
    /// As [`commit_lsn`](Self::commit_lsn).
    pub async fn token(&self) -> Result<Token, Error> {
        let Position { lsn, timeline, .. } = self.written().await?;
        Ok(self.lease.node.token(lsn, timeline))
    }

    async fn written(&self) -> Result<Position, Error> {
        let position = self.lease.session().position(self.limit).await?;
        if position.recovering {
            return Err(Error::NotWritable { node: Arc::clone(&self.lease.node.name) });
        }
        Ok(position)
    }

    async fn run(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
        shape: Shape,
    ) -> Result<Answer, Error> {
        if text::leaves_traces(sql) {
            self.lease.marks.soil();
        }
        let if_lost = match self.intent {
            Intent::Write => Outcome::Unknown,
            Intent::Read | Intent::Analytics => Outcome::NoEffect,
        };
        let call = Call {
            sql,
            params,
            shape,
            intent: self.intent,
            if_lost,
            limit: self.limit,
            guessed: false,
            position: Ask::No,
            applied: false,
            after: None,
        };
        self.lease.session().run(&call).await
    }
}

/// The connection itself. Using it marks it for a reset.
impl Deref for Conn {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        self.lease.marks.soil();
        self.lease.client()
    }
}

impl DerefMut for Conn {
    fn deref_mut(&mut self) -> &mut ClientWrapper {
        self.lease.marks.soil();
        self.lease.parts_mut().client
    }
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn").field("lease", &self.lease).finish_non_exhaustive()
    }
}
