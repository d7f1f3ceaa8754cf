//! A master that dies, and the replica that takes its place.

use std::time::Duration;

use seawall_cache::{Guarded, Layer, Redis, RedisConfig, Tracking};
use seawall_devstack::Stack;
use tokio::time::Instant;

use crate::tracking::Event::{Changed, Link, Lost};
use crate::tracking::{HEARTBEAT, connected, watch};
use crate::{cache, cached, config, load, until};

const FAILOVER: Duration = Duration::from_secs(60);

#[tokio::test]
async fn caches_go_on_with_the_promoted_replica() {
    let stack = Stack::builder().redis_sentinel().start().await.expect("redis-server is installed");
    let sentinel = stack.redis_sentinel().expect("asked for");
    let command_timeout = Duration::from_secs(1);
    let config = RedisConfig { heartbeat: HEARTBEAT, command_timeout, ..config(sentinel.url()) };
    let redis = Redis::connect(config).await.expect("it is up");
    until("it tells", || async { redis.status().tracking == Tracking::Up }).await;
    let (told, tells) = watch(&redis);
    assert!(tells);
    let numbers = cache(&redis);
    assert!(!load(&numbers, 1, 10).await.degraded);
    told.is_complete().await;
    told.clear();

    let master = sentinel.master(FAILOVER).await.expect("they agree");
    master.kill().await.expect("killed");
    let asked = Instant::now();
    assert!(load(&numbers, 2, 20).await.degraded);
    assert!(asked.elapsed() < command_timeout * 10, "{:?}", asked.elapsed());
    assert_eq!(cached(&numbers, 1).await, Some(10), "from memory");
    told.hears(Link(0, false)).await;
    assert!(!told.has(&Lost(Some(0))), "nobody is listened to yet");
    let promoted = sentinel.wait_failover(master, FAILOVER).await.expect("the replica");
    told.hears(Link(0, true)).await;
    let events = told.events();
    let place = |event| events.iter().position(|it| *it == event).expect("told");
    assert!(place(Link(0, false)) < place(Lost(Some(0))));
    assert!(place(Lost(Some(0))) < place(Link(0, true)));

    promoted.command(&["SET", "seawall:numbers:7", "x"]).await.expect("up");
    told.hears(Changed("numbers:7".into())).await;
    told.is_complete().await;
    let mut key = 100;
    until("L2 is used again", || {
        key += 1;
        let numbers = numbers.clone();
        async move { !load(&numbers, key, key).await.degraded }
    })
    .await;
    let other = cache(&connected(sentinel.url()).await);
    let got = other.get(&key).await.expect("in reach").expect("filled through the promoted one");
    assert_eq!(got.layer, Layer::L2);
    assert!(!Guarded::from(redis).status().breaker_open);
}
