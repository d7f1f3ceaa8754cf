//! What only a real Redis shows of the protocol: foreign keys, lost scripts, full memory, and who
//! is told of what.

use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::{ClientLike, EventInterface, PubsubInterface};
use fred::types::Builder;
use fred::types::config::Config;
use seawall_cache::{Fill, Guarded, Leased, Mark, MarkChange, Put, Redis, RedisConfig};
use seawall_devstack::{Reply, Stack};
use tokio::time::{Instant, timeout};

use crate::conformance::{
    KEEP, TTL, fill, lease, patient, put, read, record, remove, seen, version,
};
use crate::{config, stack, until};

async fn command(stack: &Stack, words: &[&str]) -> Reply {
    stack.redis().expect("asked for").command(words).await.expect("it is up")
}

async fn remote(stack: &Stack) -> Guarded {
    patient(stack.redis().expect("asked for").url()).await
}

/// Puts any bytes there.
async fn plant(stack: &Stack, key: &str, bytes: &[u8]) {
    use std::fmt::Write as _;
    let mut script = "return redis.call('SET', KEYS[1], '".to_owned();
    for byte in bytes {
        write!(script, "\\{byte:03}").expect("writes");
    }
    script.push_str("', 'PX', 60000)");
    command(stack, &["EVAL", &script, "1", key]).await;
}

async fn calls(stack: &Stack, name: &str) -> u64 {
    let stats = command(stack, &["INFO", "commandstats"]).await.text().expect("text");
    let calls = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
    calls.and_then(|calls| calls.split(',').next()?.parse().ok()).unwrap_or(0)
}

/// Each makes a key of some type that is not ours.
const FOREIGN: [&[&str]; 6] = [
    &["RPUSH", "KEY", "a"],
    &["HSET", "KEY", "a", "b"],
    &["SADD", "KEY", "a"],
    &["XADD", "KEY", "*", "a", "b"],
    &["SET", "KEY", ""],
    &[
        "SET",
        "KEY",
        "somebody else's, and a good deal longer than any header of ours is, as it were",
    ],
];

async fn foreign(stack: &Stack, kind: usize, key: &str) {
    command(stack, &["DEL", key]).await;
    let words: Vec<&str> =
        FOREIGN[kind].iter().map(|word| if *word == "KEY" { key } else { word }).collect();
    command(stack, &words).await;
}

#[tokio::test]
async fn a_foreign_entry_is_absence_to_every_command() {
    let stack = stack().await;
    let remote = remote(&stack).await;
    let (text, key) = ("it:1", "seawall:it:1");
    for kind in 0..FOREIGN.len() {
        foreign(&stack, kind, key).await;
        let fetched = read(&remote, text).await;
        assert!(fetched.bytes.is_some(), "foreign is not absent");
        assert_eq!((version(&fetched), fetched.remaining), (0, Duration::ZERO));
        let many = remote.read_many(&[text.into(), "it:2".into()]).await;
        // An MGET does not tell another type from absence.
        let there = many[0].as_ref().expect("no error");
        assert_eq!((version(there), there.remaining), (0, Duration::ZERO));
        assert!(many[1].as_ref().expect("no error").bytes.is_none());
        assert_eq!(crate::all(remote.versions(&[text.into()]).await).expect("no error"), [0]);
        let before = seen(&remote, text).await;
        assert_eq!(lease(&remote, text, before, 1).await, Leased::Granted);
        assert!(remote.renew(text, 1, KEEP).await.expect("no error"));
        assert_eq!(remote.sweep("it:*", u64::MAX, KEEP, &|_| {}).await.expect("up").removed, 0);
        assert!(matches!(fill(&remote, text, before, Some(1), 0).await, Fill::Stored(_)));
        foreign(&stack, kind, key).await;
        assert!(matches!(put(&remote, text, 0).await, Put::Stored(_)));
        foreign(&stack, kind, key).await;
        let buried = remove(&remote, text, 0).await;
        assert_eq!(version(&read(&remote, text).await), buried);
    }
}

#[tokio::test]
async fn a_version_that_no_store_issues_is_no_record() {
    let stack = stack().await;
    let remote = remote(&stack).await;
    let mut bytes = record(0).to_vec();
    bytes[8..16].copy_from_slice(&(1_u64 << 53).to_be_bytes());
    plant(&stack, "seawall:it:1", &bytes).await;
    assert_eq!(crate::all(remote.versions(&["it:1".into()]).await).expect("no error"), [0]);
    let Put::Stored(stored) = put(&remote, "it:1", 0).await else { panic!("stored") };
    assert!(stored < 1 << 53);
    assert_eq!(version(&read(&remote, "it:1").await), stored);
}

#[tokio::test]
async fn a_foreign_lease_is_no_lease() {
    let stack = stack().await;
    let remote = remote(&stack).await;
    let (text, key) = ("it:1", "lease{seawall:it:1}");
    for kind in 0..FOREIGN.len() {
        let before = seen(&remote, text).await;
        foreign(&stack, kind, key).await;
        assert!(!remote.renew(text, 1, KEEP).await.expect("no error"));
        remote.release(text, 1).await.expect("no error");
        assert!(matches!(fill(&remote, text, before, None, 0).await, Fill::Stored(_)));
        let before = seen(&remote, text).await;
        assert_eq!(lease(&remote, text, before, 1).await, Leased::Granted, "overwritten");
        foreign(&stack, kind, key).await;
        assert!(matches!(put(&remote, text, 0).await, Put::Stored(_)));
    }
    // One like ours that never ends would hold everybody up for ever.
    let before = seen(&remote, text).await;
    command(&stack, &["SET", key, "12345678x"]).await;
    assert_eq!(lease(&remote, text, before, 1).await, Leased::Granted);
}

#[tokio::test]
async fn a_corrupt_mark_comes_back_as_one_of_now() {
    let stack = stack().await;
    let remote = remote(&stack).await;
    let good = Mark { hard: 5, soft: 6, clears: vec![clear(7, "a*"), clear(8, "b*")] };
    let bytes = good.to_bytes();
    let mut corrupt: Vec<Vec<u8>> = (0..bytes.len()).map(|end| bytes[..end].to_vec()).collect();
    corrupt.push([&bytes[..], b"x"].concat());
    for (at, byte) in [(0, b'X'), (3, 2), (5, 0x20), (13, 0x20), (21, 3), (20, 1), (23, 0x20)] {
        let mut changed = bytes.clone();
        changed[at] = byte;
        corrupt.push(changed);
    }
    corrupt.push(Mark { hard: 0, ..good.clone() }.to_bytes());
    let since = Instant::now();
    for bytes in corrupt {
        plant(&stack, "seawall:it#t:1", &bytes).await;
        let now = read(&remote, "it:1").await.now;
        let mark =
            crate::all(remote.marks(&["it#t:1".into()], since).await).expect("no error").remove(0);
        assert!(mark.mark.version() >= now && !mark.unmoved, "{bytes:?} {mark:?}");
        assert_eq!(mark.mark, Mark::new(mark.mark.version()));
        plant(&stack, "seawall:it#t:1", &bytes).await;
        let advanced = remote.advance("it#t:1", MarkChange::Soft).await.expect("no error");
        assert!(advanced.hard >= now && advanced.soft > advanced.hard, "{bytes:?} {advanced:?}");
    }
    for kind in 0..FOREIGN.len() {
        foreign(&stack, kind, "seawall:it#t:2").await;
        let mark =
            crate::all(remote.marks(&["it#t:2".into()], since).await).expect("no error").remove(0);
        assert!(!mark.unmoved);
        foreign(&stack, kind, "seawall:it#t:2").await;
        remote.advance("it#t:2", MarkChange::Hard).await.expect("no error");
    }
    plant(&stack, "seawall:it#t:3", &bytes).await;
    let mark =
        crate::all(remote.marks(&["it#t:3".into()], since).await).expect("no error").remove(0);
    assert_eq!(mark.mark, good, "that one was not corrupt");
    // The script takes any bytes for a pattern; here they are taken for all keys.
    let mut no_text = bytes.clone();
    *no_text.last_mut().expect("a pattern") = 0xff;
    plant(&stack, "seawall:it#t:4", &no_text).await;
    let mark =
        crate::all(remote.marks(&["it#t:4".into()], since).await).expect("no error").remove(0);
    assert_eq!(&*mark.mark.clears[1].pattern, "*");
}

fn clear(version: u64, pattern: &str) -> seawall_cache::Clear {
    seawall_cache::Clear { version, hard: true, pattern: pattern.into() }
}

#[tokio::test]
async fn nothing_is_written_without_a_ttl() {
    let stack = stack().await;
    let remote = remote(&stack).await;
    for hold in [Duration::from_secs(60), Duration::MAX] {
        for key in 0..3_u64 {
            let text = format!("it:{hold:?}{key}");
            let before = seen(&remote, &text).await;
            remote.lease(&text, before, key, hold).await.expect("in reach");
            remote.lease(&text, before, key + 1, hold).await.expect("in reach");
            remote.renew(&text, key, hold).await.expect("in reach");
            let mark = format!("it#t:{hold:?}{key}");
            match key {
                0 => drop(remote.put(&format!("{text}x"), record(0), hold, KEEP).await),
                1 => drop(remote.remove(&format!("{text}x"), 0, hold).await),
                _ => drop(remote.advance(&mark, MarkChange::Hard).await),
            }
            crate::all(remote.marks(&[mark], Instant::now()).await).expect("in reach");
        }
    }
    // A mark that somebody made to stay for ever.
    command(&stack, &["PERSIST", "seawall:it#t:60s0"]).await;
    crate::all(remote.marks(&["it#t:60s0".into()], Instant::now()).await).expect("in reach");
    let Reply::Array(keys) = command(&stack, &["KEYS", "*"]).await else { panic!("an array") };
    assert_eq!(keys.len(), 16 + 1, "and the canary of the tracking: {keys:?}");
    let most = i64::try_from(seawall_cache::MAX_TTL.as_millis()).expect("fits");
    for key in keys {
        let key = key.text().expect("text");
        let Reply::Integer(ttl) = command(&stack, &["PTTL", &key]).await else { panic!("{key}") };
        assert!(ttl > 0 && ttl <= most, "{key}: {ttl}");
    }
}

#[tokio::test]
async fn every_script_comes_back_after_a_script_flush() {
    let stack = stack().await;
    let remote = remote(&stack).await;
    let lost = || command(&stack, &["SCRIPT", "FLUSH"]);
    let text = "it:1";
    let before = seen(&remote, text).await;
    lost().await;
    assert_eq!(lease(&remote, text, before, 1).await, Leased::Granted);
    lost().await;
    assert!(remote.renew(text, 1, KEEP).await.expect("heals"));
    lost().await;
    remote.release(text, 1).await.expect("heals");
    lost().await;
    assert!(matches!(fill(&remote, text, before, None, 0).await, Fill::Stored(_)));
    lost().await;
    assert!(matches!(put(&remote, text, 0).await, Put::Stored(_)));
    lost().await;
    assert_eq!(remote.sweep("it:*", u64::MAX, KEEP, &|_| {}).await.expect("heals").removed, 1);
    lost().await;
    remove(&remote, text, 0).await;
    lost().await;
    crate::all(remote.marks(&["it#ns".into()], Instant::now()).await).expect("heals");
    lost().await;
    remote.advance("it#ns", MarkChange::Hard).await.expect("heals");
}

#[tokio::test]
async fn out_of_memory_invalidates_all_the_same() {
    let stack = stack().await;
    let remote = remote(&stack).await;
    put(&remote, "it:1", 0).await;
    put(&remote, "it:2", 0).await;
    let before = remote.advance("it#ns", MarkChange::Soft).await.expect("in reach");
    command(&stack, &["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    command(&stack, &["CONFIG", "SET", "maxmemory", "1"]).await;
    remove(&remote, "it:1", 0).await;
    assert!(read(&remote, "it:1").await.bytes.is_none(), "not even a tombstone fits");
    assert_eq!(remote.sweep("it:*", u64::MAX, KEEP, &|_| {}).await.expect("up").removed, 1);
    assert!(read(&remote, "it:2").await.bytes.is_none());
    remote.advance("it#ns", MarkChange::Soft).await.expect_err("it does not fit");
    let Reply::Integer(marks) = command(&stack, &["EXISTS", "seawall:it#ns"]).await else {
        panic!("a number")
    };
    assert_eq!(marks, 0, "no entry counts without its mark");
    assert_eq!(remote.status().pending, 1);
    let marks = crate::all(remote.marks(&["it#ns".into()], Instant::now()).await);
    marks.expect_err("hidden until Redis has it");
    command(&stack, &["CONFIG", "SET", "maxmemory", "0"]).await;
    until("it was repeated", || async { remote.status().pending == 0 }).await;
    let after =
        crate::all(remote.marks(&["it#ns".into()], Instant::now()).await).expect("in reach");
    assert!(after[0].mark.version() > before.version());
}

#[tokio::test]
async fn the_end_of_a_lease_is_told_only_if_someone_waits() {
    let stack = stack().await;
    let remote = remote(&stack).await;
    for key in 0..50_u64 {
        let text = &format!("it:{key}");
        let before = seen(&remote, text).await;
        assert_eq!(lease(&remote, text, before, key).await, Leased::Granted);
        match key % 4 {
            0 => drop(put(&remote, text, 0).await),
            1 => drop(remove(&remote, text, 0).await),
            2 => drop(remote.release(text, key).await),
            _ => drop(fill(&remote, text, before, Some(key), 0).await),
        }
    }
    assert_eq!(calls(&stack, "publish").await, 0);
    for (nth, end) in ["put", "removal", "release", "fill", "refused fill"].iter().enumerate() {
        let text = &format!("it:waited {nth}");
        let before = seen(&remote, text).await;
        lease(&remote, text, before, 1).await;
        assert!(matches!(lease(&remote, text, before, 2).await, Leased::Held { .. }));
        // Neither forgets who waits.
        lease(&remote, text, before, 1).await;
        remote.renew(text, 1, KEEP).await.expect("in reach");
        assert_eq!(fill(&remote, text, before, Some(2), 0).await, Fill::Fenced);
        remote.release(text, 2).await.expect("in reach");
        assert_eq!(calls(&stack, "publish").await, nth as u64, "not ended");
        match *end {
            "put" => drop(put(&remote, text, 0).await),
            "removal" => drop(remove(&remote, text, 0).await),
            "release" => drop(remote.release(text, 1).await),
            "fill" => drop(fill(&remote, text, before, Some(1), 0).await),
            _ => {
                let moved = seawall_cache::Seen { version: 1, ..before };
                assert_eq!(fill(&remote, text, moved, Some(1), 0).await, Fill::Moved);
            }
        }
        assert_eq!(calls(&stack, "publish").await, nth as u64 + 1, "{end}");
    }
}

#[tokio::test]
async fn who_waits_is_told_the_key_on_any_node_of_a_cluster() {
    let stack = Stack::builder().redis_cluster().start().await.expect("redis-server is installed");
    let cluster = stack.redis_cluster().expect("asked for");
    let remote = patient(cluster.url()).await;
    // Each master hears what is published on another.
    let mut told = Vec::new();
    let mut subscribers = Vec::new();
    for node in cluster.nodes() {
        let builder = Builder::from_config(Config::from_url(&node.url()).expect("a URL"));
        let subscriber: Client = builder.build().expect("valid");
        told.push(subscriber.message_rx());
        subscriber.init().await.expect("it is up");
        subscriber.subscribe("seawall:landed").await.expect("subscribes");
        subscribers.push(subscriber);
    }
    // A young cluster loses what is published before its nodes are connected to each other.
    for (nth, node) in cluster.nodes().iter().enumerate() {
        let probe = &format!("probe {nth}");
        for told in &mut told {
            let deadline = Instant::now() + Duration::from_secs(30);
            loop {
                assert!(Instant::now() < deadline, "they never were");
                node.command(&["PUBLISH", "seawall:landed", probe]).await.expect("it is up");
                let heard = async {
                    while told.recv().await.expect("not lagging").value.as_str().as_deref()
                        != Some(probe)
                    {}
                };
                if timeout(Duration::from_millis(100), heard).await.is_ok() {
                    break;
                }
            }
        }
    }
    for key in 0..20 {
        let text = &format!("it:{key}");
        let before = seen(&remote, text).await;
        lease(&remote, text, before, 1).await;
        lease(&remote, text, before, 2).await;
        fill(&remote, text, before, Some(1), 0).await;
        for told in &mut told {
            let heard = async {
                loop {
                    let message = told.recv().await.expect("not lagging");
                    assert_eq!(&*message.channel, "seawall:landed");
                    let value = message.value.as_string().expect("text");
                    if !value.starts_with("probe") {
                        return value;
                    }
                }
            };
            let value = timeout(Duration::from_secs(30), heard).await.expect("in time");
            assert_eq!(value, format!("seawall:{text}"));
        }
    }
}

#[tokio::test]
async fn a_glob_means_what_it_means_to_redis() {
    let stack = stack().await;
    let remote = remote(&stack).await;
    let keys = ["", "a", "ab", "abc", "a*c", "a[c", "a]c", "a-c", "a\\c", "^", "é", "xyz"];
    let patterns = [
        "a", "a?", "a*", "*c", "a*c", "a\\*c", "a[*]c", "a[[]c", "a[]]c", "a[\\]]c", "a[^b]c",
        "a[a-z]c", "a[z-a]c", "a[-]c", "a\\\\c", "[^", "[", "[a", "??", "???", "*b*", "[^a]*",
        "\\a",
    ];
    for pattern in patterns {
        let mut ours = 0;
        for key in keys {
            remote.put(&format!("it:{key}"), record(0), TTL, KEEP).await.expect("in reach");
        }
        ours += remote.sweep(&format!("it:{pattern}"), 1, KEEP, &|_| {}).await.expect("up").removed;
        let found = command(&stack, &["KEYS", &format!("seawall:it:{pattern}")]).await;
        let Reply::Array(theirs) = found else { panic!("an array") };
        assert_eq!(ours, theirs.len() as u64, "{pattern}: {theirs:?}");
    }
}

#[tokio::test]
async fn a_prefix_with_braces_is_refused() {
    // They would decide about the slot of a key, and of its lease another.
    for key_prefix in ["{app}:", "a{", "a}"] {
        let odd = RedisConfig { key_prefix: key_prefix.into(), ..config("redis://x".into()) };
        let error = Redis::connect(odd).await.expect_err("refused");
        let field = match error {
            seawall_cache::Error::Config(error) => error.field,
            other => panic!("{other:?}"),
        };
        assert_eq!(field, "key_prefix");
    }
}
