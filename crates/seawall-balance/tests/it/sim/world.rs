//! The nodes: four workers each, a queue, service times of 10 ms on average.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand_distr::{Distribution as _, LogNormal};

use super::{Event, Fault, NODES};

pub(super) struct World {
    fault: Fault,
    span: Duration,
    nodes: [Node; NODES],
    chance: StdRng,
    /// By time, then by order of scheduling.
    queue: BinaryHeap<Reverse<(Duration, u64)>>,
    events: std::collections::HashMap<u64, Event>,
    scheduled: u64,
}

#[derive(Default)]
struct Node {
    busy: u32,
    waiting: VecDeque<u64>,
}

impl World {
    pub(super) fn new(fault: Fault, span: Duration, seed: u64) -> Self {
        Self {
            fault,
            span,
            nodes: Default::default(),
            chance: StdRng::seed_from_u64(seed),
            queue: BinaryHeap::new(),
            events: std::collections::HashMap::new(),
            scheduled: 0,
        }
    }

    pub(super) fn schedule(&mut self, at: Duration, event: Event) {
        self.scheduled += 1;
        self.queue.push(Reverse((at, self.scheduled)));
        self.events.insert(self.scheduled, event);
    }

    pub(super) fn next(&mut self) -> Option<(Duration, Event)> {
        let Reverse((at, number)) = self.queue.pop()?;
        Some((at, self.events.remove(&number)?))
    }

    pub(super) fn fails(&self, node: usize) -> bool {
        node == 0 && self.fault == Fault::FastFailing
    }

    pub(super) fn send(&mut self, node: usize, attempt: u64, now: Duration) {
        if self.fails(node) {
            self.schedule(now + Duration::from_micros(500), Event::Worked { node, attempt });
        } else if self.nodes[node].busy < WORKERS {
            self.nodes[node].busy += 1;
            self.work(node, attempt, now);
        } else {
            self.nodes[node].waiting.push_back(attempt);
        }
    }

    /// A worker of the node is free again. Work that its client gave up is done
    /// all the same: the node does not know.
    pub(super) fn worked(&mut self, node: usize, now: Duration) {
        if self.fails(node) {
            return;
        }
        match self.nodes[node].waiting.pop_front() {
            Some(attempt) => self.work(node, attempt, now),
            None => self.nodes[node].busy -= 1,
        }
    }

    fn work(&mut self, node: usize, attempt: u64, now: Duration) {
        // Mean 10 ms, p99 some 28 ms.
        let usual = LogNormal::new(10_f64.ln() - 0.125, 0.5);
        let usual = usual.map_or(10.0, |usual| usual.sample(&mut self.chance));
        let slow = node == 0 && self.fault == Fault::Slow && now > self.span / 4;
        let span = Duration::from_secs_f64(usual * if slow { 10.0 } else { 1.0 } / 1e3);
        let frozen = node == 0 && self.fault == Fault::Flapping;
        let end = if frozen { thawed(now, span) } else { now + span };
        self.schedule(end, Event::Worked { node, attempt });
    }
}

/// When work of `span` begun at `now` ends, if nothing moves in the second half of each period.
fn thawed(now: Duration, span: Duration) -> Duration {
    let (mut now, mut left) = (now, span);
    loop {
        let into = Duration::from_nanos((now.as_nanos() % PERIOD.as_nanos()) as u64);
        let awake = (PERIOD / 2).saturating_sub(into);
        if left < awake {
            return now + left;
        }
        left -= awake;
        now += PERIOD - into;
    }
}

const WORKERS: u32 = 4;
const PERIOD: Duration = Duration::from_secs(3);
