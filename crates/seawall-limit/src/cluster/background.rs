//! What goes on beside decisions: beats, orders and probes.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::{ClientLike, EventInterface, PubsubInterface};
use fred::types::config::Config;
use fred::types::{ConnectHandle, Value};
use futures_util::future::join_all;
use parking_lot::Mutex;
use seawall_redis::EndsWithUs;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{sleep, timeout};

use super::core::Core;
use super::desk::Ask;
use super::law::micros;
use super::link::integer;
use super::protocol::{Spec, Want};
use super::settle;
use super::shared::Shared;
use super::subject::Subject;
use crate::key::Key;

/// The tasks of one generation, which end with it, after what they are at; and those of the core,
/// which end with the last.
pub(crate) struct Tasks {
    tidy: Vec<AbortHandle>,
    core: Arc<CoreTasks>,
}

/// The tasks that all generations share.
pub(crate) struct CoreTasks {
    core: Arc<Core>,
    all: Mutex<Vec<AbortHandle>>,
    beats: watch::Receiver<bool>,
}

impl Tasks {
    /// Of generations that begin.
    pub(crate) fn start<'a>(
        core: Arc<CoreTasks>,
        generations: impl Iterator<Item = &'a Arc<Shared>>,
    ) -> Self {
        let tidy = generations.map(|one| {
            core.core.add(one);
            one.catch_up();
            tokio::spawn(settle::tidy(Arc::downgrade(one))).abort_handle()
        });
        Self { tidy: tidy.collect(), core }
    }

    pub(crate) fn stop(&self) {
        self.tidy.iter().for_each(AbortHandle::abort);
        self.core.stop();
    }

    pub(crate) fn beats(&self) -> watch::Receiver<bool> {
        self.core.beats.clone()
    }

    pub(crate) const fn core(&self) -> &Arc<CoreTasks> {
        &self.core
    }
}

impl CoreTasks {
    pub(crate) const fn core(&self) -> &Arc<Core> {
        &self.core
    }

    fn stop(&self) {
        self.core.ended.store(true, Ordering::Relaxed);
        self.all.lock().drain(..).for_each(|task| task.abort());
    }
}

impl Drop for CoreTasks {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Begins to beat. `probe`: what to ask a master that is out of reach.
pub(crate) fn start(core: Arc<Core>, spec: &Arc<Spec>) -> CoreTasks {
    let (answered, beats) = watch::channel(false);
    let weak = || Arc::downgrade(&core);
    let probes = || Probes { spec: Arc::clone(spec), subjects: HashMap::new() };
    let all = [
        tokio::spawn(beat(weak(), probes(), answered)).abort_handle(),
        tokio::spawn(probe(weak(), probes())).abort_handle(),
        tokio::spawn(hear(weak())).abort_handle(),
    ];
    CoreTasks { all: Mutex::new(all.into()), beats, core }
}

/// Shows that this node is alive, and reads orders.
async fn beat(shared: Weak<Core>, mut probes: Probes, answered: watch::Sender<bool>) {
    let mut beats = Beats { epoch: String::new(), number: 0 };
    let Some(strong) = shared.upgrade() else { return };
    let pause = strong.config.heartbeat;
    drop(strong);
    loop {
        let Some(strong) = shared.upgrade() else { return };
        if strong.desk.link.is_up() {
            if beats.epoch.is_empty() {
                // That loads the script on every master, before the first decision.
                let all = strong.desk.link.serving().into_iter();
                let all: Vec<Ask> = all.filter_map(|node| probes.of(&strong, node)).collect();
                join_all(all.iter().map(|ask| strong.desk.probe(ask))).await;
            }
            // More pages of orders follow at once.
            while beats.once(&strong).await == Some(true) {}
            if !beats.epoch.is_empty() {
                answered.send_if_modified(|it| !std::mem::replace(it, true));
            }
        }
        // Masters that are replaced are not given up any more.
        strong.stats.out_of_reach(strong.desk.given_up());
        let pause = if beats.epoch.is_empty() { pause.min(PROBING) } else { pause };
        let wake = Arc::clone(&strong);
        drop(strong);
        let _ = timeout(pause, wake.wake.notified()).await;
    }
}

/// Asks the masters that are out of reach whether they are back. Each by itself: one that hangs holds
/// up neither the others for a deadline, nor the beats, without which this node is counted no more.
async fn probe(shared: Weak<Core>, mut probes: Probes) {
    let Some(strong) = shared.upgrade() else { return };
    let pause = strong.config.heartbeat.min(PROBING);
    drop(strong);
    let mut under_way = HashMap::<u32, JoinHandle<()>>::new();
    loop {
        sleep(pause).await;
        let Some(strong) = shared.upgrade() else { return };
        under_way.retain(|_, probe| !probe.is_finished());
        if !strong.desk.link.is_up() {
            continue;
        }
        for node in strong.desk.out_of_reach() {
            if under_way.contains_key(&node) {
                continue;
            }
            if let Some(ask) = probes.of(&strong, node) {
                let desk = Arc::clone(&strong.desk);
                under_way.insert(node, tokio::spawn(async move { desk.probe(&ask).await }));
            }
        }
    }
}

struct Beats {
    epoch: String,
    number: u64,
}

impl Beats {
    /// `None`: no answer; else whether there is more.
    async fn once(&mut self, shared: &Core) -> Option<bool> {
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
fn obey(shared: &Core, orders: Vec<(Subject, u64)>, all: bool) {
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
    for generation in shared.generations() {
        for shard in 0..generation.table.shards() {
            generation.table.walk(shard, |state| match orders.get(&state.subject) {
                Some(until) if *until > now => state.blocked = *until,
                Some(_) => state.forgive(),
                None if all => state.blocked = 0,
                None => {}
            });
        }
    }
}

impl Shared {
    /// Orders that were obeyed while the table was copied, before this generation was among those
    /// that obey: as [`obey`] would have.
    fn catch_up(&self) {
        let now = self.now();
        for shard in 0..self.table.shards() {
            self.table.walk(shard, |state| {
                let until = self.blocked_until(state.subject);
                if until == 0 && state.blocked > now {
                    state.forgive();
                }
                state.blocked = until;
            });
        }
    }
}

/// Listens for orders, so that they are read at once. Without it they are at the next beat.
async fn hear(shared: Weak<Core>) {
    loop {
        let Some(strong) = shared.upgrade() else { return };
        let link = Arc::clone(&strong.desk.link);
        let pause = strong.config.heartbeat;
        drop(strong);
        if let Some(server) = link.any() {
            // None of the loops of fred: a client is one connection, to a node that is there.
            let server = Config { fail_fast: true, ..server };
            let (performance, connection) = link.settings.for_fred();
            let client = Client::new(server, Some(performance), Some(connection), None);
            let ends = EndsWithUs::new(client.clone(), &link.settings);
            let connected = timeout(link.settings.connect_timeout, client.init()).await;
            if let Ok(Ok(task)) = connected {
                let channel = link.channel();
                drop(link);
                listen(&shared, &client, task, &channel, pause * LOOK_AT_IT).await;
            }
            drop(ends);
        }
        sleep(pause.max(AGAIN).mul_f64(rand::random_range(0.5..1.0))).await;
    }
}

/// Until the connection ends, or does not answer.
async fn listen(
    shared: &Weak<Core>,
    client: &Client,
    mut task: ConnectHandle,
    channel: &str,
    look: Duration,
) {
    let mut messages = client.message_rx();
    if client.subscribe(channel).await.is_err() {
        return;
    }
    loop {
        {
            // A message, or one that may have been missed.
            let Some(shared) = shared.upgrade() else { return };
            shared.wake.notify_one();
        }
        loop {
            tokio::select! {
                message = messages.recv() => match message {
                    Err(RecvError::Closed) => return,
                    Ok(_) | Err(RecvError::Lagged(_)) => break,
                },
                // One that hangs says nothing.
                () = sleep(look) => if client.ping::<Value>(None).await.is_err() { return },
                _ = &mut task => return,
            }
        }
    }
}

/// For each node a subject of it, to look at.
struct Probes {
    spec: Arc<Spec>,
    subjects: HashMap<u32, Subject>,
}

impl Probes {
    /// `None` if the node serves nothing any more.
    fn of(&mut self, shared: &Core, node: u32) -> Option<Ask> {
        let link = &shared.desk.link;
        let here = |subject: &Subject| link.node(*subject) == node;
        let known = self.subjects.get(&node).copied().filter(here);
        let subject = known.or_else(|| subjects().find(here))?;
        self.subjects.insert(node, subject);
        let want = Want { need: 0, want: 0 };
        Some(Ask { subject, spec: Arc::clone(&self.spec), want, divisor: 1 })
    }
}

/// Of every slot at least one.
fn subjects() -> impl Iterator<Item = Subject> {
    (0..MOST_TRIES).map(|it| Subject::of(Key::Bytes(&it.to_be_bytes())))
}

/// A node counts as gone after so many heartbeats missed.
const BEATS_MISSED: u64 = 5;
/// Between probes of what is out of reach.
const PROBING: Duration = Duration::from_millis(100);
/// Keys that are tried until one is a node's: a master of a single slot takes 16 384 on average, once.
const MOST_TRIES: u64 = 262_144;
/// Heartbeats between two looks at the connection that orders come by.
const LOOK_AT_IT: u32 = 10;
/// Before that is made again.
const AGAIN: Duration = Duration::from_secs(1);
/// Orders in one answer.
const PAGE: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_of_one_slot_can_be_probed_whichever_that_is() {
        let mut slots = vec![false; 16_384];
        for subject in subjects() {
            slots[usize::from(fred::util::redis_keyslot(subject.key("").as_bytes()))] = true;
        }
        assert!(slots.iter().all(|has| *has));
    }
}
