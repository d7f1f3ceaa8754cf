//! What every remote must do: the one in this process, a Redis, a Redis cluster.

use std::time::Duration;

use bytes::Bytes;
use seawall_cache::{Fetched, Fill, Guarded, MemoryRemote, Put, Redis, Seen, Ticket};
use seawall_devstack::Stack;

use crate::{config, connect, stack, until};

const TTL: Duration = Duration::from_secs(60);
const KEEP: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_remote_in_this_process_conforms() {
    all(&MemoryRemote::default().into()).await;
}

#[tokio::test]
async fn redis_conforms() {
    let stack = stack().await;
    all(&connect(&stack).await.into()).await;
}

#[tokio::test]
async fn a_redis_cluster_conforms() {
    let stack = Stack::builder().redis_cluster().start().await.expect("redis-server is installed");
    let url = stack.redis_cluster().expect("asked for").url();
    all(&Redis::connect(config(url)).await.expect("it is up").into()).await;
}

async fn all(remote: &Guarded) {
    what_is_put_is_read(remote).await;
    a_fill_over_absence_is_stored_once(remote).await;
    a_fill_is_refused_after_a_put_or_a_removal(remote).await;
    a_fill_that_took_too_long_is_refused(remote).await;
    a_fill_after_the_tombstone_expired_is_refused(remote).await;
    a_fill_reaches_the_source_the_tombstone_asks_for(remote).await;
    a_put_does_not_replace_a_newer_source(remote).await;
    a_removal_asks_for_no_less_than_the_one_before(remote).await;
    versions_only_grow(remote).await;
    entries_expire(remote).await;
}

/// A record as the trait describes it: only these fields matter here.
fn record(source: u64) -> Bytes {
    let mut bytes = b"SWC\x02".to_vec();
    bytes.resize(64, 0);
    bytes[16..24].copy_from_slice(&source.to_be_bytes());
    bytes.extend_from_slice(b"payload with \x00 and \xff");
    bytes.into()
}

fn version(fetched: &Fetched) -> u64 {
    let bytes = fetched.bytes.as_ref().map_or(&[][..], |bytes| &bytes[8..16]);
    bytes.try_into().map_or(0, u64::from_be_bytes)
}

fn source(fetched: &Fetched) -> u64 {
    let bytes = fetched.bytes.as_ref().expect("there");
    u64::from_be_bytes(bytes[16..24].try_into().expect("8 bytes"))
}

fn is_tombstone(fetched: &Fetched) -> bool {
    fetched.bytes.as_ref().is_some_and(|bytes| bytes[4] == 2)
}

async fn read(remote: &Guarded, key: &str) -> Fetched {
    remote.read(key).await.expect("in reach")
}

async fn seen(remote: &Guarded, key: &str) -> Seen {
    let fetched = read(remote, key).await;
    Seen { version: version(&fetched), at: fetched.now }
}

async fn fill(remote: &Guarded, key: &str, seen: Seen, source: u64) -> Fill {
    let ticket = Ticket { seen, keep: KEEP, token: None };
    remote.fill(key, ticket, record(source), TTL).await.expect("in reach")
}

async fn put(remote: &Guarded, key: &str, source: u64) -> Put {
    remote.put(key, record(source), TTL, KEEP).await.expect("in reach")
}

async fn remove(remote: &Guarded, key: &str, source: u64) {
    remote.remove(key, source, KEEP).await.expect("in reach");
}

async fn what_is_put_is_read(remote: &Guarded) {
    let key = "read";
    assert_eq!(read(remote, key).await.bytes, None);
    let Put::Stored(stored) = put(remote, key, 7).await else { panic!("nothing was there") };
    let fetched = read(remote, key).await;
    assert_eq!((version(&fetched), source(&fetched)), (stored, 7));
    assert!(fetched.remaining <= TTL && fetched.remaining > TTL / 2);
    assert!(fetched.now >= stored, "a version is a moment");
    let bytes = fetched.bytes.expect("there");
    let as_put = record(7);
    for part in [0..8, 16..36, 44..as_put.len()] {
        assert_eq!(bytes[part.clone()], as_put[part], "the rest as is");
    }
}

async fn a_fill_over_absence_is_stored_once(remote: &Guarded) {
    let key = "fill";
    let before = seen(remote, key).await;
    assert!(matches!(fill(remote, key, before, 0).await, Fill::Stored(_)));
    assert_eq!(fill(remote, key, before, 0).await, Fill::Moved);
}

async fn a_fill_is_refused_after_a_put_or_a_removal(remote: &Guarded) {
    let key = "moved";
    let before = seen(remote, key).await;
    put(remote, key, 0).await;
    assert_eq!(fill(remote, key, before, 0).await, Fill::Moved);
    let before = seen(remote, key).await;
    remove(remote, key, 0).await;
    assert_eq!(fill(remote, key, before, 0).await, Fill::Moved);
    assert!(is_tombstone(&read(remote, key).await));
    let after = seen(remote, key).await;
    assert!(matches!(fill(remote, key, after, 0).await, Fill::Stored(_)));
}

async fn a_fill_that_took_too_long_is_refused(remote: &Guarded) {
    let key = "late";
    let before = seen(remote, key).await;
    let long_ago = Seen { at: before.at.saturating_sub(31_000_000), ..before };
    if long_ago.at > 0 {
        assert_eq!(fill(remote, key, long_ago, 0).await, Fill::Late);
    }
    let ticket = Ticket { seen: before, keep: Duration::ZERO, token: None };
    until("the clock moved on", || async { read(remote, key).await.now > before.at + 1 }).await;
    let late = remote.fill(key, ticket, record(0), TTL).await;
    assert_eq!(late.expect("in reach"), Fill::Late);
    assert_eq!(read(remote, key).await.bytes, None);
}

async fn a_fill_after_the_tombstone_expired_is_refused(remote: &Guarded) {
    let key = "expired";
    remote.remove(key, 0, Duration::from_millis(20)).await.expect("in reach");
    let before = seen(remote, key).await;
    until("it expired", || async { read(remote, key).await.bytes.is_none() }).await;
    assert_eq!(fill(remote, key, before, 0).await, Fill::Moved);
}

async fn a_fill_reaches_the_source_the_tombstone_asks_for(remote: &Guarded) {
    // Where a comparison as text, as floats or as halves would go wrong.
    let edges = [9, 10, 255, 256, (1 << 32) - 1, 1 << 32, (1 << 53) + 1, u64::MAX - 1, u64::MAX];
    for edge in edges {
        let key = format!("source{edge}");
        remove(remote, &key, edge).await;
        let before = seen(remote, &key).await;
        assert_eq!(fill(remote, &key, before, edge - 1).await, Fill::OldSource, "{edge}");
        assert_eq!(fill(remote, &key, before, 0).await, Fill::OldSource, "{edge}");
        assert!(matches!(fill(remote, &key, before, edge).await, Fill::Stored(_)), "{edge}");
        assert_eq!(source(&read(remote, &key).await), edge);
    }
}

async fn a_put_does_not_replace_a_newer_source(remote: &Guarded) {
    let key = "put";
    put(remote, key, 20).await;
    assert_eq!(put(remote, key, 19).await, Put::Superseded);
    assert_eq!(source(&read(remote, key).await), 20);
    assert!(matches!(put(remote, key, 20).await, Put::Stored(_)));
    remove(remote, key, 30).await;
    assert_eq!(put(remote, key, 29).await, Put::Superseded);
    assert!(matches!(put(remote, key, 0).await, Put::Stored(_)), "without a source: as told");
}

async fn a_removal_asks_for_no_less_than_the_one_before(remote: &Guarded) {
    let key = "removed";
    for (asked, expected) in [(0, 0), (40, 40), (30, 40), (0, 40), (50, 50)] {
        remove(remote, key, asked).await;
        assert_eq!(source(&read(remote, key).await), expected, "after {asked}");
    }
    let key = "removed value";
    put(remote, key, 60).await;
    remove(remote, key, 50).await;
    assert_eq!(source(&read(remote, key).await), 60, "a newer write was there");
    put(remote, key, 70).await;
    remove(remote, key, 0).await;
    assert_eq!(source(&read(remote, key).await), 0, "no source was named");
}

async fn versions_only_grow(remote: &Guarded) {
    let key = "versions";
    let mut last = 0;
    for round in 0..200 {
        if round % 2 == 0 {
            put(remote, key, 0).await;
        } else {
            remove(remote, key, 0).await;
        }
        let now = version(&read(remote, key).await);
        assert!(now > last);
        last = now;
    }
}

async fn entries_expire(remote: &Guarded) {
    let key = "ttl";
    for ttl in [Duration::from_nanos(1), Duration::from_millis(30)] {
        remote.put(key, record(0), ttl, KEEP).await.expect("in reach");
        until("it expired", || async { read(remote, key).await.bytes.is_none() }).await;
    }
}
