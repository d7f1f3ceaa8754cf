//! What every remote must do: the one in this process, a Redis, a Redis cluster.

mod entries;
mod leases;
mod marks;
mod sweeps;

use std::time::Duration;

use bytes::Bytes;
use seawall_cache::{
    Fetched, Fill, Guarded, Leased, MemoryRemote, OutageConfig, Put, Redis, Seen, Ticket,
};
use seawall_devstack::Stack;

use crate::config;

pub(crate) const TTL: Duration = Duration::from_secs(60);
pub(crate) const KEEP: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_remote_in_this_process_conforms() {
    let outage = OutageConfig::default();
    all(&Guarded::new(MemoryRemote::default(), "memory", KEEP, &outage)).await;
}

#[tokio::test]
async fn redis_conforms() {
    let stack = crate::stack().await;
    all(&patient(stack.redis().expect("asked for").url()).await).await;
}

#[tokio::test]
async fn a_redis_cluster_conforms() {
    let stack = Stack::builder().redis_cluster().start().await.expect("redis-server is installed");
    all(&patient(stack.redis_cluster().expect("asked for").url()).await).await;
}

pub(crate) async fn patient(url: String) -> Guarded {
    Redis::connect(config(url)).await.expect("it is up").into()
}

async fn all(remote: &Guarded) {
    entries::all(remote).await;
    leases::all(remote).await;
    marks::all(remote).await;
    sweeps::all(remote).await;
}

/// A record as the trait describes it: only these fields matter here.
pub(crate) fn record(source: u64) -> Bytes {
    stamped(source, 0)
}

/// One with a namespace stamp.
fn stamped(source: u64, stamp: u64) -> Bytes {
    let mut bytes = b"SWC\x02".to_vec();
    bytes.resize(64, 0);
    bytes[16..24].copy_from_slice(&source.to_be_bytes());
    bytes[52..60].copy_from_slice(&stamp.to_be_bytes());
    bytes.extend_from_slice(b"payload with \x00 and \xff");
    bytes.into()
}

pub(crate) fn version(fetched: &Fetched) -> u64 {
    let ours = fetched.bytes.as_ref().filter(|bytes| bytes.starts_with(b"SWC"));
    let bytes = ours.and_then(|bytes| bytes.get(8..16));
    bytes.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().expect("8 bytes")))
}

fn source(fetched: &Fetched) -> u64 {
    let bytes = fetched.bytes.as_ref().expect("there");
    u64::from_be_bytes(bytes[16..24].try_into().expect("8 bytes"))
}

fn is_tombstone(fetched: &Fetched) -> bool {
    fetched.bytes.as_ref().is_some_and(|bytes| bytes[4] == 2)
}

pub(crate) async fn read(remote: &Guarded, text: &str) -> Fetched {
    remote.read(text).await.expect("in reach")
}

pub(crate) async fn seen(remote: &Guarded, text: &str) -> Seen {
    let fetched = read(remote, text).await;
    Seen { version: version(&fetched), at: fetched.now }
}

pub(crate) async fn fill(
    remote: &Guarded,
    text: &str,
    seen: Seen,
    token: Option<u64>,
    source: u64,
) -> Fill {
    let ticket = Ticket { seen, keep: KEEP, token };
    remote.fill(text, ticket, record(source), TTL).await.expect("in reach")
}

pub(crate) async fn put(remote: &Guarded, text: &str, source: u64) -> Put {
    remote.put(text, record(source), TTL, KEEP).await.expect("in reach")
}

pub(crate) async fn remove(remote: &Guarded, text: &str, source: u64) -> u64 {
    remote.remove(text, source, KEEP).await.expect("in reach")
}

pub(crate) async fn lease(remote: &Guarded, text: &str, seen: Seen, token: u64) -> Leased {
    remote.lease(text, seen, token, KEEP).await.expect("in reach")
}
