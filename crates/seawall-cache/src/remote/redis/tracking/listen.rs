//! What one connection tells, for as long as it lives.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::ClientLike;
use fred::types::client::Invalidation;
use fred::types::{ClusterHash, ConnectHandle, CustomCommand, Key, Message, Value};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, OptionFuture, join};
use seawall_redis::EndsWithUs;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::{Instant, sleep_until};

use super::Shared;
use super::board::Missed;
use super::canary::{Canary, Seen};

/// An armed connection.
pub(super) struct Listener {
    node: u32,
    shared: Arc<Shared>,
    ends: EndsWithUs,
    task: ConnectHandle,
    writes: Receiver<Invalidation>,
    messages: Receiver<Message>,
    canary: Canary,
    up: bool,
    /// Until when it listens to the ends of leases only.
    only_leases: Option<Option<Instant>>,
}

/// The answers to one look at the master.
struct Beat {
    sent: Instant,
    canary: Result<Option<Bytes>, Error>,
    /// Its clock, and when that was received.
    time: Result<(u64, u64), Error>,
    received: Instant,
}

impl Listener {
    pub(super) fn new(
        node: u32,
        shared: Arc<Shared>,
        ends: EndsWithUs,
        task: ConnectHandle,
        writes: Receiver<Invalidation>,
        messages: Receiver<Message>,
    ) -> Self {
        let canary = Canary::new(node, &shared.config.key_prefix);
        Self { node, shared, ends, task, writes, messages, canary, up: true, only_leases: None }
    }

    pub(super) fn client(&self) -> &Client {
        self.ends.client()
    }

    /// It tells of the ends of leases and of nothing else, for `most`.
    pub(super) fn only_ends_of_leases(mut self, most: Option<Duration>) -> Self {
        self.only_leases = Some(most.map(|most| Instant::now() + most));
        self
    }

    /// Makes the canary, or sees what it is like.
    pub(super) async fn make_canary(&mut self) -> Result<(), Error> {
        self.canary.place(self.shared.routes.topology());
        let read = self.canary.read(self.client()).await?;
        self.canary.judge(read);
        Ok(())
    }

    /// Until the connection ends, or the time for it.
    pub(super) async fn listen(&mut self) {
        let until = self.only_leases.flatten();
        let mut next = Instant::now();
        let mut beat: OptionFuture<BoxFuture<'static, Beat>> = None.into();
        let mut beating = false;
        loop {
            tokio::select! {
                message = self.writes.recv() => match message {
                    Ok(write) => self.wrote(&write),
                    Err(RecvError::Lagged(missed)) => self.lagged(missed),
                    Err(RecvError::Closed) => return,
                },
                message = self.messages.recv() => match message {
                    Ok(message) => self.message(&message),
                    // Who waits for the end of a lease also waits for its time.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
                Some(ended) = &mut beat, if beating => {
                    (beat, beating) = (None.into(), false);
                    if self.only_leases.is_some() {
                        if ended.time.is_err() { return }
                    } else if self.judge(ended) == Seen::Gone {
                        next = Instant::now();
                    }
                }
                () = sleep_until(next), if !beating => {
                    next = Instant::now() + self.shared.config.heartbeat;
                    (beat, beating) = (Some(self.beat()).into(), true);
                }
                () = until_then(until) => return,
                _ = &mut self.task => {
                    self.drain();
                    return;
                }
            }
        }
    }

    /// Looks at the canary and the clock, in this order, on the connection that tells of writes:
    /// whatever was acknowledged before is told before the answers come.
    fn beat(&mut self) -> BoxFuture<'static, Beat> {
        let client = self.client().clone();
        if self.only_leases.is_some() {
            return async move {
                let sent = Instant::now();
                let time = client.ping::<Value>(None).await.map(|_| (0, 0));
                Beat { sent, canary: Ok(None), time, received: Instant::now() }
            }
            .boxed();
        }
        self.canary.place(self.shared.routes.topology());
        let canary = self.canary.read(&client);
        async move {
            let sent = Instant::now();
            let time = async {
                let command = CustomCommand::new_static("TIME", ClusterHash::FirstKey, false);
                let time = client.custom(command, Vec::<Value>::new()).await;
                (time, Instant::now())
            };
            let (canary, (time, received)) = join(canary, time).await;
            Beat { sent, canary, time, received }
        }
        .boxed()
    }

    fn judge(&mut self, beat: Beat) -> Seen {
        let (board, node) = (Arc::clone(&self.shared.board), self.node);
        // What came before the answers, before what they prove.
        self.drain();
        let (read, (seconds, micros)) = match (beat.canary, beat.time) {
            (Ok(read), Ok(time)) => (read, time),
            (Err(error), _) | (_, Err(error)) => {
                if std::mem::take(&mut self.up) {
                    tracing::debug!(node, %error, "no answer on the tracking connection");
                    board.silent(node);
                }
                self.shared.routes.doubt();
                return Seen::Same;
            }
        };
        let clock = seconds.saturating_mul(1_000_000).saturating_add(micros);
        self.shared.clocks.learn(node, clock, beat.sent, beat.received);
        let seen = self.canary.judge(read);
        match seen {
            Seen::Same => {}
            Seen::Gone => {
                tracing::info!(node, "flushed or evicted: what is in memory is checked again");
                board.lost(node, Missed::Flush);
            }
            // A flush between the end of the old one and the start of this one was not seen.
            Seen::New | Seen::Missing => board.lost(node, Missed::Flush),
        }
        if !std::mem::replace(&mut self.up, true) {
            board.answers(node);
        }
        board.proved(node, beat.sent);
        seen
    }

    fn drain(&mut self) {
        loop {
            match self.writes.try_recv() {
                Ok(write) => self.wrote(&write),
                Err(TryRecvError::Lagged(missed)) => self.lagged(missed),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn wrote(&self, write: &Invalidation) {
        if write.keys.is_empty() {
            // In RESP2 a flush is told like that.
            self.shared.board.lost(self.node, Missed::Flush);
        }
        self.shared.board.changed(write.keys.iter().map(Key::as_bytes));
    }

    fn lagged(&self, missed: u64) {
        let node = self.node;
        tracing::warn!(node, missed, "more messages than fit: what is in memory is checked again");
        self.shared.board.lost(node, Missed::Lag);
    }

    fn message(&self, message: &Message) {
        if let Some(key) = message.value.as_bytes() {
            self.shared.board.landed(self.node, key);
        }
    }
}

async fn until_then(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
