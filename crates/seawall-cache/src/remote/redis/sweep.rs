//! Replacing old entries by tombstones, step by step, on each master.

use std::time::Duration;

use bytes::Bytes;
use fred::interfaces::KeysInterface;
use futures_util::future::try_join_all;
use seawall_redis::gone;

use super::connection::{Connection, eight, millis};
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
    let on_redis = [glob::escape(&connection.key_prefix), glob::relaxed(pattern)].concat();
    let nodes = connection.topology().serving();
    if nodes.is_empty() {
        // None is known yet.
        return Err(connection.classify(gone()));
    }
    let mut swept = Swept { nodes: nodes.len() as u32, ..Swept::default() };
    for node in &nodes {
        let mut cursor = "0".to_owned();
        loop {
            let keys;
            (cursor, keys) = page(connection, *node, cursor, &on_redis).await?;
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
                answer.await.map(|((buried, _), _): ((u64, u64), u32)| buried)
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

async fn page(
    connection: &Connection,
    node: u32,
    cursor: String,
    pattern: &str,
) -> Result<(String, Vec<Bytes>), RemoteError> {
    let way = connection.routes.to(node).map_err(|error| connection.classify(error))?;
    let page = way.client().scan_page(cursor, pattern.to_owned(), Some(PAGE), None).await;
    page.map_err(|error| connection.classify(error))
}

/// Keys that Redis looks at in one step.
const PAGE: u32 = 512;
