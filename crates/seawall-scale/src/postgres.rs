//! One connection to PostgreSQL that is made when it is needed, and made anew when it was lost.

use std::fmt;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config, Error, Socket};

use crate::actuate::Boxed;

pub(crate) struct Link {
    connect: Box<Connect>,
    live: Mutex<Option<Live>>,
}

type Connect = dyn Fn() -> Boxed<'static, Result<Live, Error>> + Send + Sync;

/// A client and the task that drives it; both end together.
pub(crate) struct Live {
    pub(crate) client: Client,
    task: JoinHandle<()>,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Link {
    pub(crate) fn new<T>(config: Config, tls: T) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + 'static,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let connect = Box::new(move || -> Boxed<'static, Result<Live, Error>> {
            let (config, tls) = (config.clone(), tls.clone());
            Box::pin(async move {
                let (client, connection) = config.connect(tls).await?;
                let task = tokio::spawn(async move {
                    // What goes wrong is told by the next query.
                    let _ended = connection.await;
                });
                Ok(Live { client, task })
            })
        });
        Self { connect, live: Mutex::new(None) }
    }

    /// Does `work` with the connection, one at a time. If the future is dropped, the connection
    /// goes: a query that nobody waits for must not be in the way of the next.
    pub(crate) async fn with<R, W>(&self, work: W) -> Result<R, Error>
    where
        W: for<'a> FnOnce(&'a mut Client) -> Boxed<'a, Result<R, Error>>,
    {
        let mut slot = self.live.lock().await;
        let mut live = match slot.take().filter(|live| !live.client.is_closed()) {
            Some(live) => live,
            None => (self.connect)().await?,
        };
        let done = work(&mut live.client).await;
        if !live.client.is_closed() {
            *slot = Some(live);
        }
        done
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}
