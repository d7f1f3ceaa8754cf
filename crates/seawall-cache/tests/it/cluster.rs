//! A real cluster of three masters: each is told of, broken and read by itself.

use std::time::Duration;

use seawall_cache::{
    Guarded, Leased, MarkChange, OutageConfig, Redis, RedisConfig, Seen, Tracking,
};
use seawall_devstack::{RedisCluster, Reply, Stack};
use tokio::time::{Instant, sleep};

use crate::tracking::Event::{Changed, Link, Lost};
use crate::tracking::{HEARTBEAT, Told, connected, watch};
use crate::{config, until};

async fn cluster() -> Stack {
    Stack::builder().redis_cluster().start().await.expect("redis-server is installed")
}

/// A text in the namespace for each server, in the order of the cluster's nodes.
pub(crate) async fn texts(cluster: &RedisCluster) -> Vec<String> {
    let mut texts = Vec::new();
    for server in cluster.nodes() {
        let mut number = 0;
        loop {
            let text = format!("numbers:{number}");
            if server.command(&["GET", &format!("seawall:{text}")]).await.is_ok() {
                texts.push(text);
                break;
            }
            number += 1;
        }
    }
    texts
}

async fn three() -> (Stack, Redis, Guarded, Vec<String>) {
    let stack = cluster().await;
    let cluster = stack.redis_cluster().expect("asked for");
    let redis = connected(cluster.url()).await;
    let guarded = Guarded::from(redis.clone());
    let texts = texts(cluster).await;
    (stack, redis, guarded, texts)
}

async fn slot_of(server: &seawall_devstack::Redis, key: &str) -> String {
    let Ok(Reply::Integer(slot)) = server.command(&["CLUSTER", "KEYSLOT", key]).await else {
        panic!("a slot")
    };
    slot.to_string()
}

pub(crate) async fn id(server: &seawall_devstack::Redis) -> String {
    server.command(&["CLUSTER", "MYID"]).await.expect("up").text().expect("text")
}

/// Gives the slot of `key` from one server to another, as `redis-cli --cluster reshard` does.
async fn give(cluster: &RedisCluster, key: &str, from: usize, to: usize) {
    let (nodes, mut ids) = (cluster.nodes(), Vec::new());
    for node in nodes {
        ids.push(id(node).await);
    }
    let slot = slot_of(&nodes[from], key).await;
    let set = async |node: usize, words: &[&str]| {
        let words = [&["CLUSTER", "SETSLOT", slot.as_str()], words].concat();
        nodes[node].command(&words).await.expect("moves");
    };
    set(to, &["IMPORTING", &ids[from]]).await;
    set(from, &["MIGRATING", &ids[to]]).await;
    let port = nodes[to].port().to_string();
    // An error if there is no such key: nothing to move.
    let _ = nodes[from].command(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]).await;
    for node in [to, from, 3 - from - to] {
        set(node, &["NODE", &ids[to]]).await;
    }
}

#[tokio::test]
async fn writes_on_each_master_are_told() {
    let (stack, redis, guarded, texts) = three().await;
    assert_eq!(redis.status().tracking, Tracking::Up);
    let (told, tells) = watch(&redis);
    assert!(tells);
    let mut nodes: Vec<u32> = texts.iter().map(|text| guarded.node(text)).collect();
    for (server, text) in stack.redis_cluster().expect("asked for").nodes().iter().zip(&texts) {
        server.command(&["SET", &format!("seawall:{text}"), "x"]).await.expect("up");
        told.hears(Changed(text.clone())).await;
    }
    told.is_complete().await;
    nodes.sort_unstable();
    assert_eq!(nodes, [0, 1, 2]);
    for node in nodes {
        assert!(told.has(&Link(node, true)) && !told.has(&Lost(Some(node))));
    }
}

#[tokio::test]
async fn a_flush_of_one_master_concerns_that_one_only() {
    let (stack, redis, guarded, texts) = three().await;
    let (told, _) = watch(&redis);
    for (server, text) in stack.redis_cluster().expect("asked for").nodes().iter().zip(&texts) {
        told.is_complete().await;
        told.clear();
        server.flush().await.expect("up");
        let flushed = Instant::now();
        told.hears(Lost(Some(guarded.node(text)))).await;
        assert!(flushed.elapsed() < HEARTBEAT * 100, "{:?}", flushed.elapsed());
        told.is_complete().await;
        let mut others = texts.iter().filter(|it| *it != text).map(|text| guarded.node(text));
        assert!(others.all(|node| !told.has(&Lost(Some(node)))));
    }
}

#[tokio::test]
async fn a_frozen_master_takes_no_other_with_it() {
    const DEADLINE: Duration = Duration::from_secs(1);
    // A slow machine may freeze it for the five seconds after which it counts as dead.
    let stack = Stack::builder().redis_cluster();
    let stack = stack.redis_setting("cluster-require-full-coverage", "no");
    let stack = stack.start().await.expect("redis-server is installed");
    let cluster = stack.redis_cluster().expect("asked for");
    // A breaker that is still open when it is looked at.
    let outage = OutageConfig { open_for: 4 * DEADLINE, ..OutageConfig::default() };
    let config = RedisConfig {
        heartbeat: HEARTBEAT,
        command_timeout: DEADLINE,
        outage,
        ..config(cluster.url())
    };
    let redis = Redis::connect(config).await.expect("it is up");
    let (guarded, texts) = (Guarded::from(redis.clone()), texts(cluster).await);
    let (told, _) = watch(&redis);
    told.is_complete().await;
    for text in &texts {
        guarded.read(text).await.expect("in reach");
    }
    cluster.nodes()[1].pause().await.expect("frozen");
    let frozen = guarded.node(&texts[1]);
    let over = std::cell::Cell::new(false);
    // Its first reads wait for the deadline; meanwhile the others are read as ever.
    let slow = async {
        for _ in 0..3 {
            guarded.read(&texts[1]).await.expect_err("frozen");
        }
        over.set(true);
    };
    let quick = async {
        let mut reads = 0;
        while !over.get() {
            for text in [&texts[0], &texts[2]] {
                guarded.read(text).await.expect("it is another master");
                reads += 1;
            }
        }
        reads
    };
    let ((), reads) = tokio::join!(slow, quick);
    // Six, if they waited for it.
    assert!(reads > 10, "{reads} in the time of three deadlines");
    let asked = Instant::now();
    guarded.read(&texts[1]).await.expect_err("its breaker is open");
    assert!(asked.elapsed() < DEADLINE, "{:?}", asked.elapsed());
    for node in redis.nodes() {
        assert_eq!(node.breaker_open, node.node == frozen, "{node:?}");
    }
    told.hears(Link(frozen, false)).await;
    // Many at once: each fails or succeeds by its own master.
    let many = guarded.read_many(&texts).await;
    let failed: Vec<bool> = many.iter().map(Result::is_err).collect();
    assert_eq!(failed, [false, true, false]);
    cluster.nodes()[1].resume().await.expect("runs again");
    told.hears(Link(frozen, true)).await;
    until("it is read again", || async { guarded.read(&texts[1]).await.is_ok() }).await;
    told.is_complete().await;
}

#[tokio::test]
async fn a_slot_that_moves_is_told_and_its_writes_are_heard() {
    let stack = cluster().await;
    let cluster = stack.redis_cluster().expect("asked for");
    let redis = Redis::connect(config(cluster.url())).await.expect("it is up");
    let (guarded, texts) = (Guarded::from(redis.clone()), texts(cluster).await);
    let (told, _) = watch(&redis);
    let (text, key) = (&texts[0], format!("seawall:{}", texts[0]));
    let (giver, taker) = (guarded.node(text), guarded.node(&texts[2]));
    guarded.remove(text, 7, Duration::from_secs(60)).await.expect("stored");
    told.is_complete().await;
    told.clear();
    give(cluster, &key, 0, 2).await;
    told.hears(Lost(Some(giver))).await;
    until("it is known where it went", || async { guarded.node(text) == taker }).await;
    assert!(!told.has(&Lost(Some(guarded.node(&texts[1])))), "no slot of it moved");
    told.clear();
    cluster.nodes()[2].command(&["SET", &key, "x"]).await.expect("it is there");
    told.hears(Changed(text.clone())).await;
    guarded.read(text).await.expect("by the new master");
    told.is_complete().await;
    // And back, under reads and writes all the time. Those that come between its leaving and its
    // arriving fail: the breaker is not to take that for an outage.
    let traffic = async {
        loop {
            let _ = guarded.read(text).await;
            let _ = guarded.remove(text, 8, Duration::from_secs(60)).await;
            assert!(!redis.status().breaker_open);
            sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        () = traffic => {}
        () = give(cluster, &key, 2, 0) => {}
    }
    until("what was not acknowledged is", || async { redis.status().pending == 0 }).await;
    for _ in 0..100 {
        guarded.read(text).await.expect("by the old master");
    }
    until("it is known where it went", || async { guarded.node(text) == giver }).await;
    told.clear();
    cluster.nodes()[0].command(&["SET", &key, "y"]).await.expect("it is there");
    told.hears(Changed(text.clone())).await;
    told.is_complete().await;
}

#[tokio::test]
async fn a_slot_that_is_half_moved_is_read_and_written_where_it_goes() {
    let (stack, redis, guarded, texts) = three().await;
    let cluster = stack.redis_cluster().expect("asked for");
    let (text, key) = (&texts[0], format!("seawall:{}", texts[0]));
    let (nodes, keep) = (cluster.nodes(), Duration::from_secs(60));
    let version = guarded.remove(text, 7, keep).await.expect("stored");
    let slot = slot_of(&nodes[0], &key).await;
    let (giver, taker) = (id(&nodes[0]).await, id(&nodes[2]).await);
    let set = async |node: usize, words: &[&str]| {
        let words = [&["CLUSTER", "SETSLOT", slot.as_str()], words].concat();
        nodes[node].command(&words).await.expect("moves");
    };
    set(2, &["IMPORTING", &giver]).await;
    set(0, &["MIGRATING", &taker]).await;
    // The entry is there and its lease is not: TRYAGAIN.
    guarded.read(text).await.expect("it is still there");
    let seen = Seen { version, at: 0 };
    let leased = guarded.lease(text, seen, 1, keep).await.expect("by the entry alone");
    assert!(matches!(leased, Leased::Granted), "{leased:?}");
    assert!(guarded.renew(text, 1, keep).await.expect("by the entry alone"));
    guarded.release(text, 1).await.expect("by the entry alone");
    guarded.remove(text, 8, keep).await.expect("by the entry alone");
    // The entry is gone: ASK, which is followed, whatever is asked.
    nodes[0].command(&["DEL", &key]).await.expect("up");
    let seen = Seen { version: 0, at: 0 };
    for _ in 0..20 {
        assert!(guarded.read(text).await.expect("where it goes").bytes.is_none());
        let many = guarded.read_many(&texts).await;
        assert!(many.iter().all(Result::is_ok), "{many:?}");
        guarded.lease(text, seen, 1, keep).await.expect("where it goes");
        guarded.read(&texts[1]).await.expect("another slot");
    }
    let version = guarded.remove(text, 9, keep).await.expect("where it goes");
    let there = async |node: usize| {
        let exists = nodes[node].command(&["EXISTS", &key]).await;
        matches!(exists, Ok(Reply::Integer(1)))
    };
    assert!(!there(0).await);
    let versions: Vec<u64> = guarded
        .versions(std::slice::from_ref(text))
        .await
        .into_iter()
        .map(|version| version.expect("where it goes"))
        .collect();
    assert_eq!(versions, [version]);
    // A server there that does not know the script yet is told it, after another ASKING.
    nodes[2].command(&["SCRIPT", "FLUSH"]).await.expect("up");
    guarded.remove(text, 10, keep).await.expect("where it goes");
    assert_eq!(redis.status().pending, 0);
    assert!(!redis.status().breaker_open, "the masters are there");
    guarded.advance(&format!("{text}-other#ns"), MarkChange::Hard).await.expect("another slot");
    for node in [2, 0, 1] {
        set(node, &["NODE", &taker]).await;
    }
    assert!(there(2).await);
    let read = guarded.read(text).await.expect("it has moved");
    assert!(read.bytes.is_some(), "the tombstone");
    assert_eq!(guarded.node(text), guarded.node(&texts[2]), "MOVED said so");
}

#[tokio::test]
async fn five_hundred_keys_take_one_pipeline_a_master() {
    let stack = cluster().await;
    let cluster = stack.redis_cluster().expect("asked for");
    // Or the canaries would be read in between.
    let config = RedisConfig { heartbeat: Duration::from_secs(60), ..config(cluster.url()) };
    let guarded = Guarded::from(Redis::connect(config).await.expect("it is up"));
    let texts: Vec<String> = (0..500).map(|number| format!("numbers:{number}")).collect();
    for text in texts.iter().step_by(2) {
        guarded.remove(text, 0, Duration::from_secs(60)).await.expect("stored");
    }
    let reads = async || {
        let mut reads = 0;
        for node in cluster.nodes() {
            let stats = node.command(&["INFO", "commandstats"]).await.expect("up").text();
            let stats = stats.expect("text");
            let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_get:calls="));
            let calls = calls.and_then(|calls| calls.split(',').next()?.parse::<u64>().ok());
            reads += calls.unwrap_or(0);
        }
        reads
    };
    let before = reads().await;
    let started = Instant::now();
    let answers = guarded.read_many(&texts).await;
    println!("500 keys in {:?}", started.elapsed());
    for (number, answer) in answers.iter().enumerate() {
        let there = answer.as_ref().expect("no CROSSSLOT").bytes.is_some();
        assert_eq!(there, number % 2 == 0, "{number}");
    }
    let taken = reads().await - before;
    assert!((500..=503).contains(&taken), "{taken} GETs, the canaries' included");
}

#[tokio::test]
async fn a_cluster_without_tracking_is_read_by_node_all_the_same() {
    let stack = cluster().await;
    let cluster = stack.redis_cluster().expect("asked for");
    let config = RedisConfig { tracking: false, ..config(cluster.url()) };
    let redis = Redis::connect(config).await.expect("it is up");
    let guarded = Guarded::from(redis.clone());
    let texts = texts(cluster).await;
    until("the masters are known", || async {
        let mut nodes: Vec<u32> = texts.iter().map(|text| guarded.node(text)).collect();
        nodes.sort_unstable();
        nodes == [0, 1, 2]
    })
    .await;
    let (told, tells): (std::sync::Arc<Told>, bool) = watch(&redis);
    assert!(!tells && !told.has(&Link(0, true)));
}
