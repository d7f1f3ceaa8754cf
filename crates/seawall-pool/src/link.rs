//! One connection to a server: the session on it, its end.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_postgres::Error;

use crate::dial::{Address, Dialed, Dialer};
use crate::statements::Statements;
use crate::wire::Wire;

/// A connection and what is known about its session.
///
/// `ClientWrapper` is deadpool-postgres's, for its transactions and for callers
/// who want everything; its pool is not used: it neither outlives a cancelled
/// caller while connecting, nor resizes without going over its limit, nor lets
/// the stream be read along.
#[derive(Debug)]
pub(crate) struct Link {
    // Before the statements, which would otherwise be closed one by one.
    pub(crate) client: ClientWrapper,
    pub(crate) statements: Statements,
    pub(crate) wire: Arc<Wire>,
    /// How long it took to connect and log in.
    pub(crate) opening: Duration,
    address: Address,
    dialer: Arc<Dialer>,
    driver: Driver,
}

impl Link {
    /// Resolves when the server has answered everything that was sent before.
    pub(crate) async fn is_there(&self) -> Result<(), Error> {
        self.wire.expect_bare();
        self.client.check_connection().await
    }

    /// Connects and logs in. `turned` is told when the server changes its role, and `on_end` runs
    /// when the connection is over, however that comes about.
    pub(crate) async fn open(
        dialer: &Arc<Dialer>,
        statements: usize,
        turned: Arc<Notify>,
        on_end: impl FnOnce() + Send + 'static,
    ) -> Result<Self, Error> {
        let started = Instant::now();
        let wire = Arc::new(Wire::telling(turned));
        let Dialed { client, connection, address } = dialer.open(Arc::clone(&wire)).await?;
        // The server reports its settings when a session starts.
        wire.forget_traces();
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke");
            }
            on_end();
        });
        // The wrapper stops its task when it is dropped; ours is to say goodbye first.
        let client = ClientWrapper::new(client, tokio::spawn(async {}));
        Ok(Self {
            client,
            statements: Statements::new(statements),
            wire,
            opening: started.elapsed(),
            address,
            dialer: Arc::clone(dialer),
            driver: Driver(driver),
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Asks the server to give up what it is doing for this connection, and
    /// returns when the server has passed that on: from then on the request
    /// cannot hit a later statement.
    pub(crate) async fn cancel(&self) -> Result<(), Error> {
        self.dialer.cancel(&self.client.cancel_token(), &self.address).await
    }

    /// Breaks it off: all that wait for an answer on it learn that it is closed.
    pub(crate) fn abort(&self) {
        self.driver.0.abort();
    }

    /// Says goodbye and waits until the server has closed, or for `limit`.
    pub(crate) async fn close(self, limit: Duration) {
        let Self { client, statements, mut driver, .. } = self;
        drop(client);
        drop(statements);
        let _ = timeout(limit, &mut driver.0).await;
    }
}

/// The task that moves a connection's bytes, stopped when dropped.
#[derive(Debug)]
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}
