//! Replacing old entries by tombstones, step by step, on each master.

use std::time::Duration;

use bytes::Bytes;
use fred::interfaces::{ClusterInterface, KeysInterface};
use fred::types::config::Server;
use futures_util::future::try_join_all;

use super::connection::{Connection, connected, eight, millis};
use crate::marks::glob;
use crate::record;
use crate::remote::{RemoteError, Swept};
use crate::text;

/// See [`Remote::sweep`](crate::remote::Remote::sweep). A SCAN page at a time is held in memory;
/// slots that move between masters meanwhile may be missed.
pub(super) async fn sweep(
    connection: &Connection,
    pattern: &str,
    before: u64,
    keep: Duration,
    progress: &(dyn Fn(Swept) + Send + Sync),
) -> Result<Swept, RemoteError> {
    connected(&connection.client)?;
    let on_redis = [glob::escape(&connection.key_prefix), glob::relaxed(pattern)].concat();
    let nodes = masters(connection);
    let mut swept = Swept { nodes: nodes.len() as u32, ..Swept::default() };
    for node in &nodes {
        let mut cursor = "0".to_owned();
        loop {
            let keys;
            (cursor, keys) = page(connection, node.as_ref(), cursor, &on_redis).await?;
            // What Redis found may be too much: its names are escaped, and the pattern is not.
            let texts = keys.iter().filter_map(|key| std::str::from_utf8(key).ok());
            let texts = texts.filter_map(|key| key.strip_prefix(&*connection.key_prefix));
            let texts = texts.filter(|text| {
                text::plain(text).is_some_and(|plain| glob::matches(pattern, &plain))
            });
            let bury = async |text: &str| {
                let tombstone = record::tombstone(text, 0).into();
                let arguments = [tombstone, millis(keep), eight(before)];
                let answer = connection.entry(&connection.scripts.sweep, text, arguments);
                answer.await.map(|(buried, _): (u64, u64)| buried)
            };
            // fred writes them as one pipeline.
            let buried: Vec<u64> = try_join_all(texts.map(bury)).await?;
            swept.scanned += buried.len() as u64;
            swept.removed += buried.iter().sum::<u64>();
            if cursor == "0" {
                break;
            }
            progress(swept);
        }
        swept.nodes_done += 1;
        progress(swept);
    }
    Ok(swept)
}

/// The masters of a cluster that serve slots; `None` stands for the only node.
fn masters(connection: &Connection) -> Vec<Option<Server>> {
    if !connection.topology.is_cluster() {
        return vec![None];
    }
    let routing = connection.client.cached_cluster_state();
    routing.into_iter().flat_map(|routing| routing.unique_primary_nodes()).map(Some).collect()
}

async fn page(
    connection: &Connection,
    node: Option<&Server>,
    cursor: String,
    pattern: &str,
) -> Result<(String, Vec<Bytes>), RemoteError> {
    let pattern = pattern.to_owned();
    let page = match node {
        Some(node) => {
            let client = connection.client.with_cluster_node(node);
            client.scan_page(cursor, pattern, Some(PAGE), None).await
        }
        None => connection.client.scan_page(cursor, pattern, Some(PAGE), None).await,
    };
    page.map_err(|error| connection.classify(error))
}

/// Keys that Redis looks at in one step.
const PAGE: u32 = 512;
