//! One connection: sends what waits, and hands out what comes.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use futures_util::future::poll_fn;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::late;
use super::plan::{End, Whereabouts};
use super::queue::{Ask, Queue, Reply, Waiting};
use super::resp;

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
    /// When something last came, or was first waited for.
    progress: Instant,
    /// Turns since it was last looked at who waits for too long, in each of which there was more
    /// to read.
    busy: usize,
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
            busy: 0,
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
            context.waker().wake_by_ref();
            if self.busy < MOST_BUSY {
                // Those that were answered ask again first, and it is not yet known who is late.
                self.busy += 1;
                return Ok(());
            }
        }
        self.busy = 0;
        self.watch(queue, context)
    }

    /// Reads some of what is there, and hands it out. Whether there may be more.
    fn read(&mut self, context: &mut Context<'_>) -> Result<bool, End> {
        let (mut answered, mut came) = (0, false);
        for _ in 0..READS {
            self.input.reserve(CHUNK);
            let mut chunk = (&mut self.input).limit(CHUNK);
            let read = pin!(self.stream.read_buf(&mut chunk)).poll(context);
            let Poll::Ready(read) = read else {
                self.answered(answered, came);
                return Ok(false);
            };
            if read? == 0 {
                return Err(End::Closed);
            }
            came = true;
            answered += self.answer()?;
            if answered > 0 {
                break;
            }
        }
        self.answered(answered, came);
        Ok(true)
    }

    /// So many values were handed out. A piece of one is no silence either.
    fn answered(&mut self, count: usize, came: bool) {
        if count > 0 {
            self.group = count;
        }
        if came {
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
            if self.unwritten() >= MOST_UNWRITTEN {
                // Who asks meanwhile is not taken, and wakes nobody.
                next = Some(now + LOOK);
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

/// Turns of reading for which nobody is told that he waited for too long: a MiB at the least, which
/// is what may lie there when this process was stopped for a while.
const MOST_BUSY: usize = 64;

/// In one command.
const MOST_KEYS: usize = 128;

/// What the socket has not taken; more keys wait until it has.
const MOST_UNWRITTEN: usize = 256 * 1024;

/// Between two looks at who waits.
const LOOK: Duration = Duration::from_millis(5);
