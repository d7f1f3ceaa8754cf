//! Masters of a real cluster that die, are replaced, and come back.

use std::time::Duration;

use seawall_cache::{Guarded, Redis, RedisConfig};
use seawall_devstack::{RedisCluster, Stack, StackBuilder};
use tokio::time::{Instant, sleep};

use crate::cluster::texts;
use crate::tracking::Event::{Link, Lost};
use crate::tracking::{HEARTBEAT, watch};
use crate::{Numbers, OriginDown, cache, config, load, until};

const KEEP: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(60);

/// What the machine, which others use too, may add to a deadline.
const DEADLINE: Duration = Duration::from_secs(2);

/// A cluster whose slots are served even if others are not.
fn partial(stack: StackBuilder) -> StackBuilder {
    stack.redis_setting("cluster-require-full-coverage", "no")
}

async fn connected(cluster: &RedisCluster) -> Redis {
    let config =
        RedisConfig { heartbeat: HEARTBEAT, command_timeout: DEADLINE, ..config(cluster.url()) };
    Redis::connect(config).await.expect("it is up")
}

/// The number in a text of [`texts`].
fn number(text: &str) -> u64 {
    text.rsplit(':').next().and_then(|number| number.parse().ok()).expect("a number")
}

async fn found(cache: &Numbers, key: u64) -> Option<u64> {
    let got = cache.get_or_load(&key, |_| async { Err::<u64, _>(OriginDown) }).await;
    got.ok().and_then(|got| got.value.as_deref().copied())
}

/// Reads until `written` is found. An error on the way is none of what is tested; what was there
/// before is.
async fn finds(cache: &Numbers, key: u64, written: u64) {
    until("what was written is found", || async {
        let found = found(cache, key).await;
        assert!(found.is_none_or(|found| found == written), "{found:?} after {written}");
        found.is_some()
    })
    .await;
}

/// Sets `key` until L2 acknowledges that. A set before it that L2 did not is followed by a
/// removal, which must not come after this one.
async fn writes(redis: &Redis, cache: &Numbers, key: u64, number: u64) {
    until("it is written", || async {
        redis.status().pending == 0 && !cache.set(&key, number).await.is_partial()
    })
    .await;
}

/// Our connections to a server, without those of other servers and that which asks.
async fn connections(server: &seawall_devstack::Redis) -> usize {
    connections_but(server, "").await
}

/// The same without those for reads, which are made when something is read.
async fn lasting(server: &seawall_devstack::Redis) -> usize {
    connections_but(server, "seawall-reads").await
}

async fn connections_but(server: &seawall_devstack::Redis, name: &str) -> usize {
    let clients = server.command(&["CLIENT", "LIST"]).await.expect("up").text().expect("text");
    let field = |client: &str, name: &str| {
        client.split(' ').find_map(|it| it.strip_prefix(name).map(str::to_owned)).expect("a field")
    };
    let ours = |client: &&str| {
        !field(client, "flags=").contains(['S', 'M'])
            && !field(client, "cmd=").starts_with("client|list")
            && (name.is_empty() || field(client, "name=") != name)
    };
    clients.lines().filter(ours).count()
}

/// Reads and writes what is not on the lost node until `over`, each within its deadline.
async fn others_go_on(guarded: &Guarded, others: &[&String], over: impl AsyncFn() -> bool) -> u64 {
    let mut rounds = 0;
    let mut slowest = Duration::ZERO;
    while !over().await {
        for text in others {
            let asked = Instant::now();
            guarded.read(text).await.expect("it is another master's");
            guarded.remove(text, rounds, KEEP).await.expect("it is another master's");
            slowest = slowest.max(asked.elapsed());
        }
        for node in guarded.nodes() {
            let other = others.iter().any(|text| guarded.node(text) == node.node);
            assert!(!(other && node.breaker_open), "{node:?}");
        }
        rounds += 1;
        sleep(Duration::from_millis(1)).await;
    }
    println!("{rounds} rounds, the slowest in {slowest:?}");
    rounds
}

#[tokio::test]
async fn a_killed_master_takes_no_other_with_it() {
    let stack = partial(Stack::builder().redis_cluster()).start().await.expect("installed");
    let cluster = stack.redis_cluster().expect("asked for");
    let redis = connected(cluster).await;
    let guarded = Guarded::from(redis.clone());
    let texts = texts(cluster).await;
    // The first, which is the one that the URL names first.
    let (dead, others) = (&texts[0], [&texts[1], &texts[2]]);
    let key = number(dead);
    let (numbers, other) = (cache(&redis), connected(cluster).await);
    let (told, _) = watch(&redis);
    assert!(!load(&numbers, key, 10).await.degraded);
    told.is_complete().await;
    cluster.nodes()[0].kill().await.expect("killed");
    let killed = Instant::now();
    // Past the five seconds after which the cluster takes it for dead.
    let over = async || killed.elapsed() > Duration::from_secs(7);
    let mine = async {
        let mut refused = 0;
        while !over().await {
            guarded.read(dead).await.expect_err("it is dead");
            refused += 1;
            sleep(Duration::from_millis(5)).await;
        }
        refused
    };
    let late = async {
        sleep(Duration::from_secs(1)).await;
        let asked = Instant::now();
        let late = connected(cluster).await;
        late.ping().await.expect("two are there");
        let late = Guarded::from(late);
        late.read(others[0]).await.expect("it is another master's");
        late.read(dead).await.expect_err("it is dead");
        asked.elapsed()
    };
    let (rounds, refused, late) = tokio::join!(others_go_on(&guarded, &others, over), mine, late);
    println!("{refused} reads of the dead master; connecting without it took {late:?}");
    assert!(rounds > 10, "{rounds}");
    assert!(refused > 10, "{refused} reads of a dead master in seven seconds: they waited");
    assert!(late < Duration::from_secs(30), "connecting without the first node took {late:?}");
    assert_eq!(found(&numbers, key).await, Some(10), "from memory");

    told.clear();
    cluster.nodes()[0].restart().await.expect("started");
    cluster.wait_ready(SOON).await.expect("ready");
    let node = guarded.node(dead);
    told.hears(Link(node, true)).await;
    assert!(told.has(&Lost(Some(node))));
    until("it is read again", || async { guarded.read(dead).await.is_ok() }).await;
    writes(&other, &cache(&other), key, 11).await;
    told.is_complete().await;
    finds(&numbers, key, 11).await;
    guarded.remove(dead, 0, KEEP).await.expect("in reach");
}

#[tokio::test]
async fn a_replica_that_takes_over_is_found_and_others_do_not_wait() {
    let stack = partial(Stack::builder().redis_cluster_with_replicas());
    let stack = stack.start().await.expect("installed");
    let cluster = stack.redis_cluster().expect("asked for");
    let runtime = tokio::runtime::Handle::current();
    let tasks = runtime.metrics().num_alive_tasks();
    let redis = connected(cluster).await;
    let guarded = Guarded::from(redis.clone());
    let texts = texts(cluster).await;
    let keys: Vec<u64> = texts.iter().map(|text| number(text)).collect();
    let other = connected(cluster).await;
    let (numbers, elsewhere) = (cache(&redis), cache(&other));
    let (told, _) = watch(&redis);
    let third = guarded.node(&texts[2]);
    let on_third = |key: &u64| guarded.node(&format!("numbers:{key}")) == third;
    let untouched = (keys[2] + 1..).find(on_third).expect("a third of them");
    for key in keys.iter().chain([&untouched]) {
        assert!(!load(&numbers, *key, 10).await.degraded);
    }
    let servers = || cluster.nodes().iter().chain(cluster.replicas());

    // As it is asked to: the old master stays, as a replica that says MOVED.
    let (text, key) = (&texts[1], keys[1]);
    let before = guarded.node(text);
    let replica = &cluster.replicas()[1];
    let failing_over = Instant::now();
    let asked = std::cell::Cell::new(None::<Instant>);
    until("the new master is known", || async {
        // It gives up after five seconds, which a busy machine may take.
        if asked.get().is_none_or(|asked| asked.elapsed() > Duration::from_secs(11)) {
            let _ = replica.command(&["CLUSTER", "FAILOVER"]).await;
            asked.set(Some(Instant::now()));
        }
        guarded.node(text) != before
    })
    .await;
    until("it is read there", || async { guarded.read(text).await.is_ok() }).await;
    println!("asked to fail over: read after {:?}", failing_over.elapsed());
    told.hears(Lost(Some(before))).await;
    writes(&other, &elsewhere, key, 11).await;
    told.is_complete().await;
    finds(&numbers, key, 11).await;
    // Two caches' nodes with a connection for commands and one for tracking each.
    until("no connection to the old master is left", || async {
        connections(&cluster.nodes()[1]).await == 0 && lasting(replica).await == 4
    })
    .await;

    // And because the master died.
    let (text, key) = (&texts[0], keys[0]);
    let before = guarded.node(text);
    until("the replica has it", || async {
        let acked = cluster.nodes()[0].command(&["WAIT", "1", "1000"]).await;
        matches!(acked, Ok(seawall_devstack::Reply::Integer(1)))
    })
    .await;
    told.clear();
    cluster.nodes()[0].kill().await.expect("killed");
    let killed = Instant::now();
    let taken_over = std::cell::Cell::new(None);
    let promoted = async || {
        let info = cluster.replicas()[0].command(&["INFO", "replication"]).await.expect("up");
        if taken_over.get().is_none() && info.text().expect("text").contains("role:master") {
            taken_over.set(Some(Instant::now()));
        }
        assert!(killed.elapsed() < SOON, "no replica took over");
        guarded.node(text) != before && guarded.read(text).await.is_ok()
    };
    others_go_on(&guarded, &[&texts[1], &texts[2]], promoted).await;
    let taken_over = taken_over.get().expect("it was read there");
    println!("killed: taken over after {:?}", taken_over - killed);
    println!("read there after another {:?}", taken_over.elapsed());
    assert!(taken_over.elapsed() < Duration::from_secs(20));
    told.hears(Lost(Some(before))).await;
    writes(&other, &elsewhere, key, 12).await;
    told.is_complete().await;
    finds(&numbers, key, 12).await;
    finds(&numbers, untouched, 10).await;
    assert!(!told.has(&Lost(Some(third))) && !told.has(&Link(third, false)));

    // It comes back as a replica, which is nobody's to talk to.
    cluster.nodes()[0].restart().await.expect("started");
    cluster.wait_ready(SOON).await.expect("ready");
    until("two connections to each master, from each node", || async {
        let mut all = Vec::new();
        for server in servers() {
            all.push(lasting(server).await);
        }
        all == [0, 0, 4, 4, 4, 0]
    })
    .await;
    drop((told, numbers, elsewhere, other, guarded, redis));
    until("no connection is left", || async {
        let mut left = 0;
        for server in servers() {
            left += connections(server).await;
        }
        left == 0
    })
    .await;
    until("the tasks ended", || async { runtime.metrics().num_alive_tasks() <= tasks }).await;
}

#[tokio::test]
async fn a_cluster_that_is_not_there_yet_is_found_when_it_is() {
    let stack = partial(Stack::builder().redis_cluster()).start().await.expect("installed");
    let cluster = stack.redis_cluster().expect("asked for");
    for node in cluster.nodes() {
        node.kill().await.expect("killed");
    }
    let config = RedisConfig { heartbeat: HEARTBEAT, ..config(cluster.url()) };
    let error = Redis::connect(config.clone()).await.expect_err("nobody is there");
    assert!(matches!(error, seawall_cache::Error::Connect(_)), "{error:?}");
    let redis = Redis::connect_lazy(&config).expect("valid");
    let guarded = Guarded::from(redis.clone());
    guarded.read("numbers:1").await.expect_err("nobody is there");
    redis.ping().await.expect_err("nobody is there");
    for node in cluster.nodes() {
        node.restart().await.expect("started");
    }
    cluster.wait_ready(SOON).await.expect("ready");
    let texts = texts(cluster).await;
    for text in &texts {
        until("it is read", || async { guarded.read(text).await.is_ok() }).await;
    }
    redis.ping().await.expect("they are there");
    redis.shutdown(Duration::from_secs(1)).await;
    guarded.read(&texts[0]).await.expect_err("it is shut down");
    for node in cluster.nodes() {
        until("no connection is left", || async { connections(node).await == 0 }).await;
    }
}
