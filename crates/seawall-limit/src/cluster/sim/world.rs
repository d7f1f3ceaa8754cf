//! Nodes, Redis, the messages between them, and the check.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::cluster::law::Law;
use crate::cluster::lease::{Grant, Terms};
use crate::cluster::model::Model;
use crate::cluster::protocol::{Amend, Answer, Spec, Want};
use crate::cluster::state::{KeyState, Local, returned};
use crate::cluster::subject::Subject;
use crate::decide::Outcome;
use crate::key::Key;

pub(super) const NODES: usize = 8;
pub(super) const KEYS: usize = 2;
const DEADLINE: u64 = 50_000;

#[derive(Debug, Clone, Copy)]
pub(super) struct Faults {
    pub(super) crashes: bool,
    /// Of messages, either way, and whole partitions.
    pub(super) losses: bool,
    /// To a replica that has not heard of the last writes and has another clock.
    pub(super) failovers: bool,
    /// Nodes whose clock stood still for a while, as that of a suspended machine does.
    pub(super) jumps: bool,
}

impl Faults {
    pub(super) const fn none() -> Self {
        Self { crashes: false, losses: false, failovers: false, jumps: false }
    }
}

pub(super) struct World {
    pub(super) random: StdRng,
    pub(super) faults: Faults,
    /// By which nodes spend.
    pub(super) spend: Terms,
    pub(super) time: u64,
    pub(super) redis: Model,
    pub(super) redis_ahead: u64,
    /// What replicas have: the past, and the units granted to each key since.
    pub(super) replica: (Model, [u64; KEYS]),
    pub(super) epoch: u64,
    pub(super) nodes: Vec<Node>,
    pub(super) mail: Vec<Mail>,
    pub(super) spec: Arc<Spec>,
    pub(super) judges: [Judge; KEYS],
    pub(super) subjects: [Subject; KEYS],
    pub(super) admitted: u64,
    pub(super) leased: u64,
    pub(super) asked: u64,
}

pub(super) struct Node {
    pub(super) keys: [KeyState; KEYS],
    /// How far its clock is behind.
    pub(super) behind: u64,
    pub(super) cut_off: bool,
    pub(super) life: u64,
}

/// A message under way.
pub(super) struct Mail {
    pub(super) due: u64,
    pub(super) node: usize,
    pub(super) life: u64,
    pub(super) key: usize,
    pub(super) what: What,
}

pub(super) enum What {
    Ask { want: Want, asked: u64, refill: bool },
    Answer { want: Want, asked: u64, refill: bool, answer: Answer },
    Return { grant: Grant, epoch: u64 },
}

/// A quota with a larger burst, which never saw a fault.
pub(super) struct Judge {
    pub(super) law: Law,
    pub(super) tat: u64,
    pub(super) pot: u64,
}

impl Judge {
    fn admit(&mut self, now: u64, units: u64) -> Result<(), String> {
        let spent = self.law.spent(self.tat, now);
        let room = self.law.units(spent);
        let paid = units.min(room);
        self.tat = now + spent + paid * self.law.emission;
        let short = units - paid;
        if short > self.pot {
            return Err(format!("{short} units too many, {} in the pot", self.pot));
        }
        self.pot -= short;
        Ok(())
    }
}

impl World {
    pub(super) fn new(seed: u64, faults: Faults, bound: Terms, spend: Terms) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let emission = random.random_range(500..100_000);
        let burst = random.random_range(1..400);
        let law = Law { emission, capacity: emission * burst };
        // A second policy, wider and slower, that is charged along.
        let wide = Law { emission: emission * 2, capacity: emission * burst * 40 };
        let spec = Spec {
            ids: [0, 1].into(),
            laws: [law, wide].into(),
            names: ["tight".into(), "wide".into()].into(),
            mask: 3,
            exact: false,
        };
        let over = bound.ttl.div_ceil(emission);
        let judge =
            || Judge { law: Law { emission, capacity: emission * (burst + over) }, tat: 0, pot: 0 };
        let time = 1_700_000_000_000_000;
        let node = |life| Node { keys: fresh(), behind: 0, cut_off: false, life };
        Self {
            faults,
            spend,
            time,
            redis: Model::default(),
            redis_ahead: random.random_range(0..10_000_000),
            replica: (Model::default(), [0; KEYS]),
            epoch: 0,
            nodes: (0..NODES as u64).map(node).collect(),
            mail: Vec::new(),
            spec: Arc::new(spec),
            judges: [judge(), judge()],
            subjects: std::array::from_fn(|key| Subject::of(Key::Number(key as u64))),
            random,
            admitted: 0,
            leased: 0,
            asked: 0,
        }
    }

    pub(super) fn step(&mut self) -> Result<(), String> {
        // Bursts, and lulls.
        let lull = if self.random.random_bool(0.02) { 3_000_000 } else { 4_000 };
        self.time += self.random.random_range(0..lull);
        self.deliver()?;
        for _ in 0..self.random.random_range(1..6) {
            let node = self.random.random_range(0..NODES);
            let key = usize::from(self.random.random_bool(0.2));
            let need = if self.random.random_bool(0.1) { 3 } else { 1 };
            self.request(node, key, need)?;
        }
        let node = self.random.random_range(0..NODES);
        self.sweep(node);
        self.harm(node);
        Ok(())
    }

    fn request(&mut self, node: usize, key: usize, need: u32) -> Result<(), String> {
        let now = self.local(node);
        let life = self.nodes[node].life;
        let state = &mut self.nodes[node].keys[key];
        if self.spec.laws.iter().any(|law| law.never(need)) {
            return Ok(());
        }
        match state.decide(&self.spec, need, now, self.spend, || true) {
            Local::Leased { refill, .. } => {
                self.leased += u64::from(need);
                if let Some(want) = refill {
                    let want = Want { need: 1, want: want - 1 };
                    self.post(node, life, key, What::Ask { want, asked: now, refill: true });
                }
                self.admit(key, need)?;
            }
            Local::Ask { want } => {
                self.asked += 1;
                let want = Want { need, want };
                self.post(node, life, key, What::Ask { want, asked: now, refill: false });
            }
            Local::Remembered(_) | Local::Blocked(_) => {}
        }
        Ok(())
    }

    fn deliver(&mut self) -> Result<(), String> {
        while let Some(place) = (0..self.mail.len())
            .filter(|it| self.mail[*it].due <= self.time)
            .min_by_key(|it| self.mail[*it].due)
        {
            let Mail { node, life, key, what, .. } = self.mail.swap_remove(place);
            let subject = self.subjects[key];
            let redis = self.time + self.redis_ahead;
            match what {
                What::Ask { want, asked, refill } => {
                    let answer =
                        self.redis.decide(redis, subject, &self.spec, 2 * NODES as u32, want);
                    self.replica.1[key] += u64::from(answer.granted);
                    self.post(node, life, key, What::Answer { want, asked, refill, answer });
                }
                What::Answer { want, asked, refill, answer } => {
                    self.answered(node, life, key, (want, asked, refill), &answer)?;
                }
                What::Return { grant, epoch } => {
                    if epoch != self.epoch {
                        // Granted by another clock, perhaps not known here: stated.
                        self.judges[key].pot += u64::from(grant.left);
                    }
                    let amend: Amend = returned(&self.spec, grant);
                    self.redis.amend(redis, subject, &self.spec, &amend);
                }
            }
        }
        Ok(())
    }

    fn answered(
        &mut self,
        node: usize,
        life: u64,
        key: usize,
        (want, asked, refill): (Want, u64, bool),
        answer: &Answer,
    ) -> Result<(), String> {
        let now = self.local(node);
        if self.nodes[node].life != life {
            return Ok(());
        }
        let late = now > asked + DEADLINE;
        let state = &mut self.nodes[node].keys[key];
        let over = if refill {
            let answer = Some(answer).filter(|_| !late);
            state.refilled(&self.spec, answer, (asked, now), self.spend)
        } else if late {
            None
        } else {
            let (ruling, over) =
                state.heard(&self.spec, want.need, answer, (asked, now), self.spend);
            if ruling.outcome == Outcome::Allowed {
                self.give_back(node, key, over);
                return self.admit(key, want.need);
            }
            over
        };
        self.give_back(node, key, over);
        Ok(())
    }

    fn admit(&mut self, key: usize, units: u32) -> Result<(), String> {
        self.admitted += u64::from(units);
        self.judges[key].admit(self.time, units.into())
    }

    fn sweep(&mut self, node: usize) {
        let now = self.local(node);
        for key in 0..KEYS {
            while let Some((_, grant)) = self.nodes[node].keys[key].expired(now, self.spend, false)
            {
                self.give_back(node, key, Some(grant));
            }
        }
    }

    fn give_back(&mut self, node: usize, key: usize, over: Option<Grant>) {
        if let Some(grant) = over {
            let (life, epoch) = (self.nodes[node].life, self.epoch);
            self.post(node, life, key, What::Return { grant, epoch });
        }
    }

    fn post(&mut self, node: usize, life: u64, key: usize, what: What) {
        let lost =
            self.faults.losses && (self.nodes[node].cut_off || self.random.random_bool(0.05));
        if lost {
            if let What::Ask { refill: true, .. } | What::Answer { refill: true, .. } = what {
                // Its deadline passes.
                let now = self.local(node);
                let spec = Arc::clone(&self.spec);
                let state = &mut self.nodes[node].keys[key];
                let _ = state.refilled(&spec, None, (now, now), self.spend);
            }
            return;
        }
        let slow = self.faults.losses && self.random.random_bool(0.05);
        let delay = self.random.random_range(100..if slow { 3_000_000 } else { 2_000 });
        self.mail.push(Mail { due: self.time + delay, node, life, key, what });
    }

    pub(super) fn local(&self, node: usize) -> u64 {
        self.time - self.nodes[node].behind
    }
}

pub(super) fn fresh() -> [KeyState; KEYS] {
    std::array::from_fn(|key| KeyState::new(Subject::of(Key::Number(key as u64)), 2, 0))
}
