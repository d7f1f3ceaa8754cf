//! Which node serves which key: one node, or the masters of a cluster.

use std::sync::atomic::{AtomicU32, Ordering};

use fred::types::config::Server;
use fred::util::redis_keyslot;
use parking_lot::RwLock;
use tokio::time::Instant;

/// A master of a cluster and the slots it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Master {
    /// Its address, by name if it has one.
    pub(crate) server: Server,
    /// Its address by number, if that is another: nodes may name it either way.
    pub(crate) ip: Option<Box<str>>,
    /// First and last.
    pub(crate) slots: Vec<(u16, u16)>,
}

/// Which node serves which key. A look-up takes one hash and one load, and no lock.
///
/// A node's index belongs to its address; it is not used again for another for a long time.
/// Without a cluster there is one node, 0, whichever server that is.
#[derive(Debug)]
pub struct Topology {
    /// Node by slot; empty without a cluster.
    owners: Box<[AtomicU32]>,
    nodes: RwLock<Nodes>,
    /// When a slot last got another owner.
    moved: RwLock<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Nodes {
    /// By index, those that left too.
    servers: Vec<Server>,
    ips: Vec<Option<Box<str>>>,
    masters: Vec<u32>,
    /// Those that lost slots by [`correct`](Topology::correct) since the last view.
    gave: Vec<u32>,
    /// By masters, before or now, while a view is taken over.
    taken: Vec<u32>,
}

/// What a new view of the cluster changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Masters that were none before.
    pub joined: Vec<u32>,
    /// Nodes that are masters no more.
    pub left: Vec<u32>,
    /// Nodes that lost slots to others, those that left included.
    pub gave_slots: Vec<u32>,
}

impl Topology {
    /// One node, 0.
    #[must_use]
    pub fn single() -> Self {
        Self { owners: Box::default(), nodes: RwLock::default(), moved: RwLock::default() }
    }

    /// A cluster of which nothing is known yet: all slots are node 0's, the first master's.
    #[must_use]
    pub fn cluster() -> Self {
        let owners = (0..SLOTS).map(|_| AtomicU32::new(0)).collect();
        Self { owners, nodes: RwLock::default(), moved: RwLock::default() }
    }

    /// Whether there are several nodes, or could be.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        !self.owners.is_empty()
    }

    /// The node that serves the whole key `key`, prefix included.
    #[must_use]
    pub fn node(&self, key: &[u8]) -> u32 {
        if self.owners.is_empty() {
            return 0;
        }
        self.owner(redis_keyslot(key))
    }

    fn owner(&self, slot: u16) -> u32 {
        self.owners.get(usize::from(slot)).map_or(0, |owner| owner.load(Ordering::Relaxed))
    }

    /// Whether no slot is known to have changed hands since `moment`.
    #[must_use]
    pub fn settled_since(&self, moment: Instant) -> bool {
        self.moved.read().is_none_or(|moved| moved < moment)
    }

    /// The nodes that serve slots; without a cluster only 0.
    #[must_use]
    pub fn serving(&self) -> Vec<u32> {
        let mut masters = self.masters();
        if self.is_cluster() {
            let mut serves = vec![false; self.nodes.read().servers.len()];
            for owner in &self.owners {
                if let Some(serves) = serves.get_mut(owner.load(Ordering::Relaxed) as usize) {
                    *serves = true;
                }
            }
            masters.retain(|node| serves.get(*node as usize).is_some_and(|serves| *serves));
        }
        masters
    }

    /// The masters, by index; without a cluster only 0.
    pub(crate) fn masters(&self) -> Vec<u32> {
        if self.is_cluster() { self.nodes.read().masters.clone() } else { vec![0] }
    }

    /// The address of a node of a cluster.
    #[must_use]
    pub fn server(&self, node: u32) -> Option<Server> {
        self.nodes.read().servers.get(node as usize).cloned()
    }

    /// The master that a node named: `asked` did, and means itself by no host.
    pub(crate) fn find(&self, host: &str, port: u16, asked: u32) -> Option<u32> {
        let nodes = self.nodes.read();
        let host = if host.is_empty() { &*nodes.servers.get(asked as usize)?.host } else { host };
        let is = |node: &u32| {
            let index = *node as usize;
            let ip = nodes.ips.get(index).and_then(Option::as_deref);
            nodes.servers.get(index).is_some_and(|server| {
                server.port == port && (*server.host == *host || ip == Some(host))
            })
        };
        nodes.masters.iter().copied().find(is)
    }

    /// A node said that `slot` is `node`'s. Who had it is told of with the next view.
    pub(crate) fn correct(&self, slot: u16, node: u32) {
        let Some(owner) = self.owners.get(usize::from(slot)) else { return };
        let mut nodes = self.nodes.write();
        let giver = owner.swap(node, Ordering::Relaxed);
        if giver != node {
            // Once: two that each say it is the other's could go on for as long as no view comes.
            if !nodes.gave.contains(&giver) {
                nodes.gave.push(giver);
            }
            *self.moved.write() = Some(Instant::now());
        }
    }

    /// The nodes that the masters of a view are or will be, before it is taken over.
    pub(crate) fn indexes(&self, masters: &[Master]) -> Vec<u32> {
        let mut nodes = self.nodes.write();
        let before = nodes.masters.clone();
        nodes.taken = before;
        let index = |master| {
            let node = nodes.index(master);
            nodes.taken.push(node);
            node
        };
        masters.iter().map(index).collect()
    }

    /// Takes over a new view. A view without any slot changes nothing: it is that of a node that
    /// does not know its cluster yet.
    pub(crate) fn update(&self, masters: &[Master]) -> Change {
        if !self.is_cluster() || masters.iter().all(|master| master.slots.is_empty()) {
            return Change::default();
        }
        let mut nodes = self.nodes.write();
        let before = std::mem::take(&mut nodes.masters);
        nodes.taken.clone_from(&before);
        let (mut gave_slots, mut moved) = (std::mem::take(&mut nodes.gave), false);
        gave_slots.retain(|giver| before.contains(giver));
        for master in masters {
            let node = nodes.index(master);
            nodes.masters.push(node);
            nodes.taken.push(node);
            for slot in master.slots.iter().flat_map(|(first, last)| *first..=*last) {
                let Some(owner) = self.owners.get(usize::from(slot)) else { continue };
                let giver = owner.swap(node, Ordering::Relaxed);
                moved |= giver != node;
                if giver != node && before.contains(&giver) {
                    gave_slots.push(giver);
                }
            }
        }
        if moved {
            *self.moved.write() = Some(Instant::now());
        }
        gave_slots.sort_unstable();
        gave_slots.dedup();
        let (old, new) = (&before, &nodes.masters);
        Change {
            joined: new.iter().copied().filter(|node| !old.contains(node)).collect(),
            left: old.iter().copied().filter(|node| !new.contains(node)).collect(),
            gave_slots,
        }
    }

    /// A key of the form `prefix` and a number, in a slot that `node` serves. `None` if it serves
    /// none.
    #[must_use]
    pub fn key_on(&self, node: u32, prefix: &str) -> Option<String> {
        let key = |number: usize| format!("{prefix}{number}");
        if !self.is_cluster() {
            return Some(key(0));
        }
        // As many tries as nearly always find one of a hundred slots.
        let serves = self.owners.iter().any(|owner| owner.load(Ordering::Relaxed) == node);
        let tries = if serves { 16 * usize::from(SLOTS) } else { 0 };
        (0..tries).map(key).find(|key| self.node(key.as_bytes()) == node)
    }
}

impl Nodes {
    /// The index of an address, a new one if it is new. Once there are many, those of masters that
    /// left are used again: nothing of what they told is relied on any more.
    fn index(&mut self, master: &Master) -> u32 {
        let server = &master.server;
        let index = if let Some(known) = self.servers.iter().position(|known| known == server) {
            known
        } else if let Some(free) = self.free() {
            self.servers[free] = server.clone();
            free
        } else {
            self.servers.push(server.clone());
            self.ips.push(None);
            self.servers.len() - 1
        };
        self.ips[index].clone_from(&master.ip);
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    fn free(&self) -> Option<usize> {
        let free = |index: &usize| !self.taken.contains(&(*index as u32));
        (0..self.servers.len()).find(free).filter(|_| self.servers.len() >= MANY)
    }
}

/// The masters in an answer to `CLUSTER NODES` from `asked`, those without slots included, those
/// that have failed or are not reached yet left out unless they serve slots.
pub(crate) fn masters(nodes: &str, asked: &Server) -> Vec<Master> {
    nodes.lines().filter_map(|line| master(line, asked)).collect()
}

/// `id ip:port@bus[,hostname] flags master ping pong epoch link slot slot-slot [slot->-id]..`
fn master(line: &str, asked: &Server) -> Option<Master> {
    let mut words = line.split_ascii_whitespace();
    let (_, address, flags) = (words.next()?, words.next()?, words.next()?);
    let has = |flag: &str| flags.split(',').any(|it| it == flag);
    if !has("master") {
        return None;
    }
    let slots: Vec<(u16, u16)> = words.skip(5).filter_map(slots).collect();
    if slots.is_empty() && ["fail", "fail?", "handshake", "noaddr"].iter().any(|it| has(it)) {
        return None;
    }
    let (address, names) = address.split_once(',').unwrap_or((address, ""));
    let address = address.split('@').next()?;
    let (ip, port) = address.rsplit_once(':')?;
    let hostname = names.split(',').next().filter(|name| !name.is_empty() && !name.contains('='));
    // As fred takes them from CLUSTER SLOTS: the name if there is one, else the address, else the
    // one that was asked, which knows itself by none.
    let host = hostname.or(Some(ip).filter(|ip| !ip.is_empty())).unwrap_or(&asked.host);
    let other = Some(ip).filter(|ip| !ip.is_empty() && *ip != host).map(Into::into);
    Some(Master { server: Server::new(host.to_owned(), port.parse().ok()?), ip: other, slots })
}

/// `7`, `0-5460`; not `[7->-id]`, which is on its way.
fn slots(word: &str) -> Option<(u16, u16)> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && last < SLOTS).then_some((first, last))
}

const SLOTS: u16 = 16_384;

/// Addresses, as of pods that come and go.
const MANY: usize = 256;

#[cfg(test)]
mod tests;
