//! What a history is made of, from its seed alone.

use std::time::Duration;

use seawall_devstack::Direction;

use crate::random::Random;

/// Nodes are numbered as in the pool: the primary is 0.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// A replica's replay stands still.
    Pause(usize),
    /// The same, over and over, so that it stands still at many places.
    Pulse(usize),
    /// All connections to a node are reset.
    Reset(usize),
    /// Nothing gets through to a node, or back, or both.
    Hole(usize, Direction),
    /// Each way to a node and back takes longer.
    Slow(usize),
    /// A replica gets no log.
    Cut(usize),
    /// A node is killed, and started again afterwards.
    Kill(usize),
    /// An administrator ends the pool's sessions on a node.
    Terminate(usize),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) at: Duration,
    pub(crate) lasts: Duration,
    pub(crate) fault: Fault,
}

/// How another node becomes the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promotion {
    /// The primary is killed; the replica that has most is promoted.
    Kill,
    /// The primary is cut off from pool and replicas, lives, and is back later.
    Isolate,
    /// The primary is shut down in order, so that the replicas have all.
    Stop,
    /// The primary is killed, and commits had waited for the replica that is promoted.
    Synchronous,
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) sessions: usize,
    pub(crate) lasts: Duration,
    pub(crate) steps: Vec<Step>,
    pub(crate) promotion: Option<(Duration, Promotion)>,
    /// How many times longer everything takes than on a machine with nothing else to do.
    pub(crate) slowness: f64,
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let how = match random.below(8) {
            0 => Some(Promotion::Kill),
            1 => Some(Promotion::Isolate),
            2 => Some(Promotion::Stop),
            3 => Some(Promotion::Synchronous),
            _ => None,
        };
        let lasts = random.millis(700, 1_100);
        let promotion = how.map(|how| (random.millis(200, 400), how));
        let mut killed = [promotion.is_some(); 3];
        let mut steps = Vec::new();
        for _ in 0..2 + random.below(5) {
            let step = Step {
                at: random.millis(0, 600),
                lasts: random.millis(20, 300),
                fault: fault(&mut random),
            };
            if let Fault::Kill(node) = step.fault
                && std::mem::replace(&mut killed[node], true)
            {
                continue;
            }
            steps.push(step);
        }
        if random.percent(60) {
            let fault = Fault::Pulse(1 + random.below(2));
            steps.push(Step { at: Duration::ZERO, lasts, fault });
        }
        steps.sort_by_key(|step| step.at);
        Self { seed, sessions: 3 + random.below(4), lasts, steps, promotion, slowness: 1.0 }
    }

    /// The same on a slower machine: as much happens between two faults, in more time.
    pub(crate) fn slowed(mut self, slowness: f64) -> Self {
        self.lasts = self.lasts.mul_f64(slowness);
        for step in &mut self.steps {
            step.at = step.at.mul_f64(slowness);
            step.lasts = step.lasts.mul_f64(slowness);
        }
        if let Some((at, _)) = &mut self.promotion {
            *at = at.mul_f64(slowness);
        }
        self.slowness = slowness;
        self
    }
}

fn fault(random: &mut Random) -> Fault {
    let replica = 1 + random.below(2);
    let node = random.below(3);
    match random.below(10) {
        0..3 => Fault::Pause(replica),
        3 => Fault::Reset(node),
        4 => Fault::Hole(node, Direction::ToServer),
        5 => Fault::Hole(node, Direction::ToClient),
        6 => Fault::Slow(node),
        7 => Fault::Cut(replica),
        8 => Fault::Kill(node),
        _ => Fault::Terminate(node),
    }
}
