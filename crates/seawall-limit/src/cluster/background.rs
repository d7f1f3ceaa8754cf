//! What goes on beside decisions: beats, orders, probes, returns and settlements.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use fred::interfaces::{ClientLike, EventInterface, PubsubInterface};
use fred::types::Value;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{interval, sleep, timeout};

use super::breaker::SECTIONS;
use super::config::ClusterConfig;
use super::desk::Ask;
use super::law::micros;
use super::link::{self, integer};
use super::protocol::{Amend, Spec, Want};
use super::shared::Shared;
use super::state::{KeyState, returned};
use super::subject::Subject;
use crate::key::Key;

/// The tasks of one limiter; they end with it.
pub(crate) struct Tasks {
    all: Mutex<Vec<AbortHandle>>,
    beats: watch::Receiver<bool>,
}

impl Tasks {
    pub(crate) fn stop(&self) {
        self.all.lock().drain(..).for_each(|task| task.abort());
    }

    pub(crate) fn beats(&self) -> watch::Receiver<bool> {
        self.beats.clone()
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.stop();
    }
}

pub(crate) fn start(shared: &Arc<Shared>) -> Tasks {
    let (answered, beats) = watch::channel(false);
    let weak = || Arc::downgrade(shared);
    let all = [
        tokio::spawn(beat(weak(), answered)).abort_handle(),
        tokio::spawn(tidy(weak())).abort_handle(),
        tokio::spawn(hear(weak(), shared.config.clone())).abort_handle(),
    ];
    Tasks { all: Mutex::new(all.into()), beats }
}

/// Shows that this node is alive, reads orders, and probes what is out of reach.
async fn beat(shared: Weak<Shared>, answered: watch::Sender<bool>) {
    let mut beats =
        Beats { id: format!("{:032x}", rand::random::<u128>()), epoch: String::new(), number: 0 };
    let Some(strong) = shared.upgrade() else { return };
    let (pause, probes) = (strong.config.heartbeat, probes(&strong));
    drop(strong);
    loop {
        let Some(strong) = shared.upgrade() else { return };
        strong.desk.link.revive();
        if strong.desk.link.is_up() {
            // At first all: that loads the script on every master, before the first decision.
            let new = beats.epoch.is_empty();
            let due = |section: &usize| new || strong.desk.breakers.is_open(*section);
            let due = (0..probes.len()).filter(due);
            join_all(due.map(|section| strong.desk.probe(&probes[section]))).await;
            // More pages of orders follow at once.
            while beats.once(&strong).await == Some(true) {}
            if beats.number != u64::MAX && !beats.epoch.is_empty() {
                answered.send_if_modified(|it| !std::mem::replace(it, true));
            }
        }
        let quick = strong.desk.breakers.open().next().is_some() || beats.epoch.is_empty();
        let pause = if quick { pause.min(PROBING) } else { pause };
        let wake = Arc::clone(&strong);
        drop(strong);
        let _ = timeout(pause, wake.wake.notified()).await;
    }
}

struct Beats {
    id: String,
    epoch: String,
    number: u64,
}

impl Beats {
    /// `None`: no answer; else whether there is more.
    async fn once(&mut self, shared: &Arc<Shared>) -> Option<bool> {
        let horizon = micros(shared.config.heartbeat).saturating_mul(BEATS_MISSED);
        let words: Vec<Value> = vec![
            "beat".into(),
            self.id.as_str().into(),
            integer(horizon),
            self.epoch.as_str().into(),
            integer(self.number),
        ];
        let answer = shared.within(shared.desk.link.control(words)).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(%error, "no answer to a heartbeat");
                return None;
            }
        };
        let local = shared.now();
        let mut parts = answer.into_iter();
        let mut number = || parts.next().and_then(|value| value.as_u64());
        let (now, live) = (number()?, number()?);
        let epoch = parts.next()?.as_string()?;
        let mut number = || parts.next().and_then(|value| value.as_u64());
        let (latest, all) = (number()?, number()? == 1);
        if shared.config.nodes.is_none() {
            shared.nodes.store(u32::try_from(live).unwrap_or(u32::MAX).max(1), Ordering::Relaxed);
        }
        let mut orders = Vec::new();
        while let (Some(subject), Some(until)) = (parts.next(), parts.next()) {
            let subject = subject.as_string().and_then(|text| Subject::read(&text));
            if let (Some(subject), Some(until)) = (subject, until.as_u64()) {
                // In this node's time; from there a block ends by itself.
                let until = if until > now { local.saturating_add(until - now) } else { 0 };
                orders.push((subject, until));
            }
        }
        let more = orders.len() >= PAGE;
        self.epoch = epoch;
        self.number = latest;
        obey(shared, orders, all);
        Some(more)
    }
}

/// Blocks and lifts. `all`: what is not among the orders is lifted as well.
fn obey(shared: &Shared, orders: Vec<(Subject, u64)>, all: bool) {
    if orders.is_empty() && !all {
        return;
    }
    let now = shared.now();
    let orders: HashMap<Subject, u64> = orders.into_iter().collect();
    {
        let mut blocks = shared.blocks.write();
        if all {
            blocks.clear();
        }
        blocks.retain(|_, until| *until > now);
        for (subject, until) in &orders {
            if *until > now {
                blocks.insert(*subject, *until);
            } else {
                blocks.remove(subject);
            }
        }
    }
    for shard in 0..shared.table.shards() {
        shared.table.walk(shard, |state| match orders.get(&state.subject) {
            Some(until) if *until > now => state.blocked = *until,
            Some(_) => state.forgive(),
            None if all => state.blocked = 0,
            None => {}
        });
    }
}

/// Listens for orders, so that they are read at once. Without it they are at the next beat.
async fn hear(shared: Weak<Shared>, config: ClusterConfig) {
    loop {
        let Ok(client) = link::client(&config) else { return };
        let mut messages = client.message_rx();
        let mut reconnected = client.reconnect_rx();
        let task = client.connect();
        let channel = match shared.upgrade() {
            Some(shared) => shared.desk.link.channel(),
            None => return,
        };
        let _abort = AbortOnDrop(task.abort_handle());
        loop {
            tokio::select! {
                message = messages.recv() => {
                    if message.is_err() { break }
                }
                again = reconnected.recv() => {
                    if again.is_err() { break }
                    let _ = client.subscribe(channel.as_str()).await;
                }
            }
            // A message, or one that may have been missed.
            let Some(shared) = shared.upgrade() else { return };
            shared.wake.notify_one();
        }
        sleep(Duration::from_secs(1)).await;
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Gives back what was not spent, and tells Redis what was admitted without it.
async fn tidy(shared: Weak<Shared>) {
    let Some(strong) = shared.upgrade() else { return };
    let pause =
        (strong.config.lease_ttl / 4).clamp(Duration::from_millis(20), Duration::from_millis(250));
    drop(strong);
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        sweep(&shared, false).await;
    }
}

/// One round over the table.
async fn sweep(shared: &Arc<Shared>, all: bool) {
    let (now, terms, nodes) = (shared.now(), shared.terms, shared.live_nodes());
    let settle = shared.owing.load(Ordering::Relaxed) > 0 && shared.desk.link.is_up();
    if settle {
        shared.owing.store(0, Ordering::Relaxed);
    }
    let mut held = 0;
    let mut owed = Vec::new();
    for shard in 0..shared.table.shards() {
        shared.table.walk(shard, |state: &mut KeyState| {
            while let Some((mask, grant)) = state.expired(now, terms, all) {
                shared.give_back(state.subject, mask, Some(grant));
            }
            held += state.held(now, terms);
            let section = shared.desk.link.section(state.subject);
            if settle && shared.desk.is_reachable(section) {
                if let Some(amend) = state.settle(&shared.laws, nodes, now) {
                    owed.push((state.subject, amend));
                }
            } else if settle && state.owes() {
                shared.owing.fetch_add(1, Ordering::Relaxed);
            }
        });
        tokio::task::yield_now().await;
    }
    shared.stats.seen(held, nodes);
    let returns = std::mem::take(&mut *shared.returns.lock());
    let mut by_set: HashMap<u64, Vec<(Subject, Amend)>> = HashMap::new();
    let specs = shared.specs.lock().clone();
    for (subject, mask, grant) in returns {
        if let Some(spec) = specs.get(&mask) {
            by_set.entry(mask).or_default().push((subject, returned(spec, grant)));
        }
    }
    for (mask, returns) in by_set {
        // One that fails is lost until it refills: to give back twice would be too much.
        let done = send(shared, &specs[&mask], returns).await;
        shared.stats.returned(done.0);
    }
    if !owed.is_empty() {
        let ids: Vec<u8> = (0..shared.laws.len()).filter_map(|id| u8::try_from(id).ok()).collect();
        let (done, failed) = send(shared, &shared.spec(&ids), owed).await;
        shared.stats.settled(done);
        let mut failed: HashMap<Subject, Amend> = failed.into_iter().collect();
        if !failed.is_empty() {
            shared.owing.fetch_add(1, Ordering::Relaxed);
            for shard in 0..shared.table.shards() {
                shared.table.walk(shard, |state| {
                    if let Some(amend) = failed.remove(&state.subject) {
                        state.unsettled(&shared.laws, &amend);
                    }
                });
            }
        }
    }
}

/// Sends changes, some in one command. Tells how many were made, and which were not.
async fn send(
    shared: &Arc<Shared>,
    spec: &Spec,
    mut amends: Vec<(Subject, Amend)>,
) -> (u64, Vec<(Subject, Amend)>) {
    let link = &shared.desk.link;
    amends.sort_by_key(|(subject, _)| link.group(*subject));
    let mut failed = Vec::new();
    let mut done = 0;
    for group in amends.chunk_by(|a, b| link.group(a.0) == link.group(b.0)) {
        for chunk in group.chunks(CHUNK) {
            let section = chunk.first().map_or(0, |(subject, _)| link.section(*subject));
            let sent = shared.desk.is_reachable(section);
            if sent && shared.within(link.amend(spec, chunk)).await.is_ok() {
                done += chunk.len() as u64;
            } else {
                failed.extend_from_slice(chunk);
            }
        }
    }
    (done, failed)
}

/// The end of a node that means to end.
pub(crate) async fn hand_over(shared: &Arc<Shared>) {
    sweep(shared, true).await;
    shared.desk.link.close().await;
}

/// For each section a subject of it, to look at.
fn probes(shared: &Arc<Shared>) -> Vec<Ask> {
    let spec = shared.spec(&[0]);
    let find = |section: usize| {
        let all = (0_u64..).map(|number| Subject::of(Key::Bytes(&number.to_be_bytes())));
        let mut all = all
            .filter(|it| !shared.desk.link.clustered || shared.desk.link.section(*it) == section);
        // It is an endless row of which each section gets a sixteenth.
        all.next().unwrap_or(Subject::of(Key::Unknown))
    };
    let ask = |section| Ask {
        subject: find(section),
        spec: Arc::clone(&spec),
        want: Want { need: 0, want: 0 },
        divisor: 1,
    };
    let sections = if shared.desk.link.clustered { SECTIONS } else { 1 };
    (0..sections).map(ask).collect()
}

impl Shared {
    /// Units held by all keys.
    pub(crate) fn held(&self) -> u64 {
        let now = self.now();
        let mut held = 0;
        for shard in 0..self.table.shards() {
            self.table.walk(shard, |state| held += state.held(now, self.terms));
        }
        held
    }
}

/// A node counts as gone after so many heartbeats missed.
const BEATS_MISSED: u64 = 5;
/// Between probes of what is out of reach.
const PROBING: Duration = Duration::from_millis(100);
/// Orders in one answer.
const PAGE: usize = 500;
/// Changes in one command.
const CHUNK: usize = 64;
