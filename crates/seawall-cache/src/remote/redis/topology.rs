//! Which node serves which key: one node, or the masters of a cluster.

use std::sync::atomic::{AtomicU32, Ordering};

use fred::types::config::Server;
use fred::util::redis_keyslot;
use parking_lot::RwLock;
use tokio::time::Instant;

/// A master of a cluster and the slots it serves, first and last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Master {
    pub(super) server: Server,
    /// Its address by number, if that is another: nodes may name it either way.
    pub(super) ip: Option<Box<str>>,
    pub(super) slots: Vec<(u16, u16)>,
}

/// Which node serves which key. A look-up takes one hash and one load, and no lock.
///
/// A node's index belongs to its address; it is not used again for another for a long time.
/// Without a cluster there is one node, 0, whichever server that is.
#[derive(Debug)]
pub(super) struct Topology {
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
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// Masters that were none before.
    pub(super) joined: Vec<u32>,
    /// Nodes that are masters no more.
    pub(super) left: Vec<u32>,
    /// Nodes that lost slots to others, those that left included.
    pub(super) gave_slots: Vec<u32>,
}

impl Topology {
    /// One node, 0.
    pub(super) fn single() -> Self {
        Self { owners: Box::default(), nodes: RwLock::default(), moved: RwLock::default() }
    }

    /// A cluster of which nothing is known yet: all slots are node 0's, the first master's.
    pub(super) fn cluster() -> Self {
        let owners = (0..SLOTS).map(|_| AtomicU32::new(0)).collect();
        Self { owners, nodes: RwLock::default(), moved: RwLock::default() }
    }

    pub(super) fn is_cluster(&self) -> bool {
        !self.owners.is_empty()
    }

    /// The node that serves the whole key `key`, prefix included.
    pub(super) fn node(&self, key: &[u8]) -> u32 {
        if self.owners.is_empty() {
            return 0;
        }
        self.owner(redis_keyslot(key))
    }

    fn owner(&self, slot: u16) -> u32 {
        self.owners.get(usize::from(slot)).map_or(0, |owner| owner.load(Ordering::Relaxed))
    }

    /// Whether no slot is known to have changed hands since `moment`.
    pub(super) fn settled_since(&self, moment: Instant) -> bool {
        self.moved.read().is_none_or(|moved| moved < moment)
    }

    /// The nodes that serve slots; without a cluster only 0.
    pub(super) fn serving(&self) -> Vec<u32> {
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
    pub(super) fn masters(&self) -> Vec<u32> {
        if self.is_cluster() { self.nodes.read().masters.clone() } else { vec![0] }
    }

    /// The address of a node of a cluster.
    pub(super) fn server(&self, node: u32) -> Option<Server> {
        self.nodes.read().servers.get(node as usize).cloned()
    }

    /// The master that a node named: `asked` did, and means itself by no host.
    pub(super) fn find(&self, host: &str, port: u16, asked: u32) -> Option<u32> {
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
    pub(super) fn correct(&self, slot: u16, node: u32) {
        let Some(owner) = self.owners.get(usize::from(slot)) else { return };
        let mut nodes = self.nodes.write();
        let giver = owner.swap(node, Ordering::Relaxed);
        if giver != node {
            nodes.gave.push(giver);
            *self.moved.write() = Some(Instant::now());
        }
    }

    /// The nodes that the masters of a view are or will be, before it is taken over.
    pub(super) fn indexes(&self, masters: &[Master]) -> Vec<u32> {
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
    pub(super) fn update(&self, masters: &[Master]) -> Change {
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
    pub(super) fn key_on(&self, node: u32, prefix: &str) -> Option<String> {
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
pub(super) fn masters(nodes: &str, asked: &Server) -> Vec<Master> {
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
mod tests {
    use super::*;

    const THREE: &str = "\
a1 10.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-5460 [77->-b2]
b2 10.0.0.2:7000@17000,two.example master - 0 1 2 connected 5461-10921
c3 10.0.0.3:7000@17000,,shard-id=9 master - 0 1 3 connected 10922-16382 16383
d4 10.0.0.4:7000@17000 slave a1 0 1 1 connected
e5 10.0.0.5:7000@17000 master - 0 1 0 connected
f6 10.0.0.6:7000@17000 master,fail - 1 1 0 disconnected
g7 :0@0 master,noaddr - 1 1 0 disconnected
";

    fn asked() -> Server {
        Server::new("10.0.0.1", 7000)
    }

    fn known(text: &str) -> (Topology, Change) {
        let topology = Topology::cluster();
        let change = topology.update(&masters(text, &asked()));
        (topology, change)
    }

    #[test]
    fn masters_are_read_with_and_without_slots() {
        let found = masters(THREE, &asked());
        let servers: Vec<String> = found.iter().map(|it| it.server.to_string()).collect();
        let expected = ["10.0.0.1:7000", "two.example:7000", "10.0.0.3:7000", "10.0.0.5:7000"];
        assert_eq!(servers, expected);
        assert_eq!(found[0].slots, [(0, 5460)], "a slot on its way is still the giver's");
        assert_eq!(found[2].slots, [(10922, 16382), (16383, 16383)]);
        assert_eq!(found[3].slots, []);
    }

    #[test]
    fn a_node_that_does_not_know_its_address_has_the_one_that_was_asked() {
        let found = masters("a1 :7000@17000 myself,master - 0 0 1 connected 0-16383\n", &asked());
        assert_eq!(found[0].server, asked());
    }

    #[test]
    fn garbage_is_no_master() {
        for line in ["", "a", "a b", "a b master", "a b master - 0 0 1 connected 0-5", "-ERR x y z"]
        {
            assert_eq!(masters(line, &asked()), [], "{line}");
        }
        let odd = "a1 h:1@2 master - 0 0 1 connected 9-3 70000 0-16384 5 x-y\n";
        assert_eq!(masters(odd, &asked())[0].slots, [(5, 5)]);
    }

    #[test]
    fn keys_go_where_their_slot_is() {
        let (topology, change) = known(THREE);
        assert_eq!(change.joined, [0, 1, 2, 3]);
        assert_eq!((change.left, change.gave_slots), (vec![], vec![]));
        // Slots 5061, 12182 and 866, as Redis has it.
        assert_eq!(topology.node(b"bar"), 0);
        assert_eq!(topology.node(b"foo"), 2);
        assert_eq!(topology.node(b"hello"), 0);
        assert_eq!(Topology::single().node(b"foo"), 0);
    }

    #[test]
    fn a_moved_slot_and_a_failover_are_told_and_indexes_stay() {
        let (topology, _) = known(THREE);
        let moved = THREE
            .replace("0-5460 ", "1-5460 ")
            .replace("master - 0 1 0 connected", "master - 0 1 0 connected 0");
        let change = topology.update(&masters(&moved, &asked()));
        assert_eq!(change, Change { gave_slots: vec![0], ..Change::default() });
        let failed_over = moved
            .replace("b2 10.0.0.2:7000@17000,two.example master", "b2 10.0.0.9:7000@17000 master");
        let change = topology.update(&masters(&failed_over, &asked()));
        assert_eq!(change, Change { joined: vec![4], left: vec![1], gave_slots: vec![1] });
        assert_eq!(topology.masters(), [0, 4, 2, 3]);
        let back = topology.update(&masters(&moved, &asked()));
        assert_eq!(back, Change { joined: vec![1], left: vec![4], gave_slots: vec![4] });
    }

    #[test]
    fn a_slot_that_a_node_says_has_moved_is_its_new_masters_and_told_with_the_next_view() {
        let (topology, _) = known(THREE);
        let before = Instant::now();
        assert!(topology.settled_since(before));
        assert_eq!(topology.find("10.0.0.5", 7000, 0), Some(3));
        assert_eq!(topology.find("two.example", 7000, 0), Some(1));
        assert_eq!(topology.find("10.0.0.2", 7000, 0), Some(1), "by its number as well");
        assert_eq!(topology.find("", 7000, 2), Some(2), "the one that was asked");
        assert_eq!(topology.find("10.0.0.5", 7001, 0), None);
        assert_eq!(topology.find("10.0.0.4", 7000, 0), None, "a replica");
        topology.correct(redis_keyslot(b"bar"), 3);
        assert_eq!((topology.node(b"bar"), topology.node(b"hello")), (3, 0));
        assert!(!topology.settled_since(before));
        assert_eq!(topology.serving(), [0, 1, 2, 3]);
        let moved = THREE
            .replace("0-5460 ", "0-5060 5062-5460 ")
            .replace("master - 0 1 0 connected", "master - 0 1 0 connected 5061");
        let change = topology.update(&masters(&moved, &asked()));
        assert_eq!(change, Change { gave_slots: vec![0], ..Change::default() });
        assert_eq!(topology.update(&masters(&moved, &asked())), Change::default(), "once");
        // A view from before: it goes back, and so does what was told.
        let change = topology.update(&masters(THREE, &asked()));
        assert_eq!(change, Change { gave_slots: vec![3], ..Change::default() });
        assert_eq!(topology.serving(), [0, 1, 2]);
        assert_eq!(Topology::single().serving(), [0]);
    }

    #[test]
    fn the_indexes_of_pods_that_come_and_go_stay_small() {
        let topology = Topology::cluster();
        for pod in 0..5_000 {
            let nodes = format!(
                "a h{pod}:1@2 master - 0 0 1 connected 0-99\nb h{}:1@2 master - 0 0 1 connected 100-16383",
                pod + 1
            );
            let found = masters(&nodes, &asked());
            let indexes = topology.indexes(&found);
            let change = topology.update(&found);
            assert_eq!(topology.masters(), indexes);
            assert_eq!(
                (change.joined.len(), change.left.len()),
                (1 + usize::from(pod == 0), usize::from(pod > 0))
            );
            let [first, second] = topology.masters()[..] else { panic!("two") };
            assert!(first != second && first < 300 && second < 300);
            assert_eq!(topology.server(second).expect("known").host, format!("h{}", pod + 1));
        }
    }

    #[test]
    fn a_view_without_slots_changes_nothing() {
        let (topology, _) = known(THREE);
        let lost = "a1 10.0.0.1:7000@17000 myself,master - 0 0 0 connected\n";
        assert_eq!(topology.update(&masters(lost, &asked())), Change::default());
        assert_eq!(topology.masters(), [0, 1, 2, 3]);
        assert_eq!(topology.update(&[]), Change::default());
    }

    #[test]
    fn each_node_with_slots_has_a_key_of_its_own() {
        let (topology, _) = known(THREE);
        for node in 0..3 {
            let key = topology.key_on(node, "seawall:#canary").expect("it serves slots");
            assert_eq!(topology.node(key.as_bytes()), node);
        }
        assert_eq!(topology.key_on(3, "seawall:#canary"), None);
        assert_eq!(Topology::single().key_on(0, "k").as_deref(), Some("k0"));
    }
}
