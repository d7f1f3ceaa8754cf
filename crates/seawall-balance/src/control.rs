//! The set with every node's conditions, behind the balancer's lock.
//!
//! Every change of a condition ends in [`refresh`](Control::refresh), which
//! decides anew who may be picked and swaps in the view that says so.

mod events;
mod set;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use foldhash::fast::RandomState;

use crate::clock::nanos;
use crate::config::BalanceConfig;
use crate::node::{Node, Window};
use crate::outlier::{self, Cause};
use crate::ramp;
use crate::shared::Shared;
use crate::state::{State, admit};
use crate::status::Standing;
use crate::view::{Members, View};

pub(crate) struct Control<N> {
    entries: Vec<Entry<N>>,
    /// Of ids into `entries`.
    index: HashMap<N, usize, RandomState>,
    /// Removed, with work left.
    leaving: Vec<Arc<Node<N>>>,
    /// Removed while a probe of theirs was under way, and its number.
    probed: Vec<(N, u64)>,
    /// Probes so far.
    probes: u64,
    members: Arc<Members<N>>,
    next_sweep: u64,
    panic: bool,
}

pub(crate) struct Entry<N> {
    pub(crate) node: Arc<Node<N>>,
    pub(crate) state: State,
}

impl<N> Entry<N> {
    /// How it stands, where `full` requests outstanding are all it takes.
    pub(crate) fn standing(&self, full: u32) -> Standing {
        match self.state.standing() {
            Standing::Open if self.node.outstanding.count() >= full => Standing::Saturated,
            standing => standing,
        }
    }
}

impl<N: fmt::Debug> Control<N> {
    pub(crate) fn new(config: &BalanceConfig, members: Arc<Members<N>>) -> Self {
        Self {
            entries: Vec::new(),
            index: HashMap::default(),
            leaving: Vec::new(),
            probed: Vec::new(),
            probes: 0,
            members,
            next_sweep: nanos(config.outlier.interval),
            panic: false,
        }
    }

    pub(crate) fn entries(&self) -> impl ExactSizeIterator<Item = &Entry<N>> {
        self.entries.iter()
    }

    pub(crate) fn leaving(&self) -> impl Iterator<Item = &Arc<Node<N>>> {
        self.leaving.iter().filter(|node| node.outstanding.count() > 0)
    }

    /// Ends what has its time, and judges an interval's statistics.
    pub(crate) fn tick(&mut self, shared: &Shared<N>, now: u64) {
        if now < shared.due.load(Ordering::Relaxed) {
            return;
        }
        for entry in &mut self.entries {
            if entry.state.ejection.end(now) {
                entry.node.meter.clear_row();
                entry.node.ramp.store(now, Ordering::Relaxed);
                events::returned(shared, &entry.node.id);
            }
            if entry.state.saturated_until <= now {
                entry.state.saturated_until = 0;
            }
        }
        if now >= self.next_sweep {
            self.sweep(shared, now);
            self.next_sweep = now.saturating_add(nanos(shared.config.outlier.interval));
        }
        self.leaving.retain(|node| node.outstanding.count() > 0);
        self.refresh(shared, now);
    }

    pub(crate) fn struck(&mut self, shared: &Shared<N>, node: &Arc<Node<N>>, now: u64) {
        if let Some(position) = self.position(node)
            && self.eject(shared, position, Cause::Consecutive, now)
        {
            self.refresh(shared, now);
        }
    }

    pub(crate) fn saturated(
        &mut self,
        shared: &Shared<N>,
        node: &Arc<Node<N>>,
        pause: Duration,
        now: u64,
    ) {
        if let Some(position) = self.position(node) {
            let state = &mut self.entries[position].state;
            let until = now.saturating_add(nanos(pause));
            if until > now && until > state.saturated_until {
                // A pause that only grows changes nothing before its old end.
                let new = state.saturated_until == 0;
                state.saturated_until = until;
                if new {
                    events::saturated(shared, &node.id, pause);
                    self.refresh(shared, now);
                }
            }
        }
    }

    /// Decides who may be picked, publishes it, and when to look again.
    pub(crate) fn refresh(&mut self, shared: &Shared<N>, now: u64) {
        let admission = admit(self.entries.iter().map(|entry| &entry.state), &shared.config);
        if admission.panic != self.panic {
            self.panic = admission.panic;
            events::panic(shared, self.panic, self.entries.len());
        }
        let window = nanos(shared.config.slow_start.window);
        let began = |entry: &Entry<N>| {
            let began = entry.node.ramp.load(Ordering::Relaxed);
            let starting = ramp::share(began, now, &shared.config.slow_start) < 1.0;
            if starting { began } else { 0 }
        };
        let starts = || admission.open.iter().map(|index| began(&self.entries[*index as usize]));
        let ramp = starts().any(|began| began > 0).then(|| starts().min().unwrap_or(0));

        let mut due = self.next_sweep;
        for entry in &self.entries {
            let ends = [entry.state.ejection.until().unwrap_or(0), entry.state.saturated_until];
            let ramp_end = match began(entry) {
                0 => 0,
                began => began.saturating_add(window),
            };
            for end in ends.into_iter().chain([ramp_end]).filter(|end| *end > 0) {
                due = due.min(end);
            }
        }
        shared.common.stats.nodes(self.entries.iter().map(|entry| entry.state.standing()));
        shared.common.stats.panic(self.panic);
        shared.view.store(Arc::new(View::new(Arc::clone(&self.members), admission, ramp)));
        shared.due.store(due, Ordering::Relaxed);
    }

    fn sweep(&mut self, shared: &Shared<N>, now: u64) {
        let windows: Vec<Window> =
            self.entries.iter().map(|entry| entry.node.meter.take_window()).collect();
        let judged: Vec<usize> = (0..windows.len())
            .filter(|position| !self.entries[*position].state.ejection.is_ejected())
            .collect();
        let seen: Vec<Window> = judged.iter().map(|position| windows[*position]).collect();
        for (found, cause) in outlier::detect(&seen, &shared.config.outlier) {
            self.eject(shared, judged[found], cause, now);
        }
        for (entry, window) in self.entries.iter_mut().zip(windows) {
            let clean = u64::from(window.failures) * CLEAN <= u64::from(window.successes);
            if clean && window.successes > 0 {
                entry.state.ejection.forgive();
            }
        }
    }

    /// Ejects the node if it is not out and others may still go.
    fn eject(&mut self, shared: &Shared<N>, position: usize, cause: Cause, now: u64) -> bool {
        let config = &shared.config.outlier;
        let all = self.entries.iter().filter(|entry| entry.state.takes_work());
        let (all, out) = all.fold((0_usize, 0_usize), |(all, out), entry| {
            (all + 1, out + usize::from(entry.state.ejection.is_ejected()))
        });
        let room = match config.max_ejected {
            0.0 => 0,
            share => ((all as f64 * share) as usize).max(1),
        };
        let entry = &mut self.entries[position];
        if entry.state.ejection.is_ejected() || !entry.state.takes_work() || out >= room {
            return false;
        }
        entry.state.ejection.eject(now, config);
        shared.common.stats.ejected(cause);
        let until = entry.state.ejection.until().unwrap_or(now);
        let span = Duration::from_nanos(until.saturating_sub(now));
        events::ejected(shared, &entry.node.id, cause, span);
        true
    }

    fn position(&self, node: &Arc<Node<N>>) -> Option<usize> {
        self.entries.iter().position(|entry| Arc::ptr_eq(&entry.node, node))
    }
}

/// A node is clean with so many successes for each failure.
const CLEAN: u64 = 20;
