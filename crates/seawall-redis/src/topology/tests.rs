//! Views of a cluster, one after the other.

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
    for line in ["", "a", "a b", "a b master", "a b master - 0 0 1 connected 0-5", "-ERR x y z"] {
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
    let failed_over =
        moved.replace("b2 10.0.0.2:7000@17000,two.example master", "b2 10.0.0.9:7000@17000 master");
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
    // Twice as many as there may be indexes.
    for pod in 0..600 {
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

#[test]
fn two_masters_that_each_say_it_is_the_others_take_no_memory() {
    let (topology, _) = known(THREE);
    for _ in 0..1_000 {
        topology.correct(1, 1);
        topology.correct(1, 0);
    }
    assert_eq!(topology.nodes.read().gave, [0, 1]);
    let change = topology.update(&masters(THREE, &asked()));
    assert_eq!(change, Change { gave_slots: vec![0, 1], ..Change::default() });
}
