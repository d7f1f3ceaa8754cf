//! Keeping a node's connections warm, few and sound, off the request path.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Timeouts;
use futures_util::future::{join, join_all};
use tokio::time::{Instant, sleep_until};

use crate::PoolConfig;
use crate::node::Node;

/// Looks after `node` for ever. Ends when its task is aborted.
pub(crate) async fn run(node: Arc<Node>, config: Arc<PoolConfig>) {
    loop {
        reap(&node, config.idle_timeout);
        fill(&node, config.connect_timeout).await;
        let connections = node.connections().status();
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a double")]
        {
            node.metrics.idle.set(connections.available as f64);
            node.metrics.used.set(connections.size.saturating_sub(connections.available) as f64);
            node.metrics.waiting.set(connections.waiting as f64);
        }
        sleep_until(Instant::now() + EVERY).await;
    }
}

/// Closes connections that are dead, and those unused for `idle_timeout` that
/// are more than the node is to keep.
fn reap(node: &Node, idle_timeout: Duration) {
    let connections = node.connections();
    let mut spare = connections.status().size.saturating_sub(node.min_idle);
    connections.retain(|client, metrics| {
        let old = spare > 0 && metrics.last_used() >= idle_timeout;
        let keep = !client.is_closed() && !old;
        if !keep {
            spare = spare.saturating_sub(1);
        }
        keep
    });
}

/// Opens connections until there are as many as the node is to keep.
///
/// A connection can be added only by taking one while no other is idle, so
/// the idle ones are held until the missing ones have begun to open.
async fn fill(node: &Node, connect_timeout: Duration) {
    let connections = node.connections();
    let status = connections.status();
    let missing = node.min_idle.saturating_sub(status.size);
    if missing == 0 || node.is_down() {
        return;
    }
    let timeouts =
        Timeouts { wait: Some(Duration::ZERO), create: Some(connect_timeout), recycle: None };
    let take = |count| join_all((0..count).map(|_| connections.timeout_get(&timeouts)));
    let idle = take(status.available).await;
    // The second is polled when the first has been, once.
    let (opened, ()) = join(take(missing), async { drop(idle) }).await;
    let failed = opened.iter().filter(|connection| connection.is_err()).count();
    if failed > 0 {
        tracing::debug!(node = %node.name, failed, "could not open spare connections");
    }
}

const EVERY: Duration = Duration::from_secs(1);
