//! A remote whose faults are scripted, for tests.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::{
    Fetched, Fill, Leased, MarkRead, MemoryRemote, Put, ReadMany, Remote, RemoteError,
    RemoteFuture, Seen, Swept, Ticket, Watcher,
};
use crate::marks::{Mark, MarkChange};

/// A [`MemoryRemote`] that can be slow, silent or gone, and that can lose or delay what it tells.
/// Clones share all of it.
#[derive(Clone, Default)]
pub(crate) struct FakeRemote {
    pub(crate) store: MemoryRemote,
    faults: Arc<Mutex<Faults>>,
    pub(crate) calls: Arc<Calls>,
    wire: Arc<Wire>,
}

/// What a remote can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    Read,
    ReadMany,
    Versions,
    Lease,
    Renew,
    Release,
    Fill,
    Put,
    Remove,
    Marks,
    Advance,
    Sweep,
}

/// How often it was asked.
#[derive(Default)]
pub(crate) struct Calls([AtomicUsize; 12]);

impl Calls {
    pub(crate) fn of(&self, op: Op) -> usize {
        self.0[op as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn total(&self) -> usize {
        self.0.iter().map(|calls| calls.load(Ordering::Relaxed)).sum()
    }

    /// Reads, fills, puts, removes.
    pub(crate) fn all(&self) -> [usize; 4] {
        [Op::Read, Op::Fill, Op::Put, Op::Remove].map(|op| self.of(op))
    }
}

#[derive(Default)]
struct Faults {
    of_all: Fault,
    of_one: HashMap<Op, Fault>,
}

#[derive(Debug, Clone, Default)]
pub(crate) enum Fault {
    #[default]
    None,
    /// Takes effect, then answers after this long.
    SlowAnswer(Duration),
    /// Takes effect, then never answers.
    LostAnswer,
    /// Never answers and takes no effect.
    Frozen,
    /// Fails at once.
    Gone,
    /// Answers with an error at once.
    Refusing,
    /// Waits before it takes effect and again before it answers, in turn.
    Delays(Vec<(Duration, Duration)>, usize),
}

impl FakeRemote {
    /// Another node's way to the same store: faults, counts and messages of its own.
    pub(crate) fn another(&self) -> Self {
        Self { store: self.store.clone(), ..Self::default() }
    }

    /// From now on `op` fails like this, whatever the others do.
    pub(crate) fn fail(&self, op: Op, fault: Fault) {
        self.faults.lock().of_one.insert(op, fault);
    }

    pub(crate) fn heal(&self) {
        *self.faults.lock() = Faults::default();
    }

    pub(crate) fn slow_answer(&self, delay: Duration) {
        self.fail_all(Fault::SlowAnswer(delay));
    }

    pub(crate) fn freeze(&self) {
        self.fail_all(Fault::Frozen);
    }

    pub(crate) fn disconnect(&self) {
        self.fail_all(Fault::Gone);
    }

    pub(crate) fn refuse(&self) {
        self.fail_all(Fault::Refusing);
    }

    pub(crate) fn delays(&self, delays: Vec<(Duration, Duration)>) {
        self.fail_all(Fault::Delays(delays, 0));
    }

    /// From now on nothing is told; what happens is lost.
    pub(crate) fn lose_messages(&self) {
        *self.wire.mode.lock() = Mode::Lost;
    }

    /// From now on what happens is told when [`tell_held`](Self::tell_held) is called.
    pub(crate) fn hold_messages(&self) {
        *self.wire.mode.lock() = Mode::Held(Vec::new());
    }

    /// From now on what happens is told after `delay`.
    pub(crate) fn delay_messages(&self, delay: Duration) {
        *self.wire.mode.lock() = Mode::Delayed(delay);
    }

    /// Tells what was held, in order, and holds no longer.
    pub(crate) fn tell_held(&self) {
        let mode = std::mem::take(&mut *self.wire.mode.lock());
        if let Mode::Held(messages) = mode {
            messages.into_iter().for_each(Message::tell);
        }
    }

    /// Tells at once again, and that messages may have been lost.
    pub(crate) fn tell_lost(&self) {
        *self.wire.mode.lock() = Mode::Direct;
        self.each_watcher(|watcher| watcher.lost(None));
    }

    /// Tells that the link is up or down.
    pub(crate) fn tell_link(&self, up: bool) {
        self.each_watcher(|watcher| watcher.link(0, up));
    }

    /// Tells that everything before `at` was told.
    pub(crate) fn tell_proved(&self, at: Instant) {
        self.each_watcher(|watcher| watcher.proved(at));
    }

    /// Tells that writes are told no more, or again.
    pub(crate) fn tell_tells(&self, tells: bool) {
        self.each_watcher(|watcher| watcher.tells(tells));
    }

    fn each_watcher(&self, tell: impl Fn(&dyn Watcher)) {
        let relays = self.wire.relays.lock().clone();
        for watcher in relays.iter().filter_map(|relay| relay.watcher.upgrade()) {
            tell(&*watcher);
        }
    }

    fn fail_all(&self, fault: Fault) {
        self.faults.lock().of_all = fault;
    }

    fn act<'a, T: Send + 'a>(
        &'a self,
        op: Op,
        act: impl FnOnce() -> RemoteFuture<'a, T> + Send + 'a,
    ) -> RemoteFuture<'a, T> {
        self.calls.0[op as usize].fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let (before, after) = self.turn(op)?;
            if before != Some(Duration::ZERO) {
                pause(before).await;
            }
            let answer = act().await;
            if after != Some(Duration::ZERO) {
                pause(after).await;
            }
            answer
        })
    }

    /// How long the next `op` takes to take effect, and then to answer; `None`: for ever.
    fn turn(&self, op: Op) -> Result<(Option<Duration>, Option<Duration>), RemoteError> {
        let faults = &mut *self.faults.lock();
        let fault = faults.of_one.get_mut(&op).unwrap_or(&mut faults.of_all);
        let at_once = Some(Duration::ZERO);
        Ok(match fault {
            Fault::None => (at_once, at_once),
            Fault::SlowAnswer(delay) => (at_once, Some(*delay)),
            Fault::LostAnswer => (at_once, None),
            Fault::Frozen => (None, None),
            Fault::Gone => return Err(RemoteError::Disconnected("gone".into())),
            Fault::Refusing => return Err(RemoteError::Refused("OOM".into())),
            Fault::Delays(delays, turn) => {
                *turn += 1;
                let (before, after) = delays[*turn % delays.len()];
                (Some(before), Some(after))
            }
        })
    }
}

async fn pause(delay: Option<Duration>) {
    match delay {
        Some(delay) => sleep(delay).await,
        None => std::future::pending().await,
    }
}

impl Remote for FakeRemote {
    fn read<'a>(&'a self, text: &'a str) -> RemoteFuture<'a, Fetched> {
        self.act(Op::Read, move || self.store.read(text))
    }

    fn read_many<'a>(&'a self, texts: &'a [String]) -> ReadMany<'a> {
        let act = self.act(Op::ReadMany, move || {
            Box::pin(async move { Ok(self.store.read_many(texts).await) })
        });
        Box::pin(async move {
            let failed = match act.await {
                Ok(answers) => return answers,
                Err(error) => error,
            };
            let again = |_| match &failed {
                RemoteError::Disconnected(_) => Err(RemoteError::Disconnected("gone".into())),
                _ => Err(RemoteError::Refused("OOM".into())),
            };
            texts.iter().map(again).collect()
        })
    }

    fn versions<'a>(&'a self, texts: &'a [String]) -> RemoteFuture<'a, Vec<u64>> {
        self.act(Op::Versions, move || self.store.versions(texts))
    }

    fn lease<'a>(
        &'a self,
        text: &'a str,
        seen: Seen,
        token: u64,
        hold: Duration,
    ) -> RemoteFuture<'a, Leased> {
        self.act(Op::Lease, move || self.store.lease(text, seen, token, hold))
    }

    fn renew<'a>(&'a self, text: &'a str, token: u64, hold: Duration) -> RemoteFuture<'a, bool> {
        self.act(Op::Renew, move || self.store.renew(text, token, hold))
    }

    fn release<'a>(&'a self, text: &'a str, token: u64) -> RemoteFuture<'a, ()> {
        self.act(Op::Release, move || self.store.release(text, token))
    }

    fn fill<'a>(
        &'a self,
        text: &'a str,
        ticket: Ticket,
        record: Bytes,
        ttl: Duration,
    ) -> RemoteFuture<'a, Fill> {
        self.act(Op::Fill, move || self.store.fill(text, ticket, record, ttl))
    }

    fn put<'a>(
        &'a self,
        text: &'a str,
        record: Bytes,
        ttl: Duration,
        keep: Duration,
    ) -> RemoteFuture<'a, Put> {
        self.act(Op::Put, move || self.store.put(text, record, ttl, keep))
    }

    fn remove<'a>(&'a self, text: &'a str, source: u64, keep: Duration) -> RemoteFuture<'a, u64> {
        self.act(Op::Remove, move || self.store.remove(text, source, keep))
    }

    fn marks<'a>(&'a self, texts: &'a [String], since: Instant) -> RemoteFuture<'a, Vec<MarkRead>> {
        self.act(Op::Marks, move || self.store.marks(texts, since))
    }

    fn advance<'a>(&'a self, text: &'a str, change: MarkChange) -> RemoteFuture<'a, Mark> {
        self.act(Op::Advance, move || self.store.advance(text, change))
    }

    fn sweep<'a>(
        &'a self,
        pattern: &'a str,
        before: u64,
        keep: Duration,
        progress: &'a (dyn Fn(Swept) + Send + Sync),
    ) -> RemoteFuture<'a, Swept> {
        self.act(Op::Sweep, move || self.store.sweep(pattern, before, keep, progress))
    }

    fn watch(&self, namespace: &str, watcher: Weak<dyn Watcher>) -> bool {
        let relay = Arc::new(Relay { watcher, wire: Arc::downgrade(&self.wire) });
        self.wire.relays.lock().push(Arc::clone(&relay));
        let relay: Weak<dyn Watcher> = Arc::downgrade(&(relay as Arc<dyn Watcher>));
        self.store.watch(namespace, relay)
    }
}

/// What stands between the store and those who watch it.
#[derive(Default)]
struct Wire {
    mode: Mutex<Mode>,
    relays: Mutex<Vec<Arc<Relay>>>,
}

#[derive(Default)]
enum Mode {
    #[default]
    Direct,
    Lost,
    Held(Vec<Message>),
    Delayed(Duration),
}

struct Message {
    watcher: Weak<dyn Watcher>,
    event: Event,
}

enum Event {
    Changed(String, Option<u64>),
    Landed(String),
}

impl Message {
    fn tell(self) {
        let Some(watcher) = self.watcher.upgrade() else { return };
        match self.event {
            Event::Changed(text, version) => watcher.changed(&text, version),
            Event::Landed(text) => watcher.landed(&text),
        }
    }
}

struct Relay {
    watcher: Weak<dyn Watcher>,
    wire: Weak<Wire>,
}

impl Relay {
    fn pass(&self, event: Event) {
        let Some(wire) = self.wire.upgrade() else { return };
        let message = Message { watcher: Weak::clone(&self.watcher), event };
        let delay = match &mut *wire.mode.lock() {
            Mode::Direct => None,
            Mode::Lost => return,
            Mode::Held(messages) => {
                messages.push(message);
                return;
            }
            Mode::Delayed(delay) => Some(*delay),
        };
        match delay {
            None => message.tell(),
            Some(delay) => {
                tokio::spawn(async move {
                    sleep(delay).await;
                    message.tell();
                });
            }
        }
    }
}

impl Watcher for Relay {
    fn changed(&self, text: &str, version: Option<u64>) {
        self.pass(Event::Changed(text.to_owned(), version));
    }

    fn landed(&self, text: &str) {
        self.pass(Event::Landed(text.to_owned()));
    }

    fn lost(&self, node: Option<u32>) {
        if let Some(watcher) = self.watcher.upgrade() {
            watcher.lost(node);
        }
    }

    fn link(&self, node: u32, up: bool) {
        if let Some(watcher) = self.watcher.upgrade() {
            watcher.link(node, up);
        }
    }

    fn proved(&self, at: Instant) {
        if let Some(watcher) = self.watcher.upgrade() {
            watcher.proved(at);
        }
    }

    fn tells(&self, tells: bool) {
        if let Some(watcher) = self.watcher.upgrade() {
            watcher.tells(tells);
        }
    }
}
