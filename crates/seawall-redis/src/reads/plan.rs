//! How the connection is made, and where to.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike as _, EventInterface as _};
use fred::types::ClientState;
use fred::types::config::{Config, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::time::{sleep, timeout};

use super::line::Line;
use super::queue::Queue;
use super::resp::{self, Garbled};
use crate::settings::Settings;

/// How the connection is made, and how it is kept.
pub(crate) struct Plan {
    /// Says where the node is: nothing is read elsewhere, or while it does not know.
    client: Client,
    at: Whereabouts,
    /// Of the client.
    config: Config,
    /// Whether a command is for keys of one slot.
    clustered: bool,
    pub(super) bound: usize,
    connect_timeout: Duration,
    unresponsive_timeout: Duration,
    most_pause: Duration,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the node refused: {0}")]
    Refused(Error),
    #[error("the node answered with what was not asked for")]
    Garbled,
    #[error("the node closed it")]
    Closed,
    #[error("no answer for too long")]
    Unresponsive,
    #[error("the commands' connection was made anew")]
    Moved,
}

impl From<Garbled> for End {
    fn from(Garbled: Garbled) -> Self {
        Self::Garbled
    }
}

impl Plan {
    /// `client` has not begun to connect. `clustered`: whether a command is for keys of one slot.
    pub(crate) fn new(
        client: Client,
        config: Config,
        clustered: bool,
        settings: &Settings,
    ) -> Self {
        let connected = client.reconnect_rx();
        Self {
            client,
            at: Whereabouts::new(connected),
            config,
            clustered,
            bound: settings.max_queued,
            connect_timeout: settings.connect_timeout,
            unresponsive_timeout: settings.unresponsive_timeout,
            most_pause: settings.reconnect_max_delay,
        }
    }

    /// For ever.
    pub(super) async fn keep(mut self, queue: Arc<Queue>) {
        let mut pause = FIRST_PAUSE;
        loop {
            self.at.moved();
            if self.at.ended {
                return;
            }
            if let Some(server) = &self.at.server
                && self.client.state() == ClientState::Connected
            {
                let end = match timeout(self.connect_timeout, self.connect(server)).await {
                    Ok(Ok((stream, input))) => {
                        pause = FIRST_PAUSE;
                        self.serve(stream, input, &queue).await
                    }
                    Ok(Err(end)) => end,
                    Err(_) => End::Unresponsive,
                };
                tracing::debug!(%end, "the connection for reads ended");
                if matches!(end, End::Moved) {
                    continue;
                }
            }
            sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
            pause = (pause * 2).min(self.most_pause);
        }
    }

    /// Connects, says who we are, and waits for a sign of life.
    pub(super) async fn connect(&self, server: &Server) -> Result<(TcpStream, BytesMut), End> {
        let host = server.host.trim_start_matches('[').trim_end_matches(']');
        let mut stream = TcpStream::connect((host, server.port)).await?;
        stream.set_nodelay(true)?;
        let mut output = Vec::new();
        let mut lines = 0;
        if let Some(password) = &self.config.password {
            let username = self.config.username.as_deref();
            resp::command(&mut output, b"AUTH", 2 + usize::from(username.is_some()));
            username
                .into_iter()
                .chain([&**password])
                .for_each(|it| resp::word(&mut output, it.as_bytes()));
            lines += 1;
        }
        if let Some(database) = self.config.database {
            resp::command(&mut output, b"SELECT", 2);
            resp::word(&mut output, database.to_string().as_bytes());
            lines += 1;
        }
        resp::command(&mut output, b"CLIENT", 3);
        resp::word(&mut output, b"SETNAME");
        resp::word(&mut output, b"seawall-reads");
        stream.write_all(&output).await?;
        let mut input = BytesMut::new();
        while lines > 0 {
            read(&mut stream, &mut input).await?;
            while lines > 0
                && let Some(done) = resp::done(&mut input)?
            {
                done.map_err(End::Refused)?;
                lines -= 1;
            }
        }
        // Whatever it is: who may not have a name may still read.
        loop {
            match resp::done(&mut input)? {
                Some(Err(error)) if error.details().starts_with("NOAUTH") => {
                    return Err(End::Refused(error));
                }
                // What comes after it would be taken for the answer to the first question.
                Some(_) if !input.is_empty() => return Err(End::Garbled),
                Some(_) => return Ok((stream, input)),
                None => read(&mut stream, &mut input).await?,
            }
        }
    }

    /// Until it ends.
    async fn serve(&mut self, stream: TcpStream, input: BytesMut, queue: &Queue) -> End {
        let line = Line::new(stream, input, self.clustered, self.unresponsive_timeout);
        line.serve(&mut self.at, queue).await
    }
}

async fn read(stream: &mut TcpStream, input: &mut BytesMut) -> Result<(), End> {
    if stream.read_buf(input).await? == 0 { Err(End::Closed) } else { Ok(()) }
}

/// Where the client has connected to last.
pub(super) struct Whereabouts {
    connected: broadcast::Receiver<Server>,
    server: Option<Server>,
    /// It was told to quit, and never connects again.
    ended: bool,
}

impl Whereabouts {
    pub(super) fn new(connected: broadcast::Receiver<Server>) -> Self {
        Self { connected, server: None, ended: false }
    }

    /// Whether the client has connected anew since this was last asked.
    pub(super) fn moved(&mut self) -> bool {
        let mut moved = false;
        loop {
            match self.connected.try_recv() {
                Ok(server) => self.server = Some(server),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Closed) => {
                    self.ended = true;
                    return true;
                }
                Err(TryRecvError::Empty) => return moved,
            }
            moved = true;
        }
    }
}

/// Before connecting again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
