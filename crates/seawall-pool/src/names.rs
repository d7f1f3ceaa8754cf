//! Following the name of a node to another server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::node::Node;

/// Looks up the name of `node` for ever: every `interval`, and soon after something was found that a
/// change would explain. Each look-up may take `limit`. Ends when its task is aborted.
///
/// If the name stands for none of the servers it stood for before, the connections there are
/// are not lent again: those in use go on until they come back. No answer changes nothing.
pub(crate) async fn run(node: Arc<Node>, interval: Duration, limit: Duration) {
    let mut known = Known::default();
    loop {
        match timeout(limit, node.dialer.look_up()).await {
            Ok(Some(Ok(found))) if known.moved(&found) => {
                tracing::warn!(node = %node.name, "its name stands for another server now");
                node.metrics.moved.increment(1);
                node.evict();
                node.poke.notify_one();
            }
            Ok(Some(Err(error))) => {
                tracing::debug!(node = %node.name, %error, "its name cannot be looked up");
            }
            Ok(_) | Err(_) => {}
        }
        sleep(SHORTEST_GAP.min(interval)).await;
        let _ = timeout(interval.saturating_sub(SHORTEST_GAP), node.doubt.notified()).await;
    }
}

/// The addresses that the name stood for last.
#[derive(Default)]
struct Known(Vec<SocketAddr>);

impl Known {
    /// Takes them in; whether all of them are new.
    fn moved(&mut self, found: &[SocketAddr]) -> bool {
        if found.is_empty() {
            return false;
        }
        let moved = !self.0.is_empty() && !found.iter().any(|address| self.0.contains(address));
        self.0 = found.to_vec();
        moved
    }
}

/// The most often a name is looked up, whatever is found.
const SHORTEST_GAP: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::Known;

    fn at(ports: &[u16]) -> Vec<SocketAddr> {
        ports.iter().map(|port| ([127, 0, 0, 1], *port).into()).collect()
    }

    #[test]
    fn only_a_name_that_stands_for_none_of_the_old_addresses_has_moved() {
        let mut known = Known::default();
        for (found, moved) in [
            (at(&[1]), false),
            (at(&[1]), false),
            (at(&[2, 1]), false),
            (at(&[2]), false),
            (at(&[]), false),
            (at(&[2]), false),
            (at(&[3]), true),
            (at(&[]), false),
            (at(&[2]), true),
        ] {
            assert_eq!(known.moved(&found), moved, "{found:?}");
        }
    }
}
