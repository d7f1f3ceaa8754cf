//! What goes on beside decisions: beats, orders and probes.

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
use tokio::time::{sleep, timeout};

use super::breaker::SECTIONS;
use super::config::ClusterConfig;
use super::desk::Ask;
use super::law::micros;
use super::link::{self, integer};
use super::protocol::Want;
use super::settle;
use super::shared::Shared;
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
        tokio::spawn(settle::tidy(weak())).abort_handle(),
        tokio::spawn(hear(weak(), shared.config.clone())).abort_handle(),
    ];
    Tasks { all: Mutex::new(all.into()), beats }
}

/// Shows that this node is alive, reads orders, and probes what is out of reach.
async fn beat(shared: Weak<Shared>, answered: watch::Sender<bool>) {
    let mut beats = Beats { epoch: String::new(), number: 0 };
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
            if !beats.epoch.is_empty() {
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
    epoch: String,
    number: u64,
}

impl Beats {
    /// `None`: no answer; else whether there is more.
    async fn once(&mut self, shared: &Arc<Shared>) -> Option<bool> {
        let horizon = micros(shared.config.heartbeat).saturating_mul(BEATS_MISSED);
        let words: Vec<Value> = vec![
            "beat".into(),
            shared.id.as_str().into(),
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

/// A node counts as gone after so many heartbeats missed.
const BEATS_MISSED: u64 = 5;
/// Between probes of what is out of reach.
const PROBING: Duration = Duration::from_millis(100);
/// Orders in one answer.
const PAGE: usize = 500;
