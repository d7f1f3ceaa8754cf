//! The task that keeps the connection: sends what waits, and hands out what comes.

use std::collections::VecDeque;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike as _, EventInterface as _};
use fred::types::ClientState;
use fred::types::config::{Config, Server};
use futures_util::future::poll_fn;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::late;
use super::queue::{Ask, Queue, Reply, Waiting};
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
    async fn connect(&self, server: &Server) -> Result<(TcpStream, BytesMut), End> {
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
    fn moved(&mut self) -> bool {
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

/// One connection.
pub(super) struct Line {
    stream: TcpStream,
    clustered: bool,
    unresponsive: Duration,
    input: BytesMut,
    output: Vec<u8>,
    /// Of the output.
    written: usize,
    /// Those under way, each with how many keys it is for: more than one value in an array.
    commands: VecDeque<Command>,
    /// Values of the first command that are still to come: it is not in the queue any more.
    left: usize,
    /// Who waits for the keys under way, in order. `None`: was told already.
    waiting: VecDeque<Option<Waiting>>,
    asks: Vec<Ask>,
    /// Whether what waits was left once, for more to join it.
    gathered: bool,
    /// How many were answered at once, lately: so many may ask again.
    group: usize,
    /// When something was last heard, or waited for.
    progress: Instant,
    /// When to look at who waits for too long.
    wake_at: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

#[derive(Clone, Copy)]
enum Command {
    Get,
    Mget(usize),
}

impl Line {
    pub(super) fn new(
        stream: TcpStream,
        input: BytesMut,
        clustered: bool,
        unresponsive: Duration,
    ) -> Self {
        Self {
            stream,
            clustered,
            unresponsive,
            input,
            output: Vec::new(),
            written: 0,
            commands: VecDeque::new(),
            left: 0,
            waiting: VecDeque::new(),
            asks: Vec::new(),
            gathered: false,
            group: 0,
            progress: Instant::now(),
            wake_at: None,
            timer: Box::pin(sleep(Duration::ZERO)),
        }
    }

    /// Until it ends; those who wait then are told that it was lost.
    pub(super) async fn serve(mut self, at: &mut Whereabouts, queue: &Queue) -> End {
        let _up = queue.up();
        poll_fn(|context| match self.advance(at, queue, context) {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        })
        .await
    }

    fn advance(
        &mut self,
        at: &mut Whereabouts,
        queue: &Queue,
        context: &mut Context<'_>,
    ) -> Result<(), End> {
        let more = self.read(context)?;
        let held = self.unwritten() >= MOST_UNWRITTEN;
        if !held {
            self.take(at, queue, context)?;
        }
        self.write(context)?;
        if held && self.unwritten() < MOST_UNWRITTEN {
            context.waker().wake_by_ref();
        }
        if more {
            // Those that were answered ask again first, and it is not yet known who is late.
            context.waker().wake_by_ref();
            return Ok(());
        }
        self.watch(queue, context)
    }

    /// Reads some of what is there, and hands it out. Whether there may be more.
    fn read(&mut self, context: &mut Context<'_>) -> Result<bool, End> {
        let mut answered = 0;
        for _ in 0..READS {
            self.input.reserve(CHUNK);
            let mut chunk = (&mut self.input).limit(CHUNK);
            let read = pin!(self.stream.read_buf(&mut chunk)).poll(context);
            let Poll::Ready(read) = read else {
                self.answered(answered);
                return Ok(false);
            };
            if read? == 0 {
                return Err(End::Closed);
            }
            answered += self.answer()?;
            if answered > 0 {
                break;
            }
        }
        self.answered(answered);
        Ok(true)
    }

    fn answered(&mut self, count: usize) {
        if count > 0 {
            self.group = count;
            self.progress = Instant::now();
        }
    }

    /// Hands out what has come. How many values that were.
    fn answer(&mut self) -> Result<usize, End> {
        let mut count = 0;
        loop {
            if self.left == 0 {
                match self.commands.front().copied() {
                    None if self.input.is_empty() => return Ok(count),
                    None => return Err(End::Garbled),
                    Some(Command::Get) => self.left = 1,
                    Some(Command::Mget(keys)) => match resp::array(&mut self.input)? {
                        None => return Ok(count),
                        Some(Ok(values)) if values == keys => self.left = values,
                        Some(Ok(_)) => return Err(End::Garbled),
                        Some(Err(error)) => {
                            for _ in 0..keys {
                                tell(self.waiting.pop_front(), Err(error.clone()));
                            }
                            count += keys;
                            self.commands.pop_front();
                            continue;
                        }
                    },
                }
                self.commands.pop_front();
            }
            while self.left > 0 {
                let Some(value) = resp::value(&mut self.input)? else { return Ok(count) };
                tell(self.waiting.pop_front(), value);
                self.left -= 1;
                count += 1;
            }
        }
    }

    fn unwritten(&self) -> usize {
        self.output.len() - self.written
    }

    /// Takes what waits, and puts it into commands.
    fn take(
        &mut self,
        at: &mut Whereabouts,
        queue: &Queue,
        context: &mut Context<'_>,
    ) -> Result<(), End> {
        // Those that were just answered are about to ask again, one after the other: who asks
        // first waits for the others' turn.
        let at_least = if self.gathered { 0 } else { self.group.min(MOST_KEYS) / 2 };
        let left = queue.take(&mut self.asks, at_least, self.waiting.len(), context);
        if left > 0 {
            self.gathered = true;
            context.waker().wake_by_ref();
            return Ok(());
        }
        if self.asks.is_empty() {
            return Ok(());
        }
        self.gathered = false;
        // Nothing may be read where the node was before: what was written since is elsewhere.
        if at.moved() {
            return Err(End::Moved);
        }
        self.asks.retain(|ask| !ask.waiting.reply.is_closed());
        if self.waiting.is_empty() {
            self.progress = Instant::now();
        }
        for asks in self.asks.chunks(MOST_KEYS) {
            if asks.len() == 1 || self.clustered {
                for ask in asks {
                    resp::command(&mut self.output, b"GET", 2);
                    resp::word(&mut self.output, &ask.key);
                    self.commands.push_back(Command::Get);
                }
            } else {
                resp::command(&mut self.output, b"MGET", 1 + asks.len());
                for ask in asks {
                    resp::word(&mut self.output, &ask.key);
                }
                self.commands.push_back(Command::Mget(asks.len()));
            }
        }
        for ask in self.asks.drain(..) {
            if self.wake_at.is_none_or(|at| ask.waiting.until < at) {
                self.wake_at = Some(ask.waiting.until);
                self.timer.as_mut().reset(ask.waiting.until);
            }
            self.waiting.push_back(Some(ask.waiting));
        }
        Ok(())
    }

    fn write(&mut self, context: &mut Context<'_>) -> Result<(), End> {
        while self.written < self.output.len() {
            let output = &self.output[self.written..];
            let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(context, output)
            else {
                if self.written >= MOST_UNWRITTEN {
                    self.output.drain(..self.written);
                    self.written = 0;
                }
                return Ok(());
            };
            self.written += written?;
        }
        self.output.clear();
        self.written = 0;
        Ok(())
    }

    /// Tells those that wait for too long; ends what has said nothing for too long.
    fn watch(&mut self, queue: &Queue, context: &mut Context<'_>) -> Result<(), End> {
        while self.wake_at.is_some() {
            if self.timer.as_mut().poll(context).is_pending() {
                return Ok(());
            }
            let now = Instant::now();
            let mut next = None;
            for place in &mut self.waiting {
                if let Some(waiting) = place.take_if(|waiting| waiting.until <= now) {
                    tell(Some(Some(waiting)), Err(late()));
                }
                next = place.as_ref().map(|it| it.until).into_iter().chain(next).min();
            }
            let (asks, queued) = queue.late(now);
            for ask in asks {
                tell(Some(Some(ask.waiting)), Err(late()));
            }
            next = next.into_iter().chain(queued).min();
            if !self.waiting.is_empty() {
                let silent = self.progress + self.unresponsive;
                if silent <= now {
                    return Err(End::Unresponsive);
                }
                next = Some(next.map_or(silent, |next| next.min(silent)));
            }
            self.wake_at = next.map(|next| next.max(now + LOOK));
            if let Some(at) = self.wake_at {
                self.timer.as_mut().reset(at);
            }
        }
        Ok(())
    }
}

fn tell(waiting: Option<Option<Waiting>>, reply: Reply) {
    if let Some(Some(waiting)) = waiting {
        let _ = waiting.reply.send(reply);
    }
}

/// Read at once: what those that are answered ask next is sent before more is read, so that the
/// node has work meanwhile.
const CHUNK: usize = 16 * 1024;

/// While no value is whole yet.
const READS: usize = 16;

/// In one command.
const MOST_KEYS: usize = 128;

/// What the socket has not taken; more keys wait until it has.
const MOST_UNWRITTEN: usize = 256 * 1024;

/// Between two looks at who waits.
const LOOK: Duration = Duration::from_millis(5);

/// Before connecting again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
