//! The masters of a cluster, as slots move and masters go.

use parking_lot::Mutex;
use seawall_devstack::{Redis, RedisCluster, Stack};
use seawall_redis::Change;

use super::*;

async fn cluster() -> Stack {
    let builder = Stack::builder().redis_cluster();
    builder.redis_setting("cluster-require-full-coverage", "no").start().await.unwrap()
}

/// The server that has a key.
async fn holder<'a>(cluster: &'a RedisCluster, key: &str) -> &'a Redis {
    for node in cluster.nodes() {
        // Of what it does not have it says where that is.
        if node.command(&["GET", key]).await.is_ok() {
            return node;
        }
    }
    panic!("nobody has {key}");
}

async fn id(node: &Redis) -> String {
    node.command(&["CLUSTER", "MYID"]).await.unwrap().text().unwrap()
}

async fn ok(node: &Redis, words: &[&str]) {
    let reply = node.command(words).await.unwrap();
    assert_eq!(reply.text().as_deref(), Some("OK"), "{words:?}");
}

#[tokio::test]
async fn a_gone_master_fails_its_own_keys_at_once_and_no_others() {
    let stack = cluster().await;
    let cluster = stack.redis_cluster().unwrap();
    let followed = connected(cluster.url()).await;
    let routes = &followed.routes;
    let keys: Vec<String> = (0..60).map(|key| format!("key:{key}")).collect();
    let mut by = Vec::new();
    for key in &keys {
        by.push(set(routes, key, key).await.unwrap());
    }
    let lost = routes.topology().node(keys[0].as_bytes());
    let gone = holder(cluster, &keys[0]).await;
    gone.kill().await.unwrap();
    let answered = async |key: &String| get(routes, key).await.is_ok();
    until("its keys fail", async || !answered(&keys[0]).await).await;
    // A command that fred took before it saw the end has until its deadline.
    until("the end of the connection is seen", async || !routes.is_connected(lost)).await;
    // Whose they are has not changed: nobody took over.
    for (key, by) in keys.iter().zip(&by) {
        let start = Instant::now();
        assert_eq!(answered(key).await, *by != lost, "{key} of {by}");
        assert!(*by != lost || start.elapsed() < Duration::from_secs(5), "nothing is waited for");
    }
    gone.restart().await.unwrap();
    until("they are answered again", async || answered(&keys[0]).await).await;
}

#[tokio::test]
async fn a_slot_on_its_way_is_answered_where_the_key_is_and_then_where_it_went() {
    let stack = cluster().await;
    let cluster = stack.redis_cluster().unwrap();
    let masters = Masters::connect(&settings(cluster.url())).await.unwrap();
    let routes = masters.routes();
    let changes: Arc<Mutex<Vec<Change>>> = Arc::default();
    let told = Arc::clone(&changes);
    let task = tokio::spawn(masters.follow(move |change, reach| {
        assert!(change.joined.iter().all(|node| reach.to(*node).is_some()));
        told.lock().push(change.clone());
    }));
    until("all are connected to", async || routes.connected() == (true, true)).await;
    // Of one slot.
    let (old, new) = ("{slot}old", "{slot}new");
    let giver_node = set(&routes, old, "1").await.unwrap();
    let giver = holder(cluster, old).await;
    let taker = cluster.nodes().iter().find(|it| it.addr() != giver.addr()).unwrap();
    let slot = fred::util::redis_keyslot(old.as_bytes());
    let number = slot.to_string();
    let (giver_id, taker_id) = (id(giver).await, id(taker).await);
    ok(taker, &["CLUSTER", "SETSLOT", &number, "IMPORTING", &giver_id]).await;
    ok(giver, &["CLUSTER", "SETSLOT", &number, "MIGRATING", &taker_id]).await;
    // What is still there is answered there; what is not, after ASKING.
    assert_eq!(get(&routes, old).await.unwrap(), (Some("1".into()), giver_node));
    let taker_node = set(&routes, new, "2").await.unwrap();
    assert_ne!(taker_node, giver_node);
    assert_eq!(get(&routes, new).await.unwrap(), (Some("2".into()), taker_node));
    assert_eq!(routes.topology().node(old.as_bytes()), giver_node, "an ASK moves nothing");
    let (host, port) = (taker.host(), taker.port().to_string());
    ok(giver, &["MIGRATE", &host, &port, old, "0", "5000"]).await;
    for node in [taker, giver] {
        ok(node, &["CLUSTER", "SETSLOT", &number, "NODE", &taker_id]).await;
    }
    assert_eq!(get(&routes, old).await.unwrap(), (Some("1".into()), taker_node));
    until("the slot is known to have moved, and that was told", async || {
        let told = changes.lock().iter().any(|change| change.gave_slots.contains(&giver_node));
        told && routes.topology().node(old.as_bytes()) == taker_node
    })
    .await;
    assert_eq!(changes.lock()[0].joined.len(), 3);
    task.abort();
}

#[tokio::test]
async fn a_failover_is_followed() {
    let stack = Stack::builder().redis_cluster_with_replicas().start().await.unwrap();
    let cluster = stack.redis_cluster().unwrap();
    let followed = connected(cluster.url()).await;
    let routes = &followed.routes;
    let before = routes.topology().serving();
    ok(&cluster.replicas()[0], &["CLUSTER", "FAILOVER"]).await;
    until("another serves", async || {
        let serving = routes.topology().serving();
        serving.len() == 3 && serving != before
    })
    .await;
    until("all keys are written", async || {
        for key in 0..60 {
            if set(routes, &format!("key:{key}"), "1").await.is_err() {
                return false;
            }
        }
        true
    })
    .await;
}

/// How often the masters were asked who is master.
async fn looks(cluster: &RedisCluster) -> u64 {
    let mut all = 0;
    for node in cluster.nodes() {
        let info = node.command(&["INFO", "commandstats"]).await.unwrap().text().unwrap();
        let line = info.lines().find_map(|line| line.strip_prefix("cmdstat_cluster|nodes:calls="));
        let calls = line.and_then(|rest| rest.split(',').next());
        all += calls.map_or(0, |calls| calls.parse::<u64>().unwrap());
    }
    all
}

#[tokio::test]
async fn doubt_that_does_not_end_is_looked_into_less_and_less() {
    let stack = cluster().await;
    let cluster = stack.redis_cluster().unwrap();
    let followed = connected(cluster.url()).await;
    let (before, start) = (looks(cluster).await, Instant::now());
    // As each command does that is led to where nobody is.
    while start.elapsed() < Duration::from_secs(3) {
        followed.routes.doubt();
        sleep(Duration::from_millis(1)).await;
    }
    let looks = looks(cluster).await - before;
    // Four a second, and some at first. A slow machine has fewer.
    let most = u64::try_from(start.elapsed().as_millis()).unwrap() / 250 + 8;
    assert!((5..=most).contains(&looks), "{looks} of {most}");
}
