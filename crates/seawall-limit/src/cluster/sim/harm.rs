//! What goes wrong, and what the documentation says that it may add.

use rand::Rng as _;

use super::world::{KEYS, NODES, Node, What, World, fresh};

impl World {
    pub(super) fn harm(&mut self, node: usize) {
        if self.faults.crashes && self.random.random_bool(0.01) {
            let life = self.nodes[node].life + NODES as u64;
            self.nodes[node] = Node { keys: fresh(), behind: 0, cut_off: false, life };
        }
        if self.faults.losses && self.random.random_bool(0.02) {
            self.nodes[node].cut_off = !self.nodes[node].cut_off;
        }
        if self.faults.jumps && self.random.random_bool(0.005) {
            // It may spend what it holds, but later: stated.
            let (now, spend) = (self.local(node), self.spend);
            for key in 0..KEYS {
                self.judges[key].pot += self.nodes[node].keys[key].held(now, spend);
                self.judges[key].pot += self.coming(node, key);
            }
            let halt = self.random.random_range(0..20_000_000);
            self.time += halt;
            self.nodes[node].behind += halt;
        }
        if self.faults.failovers {
            self.failover();
        }
    }

    fn failover(&mut self) {
        if self.random.random_bool(0.05) {
            self.replica = (self.redis.clone(), [0; KEYS]);
        }
        if !self.random.random_bool(0.004) {
            return;
        }
        self.epoch += 1;
        self.redis = self.replica.0.clone();
        let before = self.redis_ahead;
        self.redis_ahead = self.random.random_range(0..30_000_000);
        let forward = self.redis_ahead.saturating_sub(before);
        let (law, returns) = (self.spec.laws[0], &self.mail);
        for (key, judge) in self.judges.iter_mut().enumerate() {
            // What the replica had not heard of, and what its clock says has refilled.
            judge.pot += self.replica.1[key] + forward.div_ceil(law.emission);
            // Returns on their way name the other server's time.
            let late = returns.iter().filter(|mail| mail.key == key);
            judge.pot += late
                .map(|mail| match &mail.what {
                    What::Return { grant, .. } => u64::from(grant.left),
                    _ => 0,
                })
                .sum::<u64>();
        }
        for node in 0..NODES {
            let now = self.local(node);
            for key in 0..KEYS {
                // So do those that are still to come.
                self.judges[key].pot += self.nodes[node].keys[key].held(now, self.spend);
                self.judges[key].pot += self.coming(node, key);
            }
        }
        self.replica = (self.redis.clone(), [0; KEYS]);
    }

    /// Units on their way to a node.
    fn coming(&self, node: usize, key: usize) -> u64 {
        let all = self.mail.iter().filter(|mail| mail.node == node && mail.key == key);
        all.map(|mail| match &mail.what {
            What::Ask { want, .. } => u64::from(want.need + want.want),
            What::Answer { answer, .. } => u64::from(answer.granted),
            What::Return { .. } => 0,
        })
        .sum()
    }
}
