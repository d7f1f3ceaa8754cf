//! Several caches over a real cluster: what they serve while slots move and links break.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use seawall_cache::{Guarded, Layer, Redis, RedisConfig};
use seawall_devstack::{RedisCluster, Reply, Stack};
use tokio::time::{Instant, sleep};

use crate::cluster::id;
use crate::tracking::Event::{Changed, Link, Lost};
use crate::tracking::{HEARTBEAT, Told, watch};
use crate::{Numbers, OriginDown, cache, config, load, until};

async fn cluster() -> Stack {
    Stack::builder().redis_cluster().start().await.expect("redis-server is installed")
}

/// One node of a service: its connection, its cache, and an ear beside it.
struct Node {
    guarded: Guarded,
    numbers: Numbers,
    told: Arc<Told>,
}

impl Node {
    async fn new(cluster: &RedisCluster) -> Self {
        let config = RedisConfig {
            heartbeat: HEARTBEAT,
            reconnect_max_delay: Duration::from_millis(250),
            ..config(cluster.url())
        };
        let redis = Redis::connect(config).await.expect("it is up");
        let (told, _) = watch(&redis);
        Self { numbers: cache(&redis), guarded: redis.into(), told }
    }

    fn node(&self, key: u64) -> u32 {
        self.guarded.node(&format!("numbers:{key}"))
    }

    /// Where `key` is cached, and as what.
    async fn cached(&self, key: u64) -> (Layer, u64) {
        let got = self.numbers.get_or_load(&key, |_| async { Err::<u64, _>(OriginDown) }).await;
        let got = got.expect("cached");
        (got.layer, got.value.as_deref().copied().expect("a number"))
    }
}

/// As Redis has it: CRC16, XMODEM.
fn slot(key: &str) -> u16 {
    let mut crc = 0_u16;
    for byte in key.bytes() {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
        }
    }
    crc % 16_384
}

/// What a slot is given away by, step by step.
struct Move<'a> {
    cluster: &'a RedisCluster,
    slot: String,
    ids: Vec<String>,
}

impl Move<'_> {
    async fn set(&self, node: usize, words: &[&str]) {
        let words = [&["CLUSTER", "SETSLOT", self.slot.as_str()], words].concat();
        self.cluster.nodes()[node].command(&words).await.expect("moves");
    }

    async fn keys(&self, node: usize) -> Vec<String> {
        let words = ["CLUSTER", "GETKEYSINSLOT", &self.slot, "100"];
        let keys = self.cluster.nodes()[node].command(&words).await.expect("up");
        let Reply::Array(keys) = keys else { panic!("an array") };
        keys.iter().filter_map(Reply::text).collect()
    }

    /// Key by key, with `pause` in between.
    async fn give(&self, from: usize, to: usize, pause: Duration) {
        self.set(to, &["IMPORTING", &self.ids[from]]).await;
        self.set(from, &["MIGRATING", &self.ids[to]]).await;
        sleep(pause).await;
        let port = self.cluster.nodes()[to].port().to_string();
        loop {
            let keys = self.keys(from).await;
            if keys.is_empty() {
                break;
            }
            for key in &keys {
                let words = ["MIGRATE", "127.0.0.1", &port, key, "0", "5000"];
                let moved = self.cluster.nodes()[from].command(&words).await;
                assert!(moved.is_ok(), "{moved:?}");
                sleep(pause).await;
            }
        }
        for node in [to, from, 3 - from - to] {
            self.set(node, &["NODE", &self.ids[to]]).await;
            sleep(pause).await;
        }
    }
}

/// How often a server answered with an error.
async fn errors(server: &seawall_devstack::Redis, word: &str) -> u64 {
    let stats = server.command(&["INFO", "errorstats"]).await.expect("up").text().expect("text");
    let line = format!("errorstat_{word}:count=");
    let count = stats.lines().find_map(|it| it.strip_prefix(&line)?.trim().parse().ok());
    count.unwrap_or(0)
}

#[tokio::test]
async fn a_slot_moves_under_traffic_and_nobody_reads_what_was_before() {
    const KEYS: usize = 6;
    let stack = cluster().await;
    let cluster = stack.redis_cluster().expect("asked for");
    let (a, b, c) = (Node::new(cluster).await, Node::new(cluster).await, Node::new(cluster).await);
    let moving = slot("seawall:numbers:1");
    let keys: Vec<u64> =
        (1..).filter(|key| slot(&format!("seawall:numbers:{key}")) == moving).take(KEYS).collect();
    let from = usize::from(moving) * 3 / 16_384;
    let to = (from + 1) % 3;
    let mut ids = Vec::new();
    for node in cluster.nodes() {
        ids.push(id(node).await);
    }
    let moves = Move { cluster, slot: moving.to_string(), ids };

    // What the origin has, and what of it L2 has acknowledged.
    let origin: Vec<Arc<AtomicU64>> = keys.iter().map(|_| Arc::default()).collect();
    let acknowledged: Vec<Cell<u64>> = keys.iter().map(|_| Cell::new(0)).collect();
    let over = Cell::new(false);
    let (partial, reads) = (Cell::new(0_u64), Cell::new(0_u64));
    // Every other change is a set, the others are removals.
    let write = async |index: usize| {
        let node = if index.is_multiple_of(2) { &a } else { &c };
        while !over.get() {
            let next = origin[index].fetch_add(1, Relaxed) + 1;
            let written = if next.is_multiple_of(2) {
                node.numbers.set(&keys[index], next).await
            } else {
                node.numbers.remove(&keys[index]).await
            };
            if written.is_partial() {
                partial.set(partial.get() + 1);
            } else {
                acknowledged[index].set(next);
            }
            sleep(Duration::from_millis(3)).await;
        }
    };
    let read = async |node: &Node, index: usize| {
        let origin = Arc::clone(&origin[index]);
        let got = node.numbers.get_or_load(&keys[index], |_| async move {
            Ok::<_, OriginDown>(origin.load(Relaxed))
        });
        reads.set(reads.get() + 1);
        got.await.expect("the origin is there").value.as_deref().copied().expect("a number")
    };
    // On the node that wrote, at once.
    let own = async |index: usize| {
        let node = if index.is_multiple_of(2) { &a } else { &c };
        while !over.get() {
            let least = acknowledged[index].get();
            let got = read(node, index).await;
            assert!(got >= least, "its own write {least} of {index}, and then {got}");
            sleep(Duration::from_millis(1)).await;
        }
    };
    // On another, as soon as all that was acknowledged has been told.
    let told = async || {
        while !over.get() {
            let least: Vec<u64> = acknowledged.iter().map(Cell::get).collect();
            b.told.is_complete().await;
            for (index, least) in least.into_iter().enumerate() {
                let got = read(&b, index).await;
                assert!(got >= least, "{least} of {index} was told, and then {got}");
            }
        }
    };
    // And in between, so that there is something in its L1 to go stale.
    let warm = async || {
        while !over.get() {
            for index in 0..KEYS {
                read(&b, index).await;
            }
            sleep(Duration::from_millis(1)).await;
        }
    };
    let there_and_back = async {
        let pause = Duration::from_millis(15);
        for _ in 0..4 {
            moves.give(from, to, pause).await;
            sleep(pause * 4).await;
            moves.give(to, from, pause).await;
            sleep(pause * 4).await;
        }
        over.set(true);
    };
    let writers = futures_util::future::join_all((0..KEYS).map(&write));
    let readers = futures_util::future::join_all((0..KEYS).map(&own));
    tokio::join!(writers, readers, told(), warm(), there_and_back);

    let total: u64 = acknowledged.iter().map(Cell::get).sum();
    println!("{} reads, writes up to {total}, {} partial", reads.get(), partial.get());
    let (asked, moved) = (
        errors(&cluster.nodes()[from], "ASK").await,
        errors(&cluster.nodes()[from], "MOVED").await,
    );
    println!("{asked} ASK, {moved} MOVED");
    assert!(asked > 0 && moved > 0);
    assert!(partial.get() * 10 <= total, "most writes are acknowledged all the while");
    assert!(a.guarded.nodes().iter().all(|node| !node.breaker_open));
    // No invalidation was lost on the way.
    for node in [&a, &b, &c] {
        until("all removals are through", || async { node.guarded.status().pending == 0 }).await;
    }
    for index in 0..KEYS {
        let last = origin[index].fetch_add(1, Relaxed) + 1;
        assert!(!a.numbers.set(&keys[index], last).await.is_partial());
    }
    b.told.is_complete().await;
    c.told.is_complete().await;
    for (index, origin) in origin.iter().enumerate() {
        for node in [&a, &b, &c] {
            assert_eq!(node.cached(keys[index]).await.1, origin.load(Relaxed));
        }
    }
}

/// Case 17.
#[tokio::test]
async fn after_a_cut_link_nothing_stale_is_hit_and_other_masters_entries_stay() {
    const KEYS: u64 = 300;
    let stack = cluster().await;
    let cluster = stack.redis_cluster().expect("asked for");
    let server = &cluster.nodes()[1];
    let tracking = async || {
        let clients = server.command(&["CLIENT", "LIST"]).await.expect("up").text().expect("text");
        let tracks = clients.lines().filter(|client| {
            let flags = client.split(' ').find_map(|it| it.strip_prefix("flags="));
            flags.is_some_and(|flags| flags.contains('t'))
        });
        let ids = tracks.filter_map(|client| client.split(' ').next()?.strip_prefix("id="));
        ids.map(str::to_owned).collect::<Vec<_>>()
    };
    let a = Node::new(cluster).await;
    let others = tracking().await;
    assert_eq!(others.len(), 1);
    let b = Node::new(cluster).await;
    for key in 0..KEYS {
        assert!(!load(&b.numbers, key, 1).await.degraded);
    }
    b.told.is_complete().await;
    for key in 0..KEYS {
        assert_eq!(b.cached(key).await, (Layer::L1, 1));
    }
    let text = crate::cluster::texts(cluster).await.swap_remove(1);
    let node = b.guarded.node(&text);
    let (mine, unaffected): (Vec<u64>, Vec<u64>) = (0..KEYS).partition(|key| b.node(*key) == node);
    assert!(mine.len() > 50 && unaffected.len() > 100);
    b.told.clear();

    let started = Instant::now();
    let cut = async {
        let mut cuts = 0;
        while started.elapsed() < Duration::from_secs(2) || cuts < 2 {
            assert!(started.elapsed() < Duration::from_secs(60), "{cuts} cuts");
            for id in tracking().await.iter().filter(|id| !others.contains(id)) {
                cuts += u32::from(server.command(&["CLIENT", "KILL", "ID", id]).await.is_ok());
            }
            sleep(Duration::from_millis(5)).await;
        }
        cuts
    };
    let written: Vec<u64> = mine.iter().copied().cycle().take(100).collect();
    let write = async {
        for (round, key) in written.iter().enumerate() {
            let number = 1_000 + round as u64;
            assert!(!a.numbers.set(key, number).await.is_partial());
            sleep(Duration::from_millis(18)).await;
        }
    };
    let (cuts, ()) = tokio::join!(cut, write);
    println!("cut {cuts} times");
    // Up for good.
    let before = Instant::now();
    b.told.hears(Link(node, false)).await;
    until("the link is up again", || async {
        let last = b.told.events().into_iter().rev().find(|it| matches!(it, Link(..)));
        last == Some(Link(node, true))
    })
    .await;
    b.told.is_complete().await;
    println!("up after {:?}", before.elapsed());
    for (round, key) in written.iter().enumerate() {
        let last = written.iter().rposition(|it| it == key);
        if last == Some(round) {
            let (_, got) = b.cached(*key).await;
            assert_eq!(got, 1_000 + round as u64, "of key {key}");
        }
    }
    for key in &unaffected {
        assert_eq!(b.cached(*key).await, (Layer::L1, 1), "of another master");
        assert!(!b.told.has(&Lost(Some(b.node(*key)))));
    }
    // And what was not written meanwhile has been compared, not read again.
    for key in mine.iter().filter(|key| !written.contains(key)) {
        assert_eq!(b.cached(*key).await.1, 1);
    }
}

/// Case 18.
#[tokio::test]
async fn a_thousand_cold_reads_elsewhere_leave_l1_untouched() {
    const KEYS: u64 = 1_000;
    let stack = cluster().await;
    let cluster = stack.redis_cluster().expect("asked for");
    let (a, b) = (Node::new(cluster).await, Node::new(cluster).await);
    for key in 0..KEYS {
        load(&b.numbers, key, key).await;
    }
    b.told.is_complete().await;
    for key in 0..KEYS {
        assert_eq!(b.cached(key).await, (Layer::L1, key), "its own echoes do not evict");
    }
    b.told.clear();
    for key in 0..KEYS {
        // What L2 has, and what it has not.
        assert_eq!(a.cached(key).await, (Layer::L2, key));
        assert_eq!(load(&a.numbers, KEYS + key, key).await.layer, Layer::Loader);
    }
    b.told.is_complete().await;
    for key in 0..KEYS {
        assert_eq!(b.cached(key).await, (Layer::L1, key));
    }
    let texts: Vec<String> = (0..KEYS).map(|key| format!("numbers:{key}")).collect();
    for event in b.told.events() {
        assert!(!matches!(&event, Changed(text) if texts.contains(text)), "{event:?}");
        assert!(matches!(event, Changed(_)), "{event:?}");
    }
}
