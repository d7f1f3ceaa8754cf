//! What nodes owe Redis: units that they did not spend, and spending that it has not heard of.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use seawall_redis::{is_redirection, within};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::background::Tasks;
use super::protocol::{Amend, Answer, Spec};
use super::shared::Shared;
use super::state::{KeyState, returned};
use super::subject::Subject;

/// Gives back what was not spent, and tells Redis what was admitted without it.
pub(crate) async fn tidy(shared: Weak<Shared>) {
    let Some(strong) = shared.upgrade() else { return };
    let pause = pause(&strong);
    drop(strong);
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        if shared.retiring.load(Ordering::Relaxed) {
            // That task settles now, and would take this one for a user.
            return;
        }
        let _turn = shared.sweeping.lock().await;
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
            // Hashing the subject takes longer than all the rest: only for those that owe.
            if !settle || !state.owes() {
                return;
            }
            if shared.desk.is_reachable(shared.desk.link.node(state.subject)) {
                if let Some(amend) = state.settle(&shared.laws, nodes, now) {
                    owed.push((state.subject, amend));
                }
            } else {
                shared.owing.fetch_add(1, Ordering::Relaxed);
            }
        });
        tokio::task::yield_now().await;
    }
    shared.held_last.store(held, Ordering::Relaxed);
    // Of all that count units in force: each would say its own otherwise.
    let all = shared.generations();
    let real = all.iter().filter(|one| !one.is_twin);
    let held = real.map(|one| one.held_last.load(Ordering::Relaxed)).sum();
    drop(all);
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
        shared.stats.returned(done.0.len() as u64);
    }
    // Policies first, then candidates: they have the policies' names, and a key spends of one.
    for part in [0..shared.named, shared.named..shared.laws.len()] {
        charge(shared, part, &owed).await;
    }
}

/// Charges what was spent without Redis, of some policies.
async fn charge(shared: &Arc<Shared>, part: Range<usize>, owed: &[(Subject, Amend)]) {
    let of_part = |(subject, amend): &(Subject, Amend)| {
        let amounts = amend.amounts[part.clone()].to_vec();
        let owes = amounts.iter().any(|amount| *amount > 0);
        owes.then_some((*subject, Amend { kind: amend.kind, amounts }))
    };
    let owed: Vec<_> = owed.iter().filter_map(of_part).collect();
    if owed.is_empty() {
        return;
    }
    let ids: Vec<u8> = part.clone().filter_map(|id| u8::try_from(id).ok()).collect();
    let spec = shared.spec(&ids);
    let (done, failed) = send(shared, &spec, owed).await;
    shared.stats.settled(done.len() as u64);
    if !failed.is_empty() {
        shared.owing.fetch_add(1, Ordering::Relaxed);
    }
    let now = shared.now();
    let done: HashMap<Subject, Answer> = done.into_iter().collect();
    let failed: HashMap<Subject, Amend> = failed.into_iter().collect();
    for shard in 0..shared.table.shards() {
        shared.table.walk(shard, |state| {
            if let Some(amend) = failed.get(&state.subject) {
                state.unsettled(&spec, amend);
            } else if let Some(answer) = done.get(&state.subject) {
                // Until then it went by this node's share, whose waits are longer.
                state.settled(&spec, answer, now);
            }
        });
    }
}

/// A generation that has a successor: settles, and ends when nobody uses it any more.
pub(crate) async fn retire(shared: Arc<Shared>) {
    let pause = pause(&shared);
    while !shared.ended.load(Ordering::Relaxed) {
        // Those that have it: this task, and who still decides by it.
        let unused = Arc::strong_count(&shared) == 1;
        {
            let _turn = shared.sweeping.lock().await;
            sweep(&shared, unused).await;
        }
        let settled = shared.held() == 0 && shared.owing.load(Ordering::Relaxed) == 0;
        if unused && settled && shared.returns.lock().is_empty() {
            return;
        }
        sleep(pause).await;
    }
}

fn pause(shared: &Shared) -> Duration {
    (shared.config.lease_ttl / 4).clamp(Duration::from_millis(20), Duration::from_millis(250))
}

/// Sends changes, some in one command. Tells what Redis says of those that were made, and which were not.
async fn send(
    shared: &Arc<Shared>,
    spec: &Spec,
    mut amends: Vec<(Subject, Amend)>,
) -> (Vec<(Subject, Answer)>, Vec<(Subject, Amend)>) {
    let link = &shared.desk.link;
    amends.sort_by_key(|(subject, _)| link.group(*subject));
    let mut failed = Vec::new();
    let mut done = Vec::new();
    for group in amends.chunk_by(|a, b| link.group(a.0) == link.group(b.0)) {
        for chunk in group.chunks(CHUNK) {
            let node = chunk.first().map_or(0, |(subject, _)| link.node(*subject));
            if !shared.desk.is_reachable(node) {
                failed.extend_from_slice(chunk);
                continue;
            }
            let asked = Instant::now();
            let answers = within(shared.config.deadline, link.amend(spec, chunk)).await;
            let answers = answers.unwrap_or_default();
            // Or a master that hangs would hold up what is owed to the others, a deadline each time.
            let elsewhere = |it: &Result<Answer, _>| it.as_ref().is_err_and(is_redirection);
            if answers.iter().any(Result::is_ok) {
                shared.desk.answered(node);
            } else if !answers.iter().any(elsewhere) {
                shared.desk.failed(node, asked);
            }
            let mut answers = answers.into_iter();
            for (subject, amend) in chunk {
                match answers.next() {
                    Some(Ok(answer)) => done.push((*subject, answer)),
                    _ => failed.push((*subject, amend.clone())),
                }
            }
        }
    }
    (done, failed)
}

/// The end of a node that means to end.
pub(crate) async fn hand_over(shared: &Arc<Shared>, tasks: &Tasks) {
    {
        // A round that is ended in its middle has taken what is owed, and told nobody.
        let all = shared.generations();
        let mut turns = Vec::with_capacity(all.len());
        for generation in &all {
            turns.push(generation.sweeping.lock().await);
        }
        tasks.stop();
    }
    for generation in shared.generations() {
        let _turn = generation.sweeping.lock().await;
        sweep(&generation, true).await;
    }
    if shared.desk.link.is_up() {
        // Best effort: a node that is not heard of any more is missed anyway.
        let _ = shared
            .within(shared.desk.link.control(vec!["leave".into(), shared.id.as_str().into()]))
            .await;
    }
    shared.desk.link.close().await;
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

/// Changes in one command.
const CHUNK: usize = 64;
