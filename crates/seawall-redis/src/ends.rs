//! The end of a client, and what happens if fred's task ends before.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::ClientLike;
use fred::types::ConnectHandle;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::settings::Settings;

/// Ends fred's task, which would outlive the client's last clone and hold the connection. Until
/// then it starts the task again should that end by itself.
pub struct EndsWithUs {
    client: Client,
    tasks: Arc<Tasks>,
    deadline: Duration,
    most_pause: Duration,
    runtime: Handle,
}

#[derive(Default)]
struct Tasks {
    closing: AtomicBool,
    /// fred's.
    connection: Mutex<Option<AbortHandle>>,
}

impl EndsWithUs {
    /// Of `client`, which is not connecting yet. Within a Tokio runtime.
    #[must_use]
    pub fn new(client: Client, settings: &Settings) -> Self {
        Self {
            client,
            tasks: Arc::default(),
            deadline: settings.command_timeout,
            most_pause: settings.reconnect_max_delay,
            runtime: Handle::current(),
        }
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// `task` is fred's, and to be started again when it ends.
    #[must_use]
    pub fn with(self, task: ConnectHandle) -> Self {
        *self.tasks.connection.lock() = Some(task.abort_handle());
        let (client, tasks) = (self.client.clone(), Arc::clone(&self.tasks));
        self.runtime.spawn(tasks.keep(client, task, self.most_pause));
        self
    }

    /// From now on an end of fred's task is what was asked for.
    pub(crate) fn closing(&self) {
        self.tasks.closing.store(true, Ordering::Release);
    }
}

impl Drop for EndsWithUs {
    fn drop(&mut self) {
        self.closing();
        let (client, tasks, deadline) =
            (self.client.clone(), Arc::clone(&self.tasks), self.deadline);
        self.runtime.spawn(async move {
            let _ = timeout(deadline, client.quit()).await;
            if let Some(task) = tasks.connection.lock().take() {
                task.abort();
            }
        });
    }
}

impl fmt::Debug for EndsWithUs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndsWithUs").finish_non_exhaustive()
    }
}

impl Tasks {
    /// fred reconnects for ever, but some errors of a cluster end its task for good: then every
    /// command would wait for its deadline, and none would be sent.
    async fn keep(self: Arc<Self>, client: Client, mut task: ConnectHandle, most: Duration) {
        let mut pause = FIRST_PAUSE;
        loop {
            let started = Instant::now();
            let ended = task.await;
            if self.closing.load(Ordering::Acquire) {
                return;
            }
            if started.elapsed() >= most {
                pause = FIRST_PAUSE;
            }
            let error = match ended {
                Ok(ended) => ended.err().map(|error| error.to_string()),
                Err(error) => Some(error.to_string()),
            };
            tracing::warn!(error, "the connection to Redis ended by itself, connecting again");
            sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
            pause = (pause * 2).min(most);
            // Under the lock: who drops us either sees the new task, or has said so before.
            let mut connection = self.connection.lock();
            if self.closing.load(Ordering::Acquire) {
                return;
            }
            task = client.connect();
            *connection = Some(task.abort_handle());
        }
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::clients::client;

    #[tokio::test]
    async fn a_connection_task_that_ends_by_itself_is_started_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let settings = Settings { url: format!("redis://127.0.0.1:{port}"), ..Settings::default() };
        let client = client(&settings, settings.server().expect("valid"));
        let task = client.connect();
        let ends = EndsWithUs::new(client, &settings).with(task);
        let patience = Duration::from_secs(30);
        let accept = async || timeout(patience, listener.accept()).await.expect("it connects");
        let _first = accept().await.expect("accepts");
        let connection = ends.tasks.connection.lock().clone();
        connection.expect("known").abort();
        let _second = accept().await.expect("accepts");
        let tasks = Arc::clone(&ends.tasks);
        drop(ends);
        // The drop, and the supervisor, let go of it.
        timeout(patience, async {
            while Arc::strong_count(&tasks) > 1 {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("it ends when it is asked to");
    }
}
