//! A connection beside the pool's, for rare work that must neither wait for users nor make them wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, SimpleQueryMessage};

use crate::dial::{Dialed, Dialer};
use crate::error::{Error, Outcome, classify};
use crate::node::Node;

/// A connection that is used once and closed. It has limits of its own on the server:
/// what its caller does not wait for any more ends there too.
pub(crate) struct Aside {
    client: Client,
    node: Arc<str>,
    limits: Limits,
    driver: JoinHandle<()>,
}

/// What a connection beside the pool's is held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) connect: Duration,
    /// On each statement.
    pub(crate) statement: Duration,
    /// On waiting for a lock.
    pub(crate) lock: Duration,
    pub(crate) read_only: bool,
}

impl Aside {
    /// Connects and sets the limits.
    pub(crate) async fn open(node: &Node, limits: Limits) -> Result<Self, Error> {
        let name = || Arc::clone(&node.name);
        let mut dialer = Dialer::clone(&node.dialer);
        dialer.config.application_name(APPLICATION);
        let connected = timeout(limits.connect, dialer.open(Arc::default())).await;
        let Dialed { client, connection, .. } = match connected {
            Ok(Ok(connected)) => connected,
            Ok(Err(source)) => return Err(Error::Connect { node: name(), source }),
            Err(_) => return Err(Error::ConnectTimeout { node: name(), limit: limits.connect }),
        };
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection beside the pool's broke");
            }
        });
        let aside = Self { client, node: name(), limits, driver };
        let settings = format!(
            "SET statement_timeout = {}; SET lock_timeout = {}; SET default_transaction_read_only = {}",
            limits.statement.as_millis(),
            limits.lock.as_millis(),
            if limits.read_only { "on" } else { "off" },
        );
        aside.batch(&settings).await?;
        Ok(aside)
    }

    /// Runs one statement for its rows.
    pub(crate) async fn query(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        self.within(self.client.query(sql, params)).await
    }

    /// Runs one statement, and no more than one, whatever its text is.
    pub(crate) async fn single(&self, sql: &str) -> Result<u64, Error> {
        self.within(self.client.execute(sql, &[])).await
    }

    /// Runs statements whose text is ours.
    pub(crate) async fn batch(&self, sql: &str) -> Result<(), Error> {
        self.within(self.client.batch_execute(sql)).await
    }

    /// Runs a statement whose text is ours for its first column, as text.
    pub(crate) async fn lines(&self, sql: &str) -> Result<Vec<String>, Error> {
        let messages = self.within(self.client.simple_query(sql)).await?;
        let text = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        };
        Ok(messages.iter().filter_map(text).collect())
    }

    pub(crate) fn failed(&self, source: tokio_postgres::Error) -> Error {
        let refused = classify::is_refusal(&source);
        let outcome = if refused { Outcome::NoEffect } else { self.if_lost() };
        Error::Query { node: Arc::clone(&self.node), outcome, source }
    }

    /// Should the server itself not keep to the limit, which it hears of first.
    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Error> {
        let limit = self.limits.statement + SLACK;
        match timeout(limit, work).await {
            Ok(done) => done.map_err(|source| self.failed(source)),
            Err(_) => Err(Error::QueryTimeout {
                node: Arc::clone(&self.node),
                limit,
                outcome: self.if_lost(),
            }),
        }
    }

    fn if_lost(&self) -> Outcome {
        if self.limits.read_only { Outcome::NoEffect } else { Outcome::Unknown }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

const APPLICATION: &str = "seawall-pool-aside";
const SLACK: Duration = Duration::from_millis(500);
