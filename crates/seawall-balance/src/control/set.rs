//! Changes that somebody asked for: the set, drains, lag, results of probes.

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use foldhash::fast::RandomState;

use super::{Control, Entry, events};
use crate::balancer::Member;
use crate::error::Error;
use crate::hash::hash_key;
use crate::node::Node;
use crate::policy::{Picker, Seat};
use crate::shared::Shared;
use crate::state::{Ejection, Health, Lag, State};
use crate::view::Members;

impl<N: fmt::Debug + Clone + Eq + Hash> Control<N> {
    /// Makes `members` the set. Nodes that stay keep all that is known of them.
    pub(crate) fn replace(
        &mut self,
        shared: &Arc<Shared<N>>,
        members: Vec<Member<N>>,
        now: u64,
    ) -> Result<(), Error> {
        let mut ids = HashSet::with_capacity_and_hasher(members.len(), RandomState::default());
        if let Some(twice) = members.iter().find(|member| !ids.insert(&member.id)) {
            return Err(Error::DuplicateNode { node: name(&twice.id) });
        }
        let stays: Vec<bool> =
            self.entries.iter().map(|entry| ids.contains(&entry.node.id)).collect();
        drop(ids);
        let before = std::mem::take(&mut self.entries);
        let first = before.is_empty();
        let mut kept: Vec<Option<Entry<N>>> = Vec::with_capacity(before.len());
        for (entry, stays) in before.into_iter().zip(stays) {
            if stays {
                kept.push(Some(entry));
            } else {
                self.leave(entry);
                kept.push(None);
            }
        }
        for member in members {
            let known = self.index.get(&member.id).and_then(|position| kept[*position].take());
            let entry = match known {
                Some(mut entry) => {
                    entry.state.weight = member.weight;
                    entry
                }
                None => self.join(shared, member, first, now),
            };
            self.entries.push(entry);
        }
        self.settle(shared, now);
        Ok(())
    }

    /// Adds nodes, or changes their weights, and removes others.
    pub(crate) fn change(
        &mut self,
        shared: &Arc<Shared<N>>,
        join: Vec<Member<N>>,
        leave: &[N],
        now: u64,
    ) {
        let first = self.entries.is_empty();
        for id in leave {
            if let Some(position) = self.entries.iter().position(|entry| entry.node.id == *id) {
                let entry = self.entries.remove(position);
                self.leave(entry);
            }
        }
        for member in join {
            match self.entries.iter_mut().find(|entry| entry.node.id == member.id) {
                Some(entry) => entry.state.weight = member.weight,
                None => {
                    let entry = self.join(shared, member, first, now);
                    self.entries.push(entry);
                }
            }
        }
        self.settle(shared, now);
    }

    pub(crate) fn drain(
        &mut self,
        shared: &Shared<N>,
        id: &N,
        draining: bool,
        now: u64,
    ) -> Result<(), Error> {
        let entry = self.entry(id)?;
        if entry.state.draining != draining {
            entry.state.draining = draining;
            if !draining {
                entry.node.ramp.store(now, Ordering::Relaxed);
            }
            self.refresh(shared, now);
        }
        Ok(())
    }

    pub(crate) fn lag(
        &mut self,
        shared: &Shared<N>,
        id: &N,
        lag: Duration,
        now: u64,
    ) -> Result<(), Error> {
        let entry = self.entry(id)?;
        let before = entry.state.lag.is_soft();
        let crossed = entry.state.lag.set(lag, &shared.config.lag);
        let lagging = entry.state.lag.is_soft();
        if before != lagging {
            events::lag(shared, id, lag, lagging);
        }
        // Which of the lagging ones are kept depends on how much each lags.
        if crossed || lagging {
            self.refresh(shared, now);
        }
        Ok(())
    }

    pub(crate) fn healthy(
        &mut self,
        shared: &Shared<N>,
        id: &N,
        healthy: bool,
        now: u64,
    ) -> Result<(), Error> {
        let entry = self.entry(id)?;
        if entry.state.health.set(healthy) {
            if healthy {
                entry.state.ejection.lift();
                entry.node.meter.clear_row();
                entry.node.ramp.store(now, Ordering::Relaxed);
            }
            events::health(shared, id, healthy);
            self.refresh(shared, now);
        }
        Ok(())
    }

    pub(crate) fn pause(
        &mut self,
        shared: &Shared<N>,
        id: &N,
        pause: Duration,
        now: u64,
    ) -> Result<(), Error> {
        let node = Arc::clone(&self.entry(id)?.node);
        self.saturated(shared, &node, pause, now);
        Ok(())
    }

    fn entry(&mut self, id: &N) -> Result<&mut Entry<N>, Error> {
        match self.index.get(id) {
            Some(position) => Ok(&mut self.entries[*position]),
            None => Err(Error::UnknownNode { node: name(id) }),
        }
    }

    /// A new node; one that was leaving keeps its counts. Nodes of the first set
    /// do not start slowly: there is nobody else to take the work.
    fn join(
        &mut self,
        shared: &Arc<Shared<N>>,
        member: Member<N>,
        first: bool,
        now: u64,
    ) -> Entry<N> {
        let hash = hash_key(&member.id);
        let leaving = self.leaving.iter().position(|node| node.id == member.id);
        let node = match leaving {
            Some(position) => self.leaving.swap_remove(position),
            None => {
                let shared_weak = Arc::downgrade(shared);
                Arc::new(Node::new(member.id, hash, &shared.common, shared_weak))
            }
        };
        if !first {
            node.ramp.store(now, Ordering::Relaxed);
        }
        let mut health = Health::new(now, hash, &shared.config.probe);
        if let Some(position) = self.probed.iter().position(|(id, _)| *id == node.id) {
            // One at a time, also for a node that was away for a moment.
            health.wait_for(self.probed.swap_remove(position).1);
        }
        let state = State {
            weight: member.weight,
            draining: false,
            health,
            ejection: Ejection::default(),
            saturated_until: 0,
            lag: Lag::default(),
        };
        Entry { node, state }
    }

    fn leave(&mut self, entry: Entry<N>) {
        if let Some(number) = entry.state.health.in_flight() {
            self.probed.push((entry.node.id.clone(), number));
        }
        self.leaving.push(entry.node);
    }

    /// After a change of the set: tables and view anew.
    fn settle(&mut self, shared: &Shared<N>, now: u64) {
        self.leaving.retain(|node| node.outstanding.count() > 0);
        let entries = self.entries.iter().enumerate();
        self.index = entries.map(|(index, entry)| (entry.node.id.clone(), index)).collect();
        let seat = |entry: &Entry<N>| Seat { hash: entry.node.hash, weight: entry.state.weight };
        let seats: Vec<Seat> = self.entries.iter().map(seat).collect();
        self.members = Arc::new(Members {
            nodes: self.entries.iter().map(|entry| Arc::clone(&entry.node)).collect(),
            weights: seats.iter().map(|seat| seat.weight).collect(),
            picker: Picker::new(&shared.config, &seats, Some(&self.members.picker)),
        });
        self.refresh(shared, now);
        shared.changed.notify_one();
    }
}

impl<N: fmt::Debug> Control<N> {
    /// A node whose probe is due, which from now on is under way.
    pub(crate) fn due(&mut self, now: u64) -> Option<(Arc<Node<N>>, u64)> {
        let due = |entry: &&mut Entry<N>| entry.state.health.due().is_some_and(|due| due <= now);
        let longest =
            self.entries.iter_mut().filter(due).min_by_key(|entry| entry.state.health.due())?;
        self.probes += 1;
        longest.state.health.begin(self.probes);
        Some((Arc::clone(&longest.node), self.probes))
    }

    pub(crate) fn next_due(&self) -> Option<u64> {
        self.entries.iter().filter_map(|entry| entry.state.health.due()).min()
    }

    /// The probe of this number ended, with a result or without.
    pub(crate) fn probed(
        &mut self,
        shared: &Shared<N>,
        number: u64,
        result: Option<bool>,
        now: u64,
    ) {
        let its = |entry: &&mut Entry<N>| entry.state.health.in_flight() == Some(number);
        let Some(entry) = self.entries.iter_mut().find(its) else {
            // Its node was removed meanwhile: nobody wants to know.
            return self.probed.retain(|(_, other)| *other != number);
        };
        let node = Arc::clone(&entry.node);
        match result.filter(|_| entry.state.health.counts()) {
            None => entry.state.health.abandon(),
            Some(good) => {
                let config = &shared.config.probe;
                if let Some(healthy) = entry.state.health.finish(good, now, node.hash, config) {
                    events::health(shared, &node.id, healthy);
                    if healthy {
                        node.ramp.store(now, Ordering::Relaxed);
                    }
                    self.refresh(shared, now);
                }
            }
        }
    }
}

pub(super) fn name<N: fmt::Debug>(id: &N) -> Box<str> {
    format!("{id:?}").into()
}
