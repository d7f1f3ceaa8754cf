//! What caches hear of writes by others: each hazard of fred's and Redis's tracking.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use seawall_cache::{Coherence, Guarded, Layer, Redis, RedisConfig, Tracking, Watcher};
use seawall_devstack::{Reply, Stack};
use tokio::time::{Instant, sleep};

use crate::{config, stack, until};

/// The bound on seeing a flush, but for what a busy machine adds.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Changed(String),
    Landed(String),
    Lost(Option<u32>),
    Link(u32, bool),
}

use Event::{Changed, Landed, Link, Lost};

#[derive(Default)]
pub(crate) struct Told {
    events: Mutex<Vec<Event>>,
    proved: Mutex<Option<Instant>>,
    /// How long each change takes.
    slow: Mutex<Duration>,
}

impl Watcher for Told {
    fn changed(&self, text: &str, _: Option<u64>) {
        let slow = *self.slow.lock();
        // Busy, not waiting: a watcher is called from the task that listens.
        let until = Instant::now() + slow;
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        self.events.lock().push(Changed(text.to_owned()));
    }

    fn landed(&self, text: &str) {
        self.events.lock().push(Landed(text.to_owned()));
    }

    fn lost(&self, node: Option<u32>) {
        self.events.lock().push(Lost(node));
    }

    fn link(&self, node: u32, up: bool) {
        self.events.lock().push(Link(node, up));
    }

    fn proved(&self, at: Instant) {
        *self.proved.lock() = Some(at);
    }
}

impl Told {
    pub(crate) fn has(&self, event: &Event) -> bool {
        self.events.lock().contains(event)
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().clone()
    }

    pub(crate) fn clear(&self) {
        self.events.lock().clear();
    }

    pub(crate) async fn hears(&self, event: Event) {
        until(&format!("{event:?}"), || async { self.has(&event) }).await;
    }

    /// Waits for a proof of what was acknowledged before now.
    pub(crate) async fn is_complete(&self) {
        let now = Instant::now();
        until("a proof", || async { self.proved.lock().is_some_and(|at| at >= now) }).await;
    }
}

fn quick(url: String) -> RedisConfig {
    RedisConfig { heartbeat: HEARTBEAT, ..config(url) }
}

pub(crate) async fn connected(url: String) -> Redis {
    Redis::connect(quick(url)).await.expect("it is up")
}

pub(crate) fn watch(redis: &Redis) -> (Arc<Told>, bool) {
    let told = Arc::new(Told::default());
    let watcher: Weak<dyn Watcher> = Arc::downgrade(&(told.clone() as Arc<dyn Watcher>));
    let tells = Guarded::from(redis.clone()).watch("numbers", watcher);
    (told, tells)
}

async fn command(redis: &seawall_devstack::Redis, words: &[&str]) -> Reply {
    redis.command(words).await.expect("it is up")
}

#[tokio::test]
async fn writes_by_anyone_are_told() {
    let stack = stack().await;
    let server = stack.redis().expect("asked for");
    let redis = connected(server.url()).await;
    assert_eq!(redis.status().tracking, Tracking::Up, "connecting waited for it");
    let (told, tells) = watch(&redis);
    assert!(tells && told.has(&Link(0, true)));
    command(server, &["SET", "seawall:numbers:1", "x"]).await;
    told.hears(Changed("numbers:1".into())).await;
    command(server, &["SET", "seawall:numbers:2", "x", "PX", "1"]).await;
    command(server, &["DEL", "seawall:numbers:1"]).await;
    command(server, &["SET", "seawall:others:1", "x"]).await;
    command(server, &["SET", "numbers:3", "x"]).await;
    command(server, &["SET", "seawall:numbers#ns", "x"]).await;
    told.hears(Changed("numbers#ns".into())).await;
    until("the expiry", || async {
        told.events.lock().iter().filter(|it| **it == Changed("numbers:2".into())).count() == 2
    })
    .await;
    let other = |it: &Event| matches!(it, Changed(text) if !text.starts_with("numbers"));
    assert!(!told.events.lock().iter().any(other));
    assert!(!told.has(&Changed("numbers:3".into())) && !told.has(&Lost(Some(0))));
    // Which is an error with prefixes, and counts as one in the statistics of the server.
    let stats = command(server, &["INFO", "commandstats"]).await.text().expect("text");
    assert!(stats.contains("client|tracking") && !stats.contains("client|caching"), "{stats}");
}

#[tokio::test]
async fn what_was_acknowledged_is_told_before_it_is_proved() {
    let stack = stack().await;
    let server = stack.redis().expect("asked for");
    let redis = connected(server.url()).await;
    let (told, _) = watch(&redis);
    for number in 0..40 {
        let key = format!("seawall:numbers:{number}");
        command(server, &["SET", &key, "x"]).await;
        let acknowledged = Instant::now();
        // Looked at in the other order than it is told.
        let proved = || told.proved.lock().is_some_and(|at| at >= acknowledged);
        until("a proof", || async { proved() }).await;
        assert!(told.has(&Changed(format!("numbers:{number}"))), "{number}");
    }
}

#[tokio::test]
async fn a_watcher_ends_with_its_cache() {
    let stack = stack().await;
    let redis = connected(stack.redis().expect("asked for").url()).await;
    let (told, _) = watch(&redis);
    let gone = Arc::downgrade(&told);
    drop(told);
    assert_eq!(gone.strong_count(), 0, "it is not kept");
    let (told, _) = watch(&redis);
    command(stack.redis().expect("asked for"), &["SET", "seawall:numbers:1", "x"]).await;
    told.hears(Changed("numbers:1".into())).await;
}

#[tokio::test]
async fn a_flush_is_seen_within_the_heartbeat() {
    let stack = stack().await;
    let server = stack.redis().expect("asked for");
    let redis = connected(server.url()).await;
    let (told, _) = watch(&redis);
    for flush in ["FLUSHALL", "FLUSHDB"] {
        told.is_complete().await;
        told.clear();
        command(server, &[flush]).await;
        let flushed = Instant::now();
        told.hears(Lost(Some(0))).await;
        assert!(flushed.elapsed() < HEARTBEAT * 100, "{:?}", flushed.elapsed());
        assert!(!told.has(&Link(0, false)), "the link was never down");
    }
    told.is_complete().await;
    told.clear();
    for _ in 0..3 {
        told.is_complete().await;
    }
    assert!(!told.has(&Lost(Some(0))), "said once, not for ever");
}

#[tokio::test]
async fn two_nodes_share_the_canary_and_both_see_the_flush() {
    let stack = stack().await;
    let server = stack.redis().expect("asked for");
    let nodes = [connected(server.url()).await, connected(server.url()).await];
    let tolds = nodes.each_ref().map(|node| watch(node).0);
    for _ in 0..10 {
        for told in &tolds {
            told.is_complete().await;
            told.clear();
        }
        command(server, &["FLUSHALL"]).await;
        for told in &tolds {
            told.hears(Lost(Some(0))).await;
        }
    }
    let Reply::Array(keys) = command(server, &["KEYS", "*"]).await else { panic!("an array") };
    let keys: Vec<String> = keys.iter().filter_map(Reply::text).collect();
    assert!(keys.len() <= 1, "{keys:?}");
}

#[tokio::test]
async fn a_full_server_without_a_canary_is_checked_again_and_again() {
    let stack = stack().await;
    let server = stack.redis().expect("asked for");
    let redis = connected(server.url()).await;
    let (told, _) = watch(&redis);
    command(server, &["CONFIG", "SET", "maxmemory", "1"]).await;
    command(server, &["DEL", "seawall:#canary:0"]).await;
    told.hears(Lost(Some(0))).await;
    told.clear();
    told.hears(Lost(Some(0))).await;
    told.is_complete().await;
    command(server, &["CONFIG", "SET", "maxmemory", "0"]).await;
    told.is_complete().await;
    told.is_complete().await;
    told.clear();
    told.is_complete().await;
    assert!(!told.has(&Lost(Some(0))));
}

/// More messages than the channel to us holds, all at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_that_a_slow_cache_cannot_take_is_not_lost_in_silence() {
    const KEYS: usize = 5_000;
    let stack = stack().await;
    let server = stack.redis().expect("asked for");
    let redis = connected(server.url()).await;
    let (told, _) = watch(&redis);
    // Slower than any machine writes.
    for slow in [Duration::ZERO, Duration::from_millis(50)] {
        told.is_complete().await;
        told.clear();
        *told.slow.lock() = slow;
        let addr = server.addr();
        tokio::task::spawn_blocking(move || write_one_by_one(addr, KEYS)).await.expect("written");
        *told.slow.lock() = Duration::ZERO;
        told.is_complete().await;
        let events = told.events.lock();
        let lost = events.contains(&Lost(Some(0)));
        let all = (0..KEYS).all(|number| events.contains(&Changed(format!("numbers:{number}"))));
        assert!(all || lost, "some were lost and nobody said so");
        assert!(lost || slow.is_zero(), "there is no room for what a slow cache leaves");
    }
}

/// Each in a round trip of its own, or they would be told in one message.
fn write_one_by_one(addr: SocketAddr, keys: usize) {
    let mut stream = std::net::TcpStream::connect(addr).expect("it is up");
    stream.set_nodelay(true).expect("a socket");
    let mut ok = [0; 5];
    for number in 0..keys {
        write!(stream, "SET seawall:numbers:{number} x\r\n").expect("it is up");
        stream.read_exact(&mut ok).expect("it is up");
    }
}

#[tokio::test]
async fn a_lost_connection_is_armed_again_and_what_was_missed_is_said_first() {
    let stack = stack().await;
    let server = stack.redis().expect("asked for");
    let redis = connected(server.url()).await;
    let (told, _) = watch(&redis);
    told.is_complete().await;
    for _ in 0..3 {
        told.clear();
        let clients = command(server, &["CLIENT", "LIST"]).await.text().expect("text");
        let tracks = clients.lines().find(|client| {
            client.contains("flags=") && {
                let flags = client.split(' ').find_map(|it| it.strip_prefix("flags="));
                flags.is_some_and(|flags| flags.contains('t'))
            }
        });
        let id = tracks.and_then(|it| it.split(' ').next()?.strip_prefix("id=")).expect("tracks");
        command(server, &["CLIENT", "KILL", "ID", id]).await;
        command(server, &["SET", "seawall:numbers:7", "missed"]).await;
        told.hears(Link(0, true)).await;
        let expected = [Link(0, false), Lost(Some(0)), Link(0, true)];
        let links: Vec<Event> =
            told.events.lock().iter().filter(|it| !matches!(it, Changed(_))).cloned().collect();
        assert_eq!(links, expected);
        command(server, &["SET", "seawall:numbers:8", "heard"]).await;
        told.hears(Changed("numbers:8".into())).await;
        told.is_complete().await;
    }
    assert_eq!(redis.status().tracking, Tracking::Up);
}

#[tokio::test]
async fn a_hung_server_is_a_link_that_is_down() {
    let stack = stack().await;
    let server = stack.redis().expect("asked for");
    let command_timeout = Duration::from_millis(500);
    let config = RedisConfig { command_timeout, ..quick(server.url()) };
    let redis = Redis::connect(config).await.expect("it is up");
    let (told, _) = watch(&redis);
    told.is_complete().await;
    told.clear();
    server.pause().await.expect("frozen");
    let frozen = Instant::now();
    told.hears(Link(0, false)).await;
    let bound = HEARTBEAT + command_timeout * 2;
    assert!(frozen.elapsed() < bound * 10, "{:?}", frozen.elapsed());
    assert_eq!(redis.status().tracking, Tracking::Down);
    let proved = *told.proved.lock();
    assert!(proved < Some(frozen), "nothing is proved since");
    server.resume().await.expect("runs again");
    told.hears(Link(0, true)).await;
    command(server, &["SET", "seawall:numbers:1", "x"]).await;
    told.hears(Changed("numbers:1".into())).await;
    told.is_complete().await;
}

#[tokio::test]
async fn a_server_that_was_restarted_is_listened_to_again() {
    let stack = stack().await;
    let server = stack.redis().expect("asked for");
    let redis = connected(server.url()).await;
    let (told, _) = watch(&redis);
    server.kill().await.expect("killed");
    told.hears(Link(0, false)).await;
    sleep(Duration::from_millis(300)).await;
    told.clear();
    server.restart().await.expect("started");
    told.hears(Link(0, true)).await;
    assert!(told.has(&Lost(Some(0))));
    command(server, &["SET", "seawall:numbers:1", "x"]).await;
    told.hears(Changed("numbers:1".into())).await;
}

#[tokio::test]
async fn the_end_of_a_lease_is_told() {
    let stack = stack().await;
    let server = stack.redis().expect("asked for");
    let refusing = RedisConfig { tracking: false, ..quick(server.url()) };
    let (tracking, without) =
        (connected(server.url()).await, Redis::connect(refusing).await.expect("it is up"));
    let (told, tells) = watch(&tracking);
    let (told_too, tells_too) = watch(&without);
    assert!(tells && !tells_too);
    assert_eq!(without.status().tracking, Tracking::Off);
    until("both listen", || async {
        let channels = command(server, &["PUBSUB", "NUMSUB", "seawall:landed"]).await;
        channels
            == Reply::Array(vec![Reply::Bulk(Some("seawall:landed".into())), Reply::Integer(2)])
    })
    .await;
    command(server, &["PUBLISH", "seawall:landed", "seawall:numbers:5"]).await;
    told.hears(Landed("numbers:5".into())).await;
    told_too.hears(Landed("numbers:5".into())).await;
    assert_eq!(*told_too.events.lock(), [Landed("numbers:5".into())], "and nothing else");
}

#[tokio::test]
async fn a_server_that_refuses_is_done_without() {
    for (rule, refuses) in [("-client|tracking", true), ("", true), ("-subscribe", false)] {
        let mut stack = Stack::builder().redis();
        if rule.is_empty() {
            // As behind a proxy that speaks RESP2 only.
            stack = stack.redis_setting("rename-command", "HELLO \"\"");
        }
        let stack = stack.start().await.expect("redis-server is installed");
        let server = stack.redis().expect("asked for");
        if !rule.is_empty() {
            command(server, &["ACL", "SETUSER", "default", rule]).await;
        }
        let redis = connected(server.url()).await;
        let expected = if refuses { Tracking::Refused } else { Tracking::Up };
        assert_eq!(redis.status().tracking, expected, "{rule}");
        let (told, tells) = watch(&redis);
        assert_eq!(tells, !refuses, "{rule}");
        command(server, &["SET", "seawall:numbers:1", "x"]).await;
        if refuses {
            sleep(HEARTBEAT * 2).await;
            assert_eq!(*told.events.lock(), [], "{rule}");
        } else {
            told.hears(Changed("numbers:1".into())).await;
            told.is_complete().await;
        }
    }
}

/// Loads one key after another until one is not degraded.
async fn in_reach(cache: &crate::Numbers) -> u64 {
    let mut key = 100;
    until("it is in reach", || {
        key += 1;
        let (cache, key) = (cache.clone(), key);
        async move { !crate::load(&cache, key, key).await.degraded }
    })
    .await;
    key
}

#[tokio::test]
async fn caches_built_before_the_server_refuses_rely_on_time_until_it_allows_it_again() {
    const SHORT: Duration = Duration::from_millis(10);
    let stack = stack().await;
    let server = stack.redis().expect("asked for");
    let rule = async |rule: &str| {
        let words =
            ["ACL", "SETUSER", "app", "on", ">secret", "allkeys", "allchannels", "+@all", rule];
        command(server, &words).await;
    };
    rule("-client|tracking").await;
    let url = server.url().replace("redis://", "redis://app:secret@");
    // A server that is asked again soon.
    let config = RedisConfig { heartbeat: SHORT, ..config(url) };
    let redis = Redis::connect_lazy(&config).expect("valid");
    let early = crate::cache(&redis);
    assert_ne!(redis.status().tracking, Tracking::Refused, "nothing is known yet");
    assert_eq!(early.status().coherence, Coherence::Watching);
    until("it refused", || async { redis.status().tracking == Tracking::Refused }).await;
    let late = crate::cache(&redis);
    for cache in [&early, &late] {
        assert_eq!(cache.status().coherence, Coherence::Unwatched);
        let key = in_reach(cache).await;
        let got = cache.get(&key).await.expect("in reach").expect("cached");
        assert_eq!((got.layer, got.degraded), (Layer::L1, false));
    }
    rule("+client|tracking").await;
    until("it is asked again", || async { redis.status().tracking == Tracking::Up }).await;
    let other = crate::cache(&connected(server.url()).await);
    for (number, cache) in [&early, &late].into_iter().enumerate() {
        let watching = || async { cache.status().coherence == Coherence::Watching };
        until("it is told", watching).await;
        // What came in before was not covered.
        other.set(&1, number as u64 + 7).await;
        let is = || async { crate::cached(cache, 1).await == Some(number as u64 + 7) };
        until("it is told of this", is).await;
    }
    // And refused once more, when the connection is lost.
    rule("-client|tracking").await;
    command(server, &["CLIENT", "KILL", "USER", "app"]).await;
    until("it refused", || async { redis.status().tracking == Tracking::Refused }).await;
    for cache in [&early, &late] {
        assert_eq!(cache.status().coherence, Coherence::Unwatched);
        let key = in_reach(cache).await;
        assert!(!cache.get(&key).await.expect("in reach").expect("cached").degraded);
    }
}

#[tokio::test]
async fn tasks_and_connections_end_with_the_last_handle() {
    let stack = stack().await;
    let server = stack.redis().expect("asked for");
    let runtime = tokio::runtime::Handle::current();
    let before = runtime.metrics().num_alive_tasks();
    let redis = connected(server.url()).await;
    let (told, _) = watch(&redis);
    told.is_complete().await;
    drop(redis);
    until("the tasks ended", || async { runtime.metrics().num_alive_tasks() <= before }).await;
    until("the connections ended", || async {
        let clients = command(server, &["CLIENT", "LIST"]).await.text().expect("text");
        clients.lines().count() == 1
    })
    .await;
}

#[tokio::test]
async fn shutdown_ends_the_connections() {
    let stack: Stack = stack().await;
    let server = stack.redis().expect("asked for");
    let redis = connected(server.url()).await;
    redis.shutdown(Duration::from_secs(1)).await;
    until("the connections ended", || async {
        let clients = command(server, &["CLIENT", "LIST"]).await.text().expect("text");
        clients.lines().count() == 1
    })
    .await;
}
