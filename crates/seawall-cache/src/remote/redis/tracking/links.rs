//! A link to each master, as masters come and go.

use std::collections::HashMap;
use std::sync::Arc;

use fred::types::config::Config;
use seawall_redis::{Change, Reach};
use tokio::task::JoinHandle;

use super::Shared;
use super::board::Missed;
use super::link::Link;

/// The links that are kept.
pub(super) struct Links {
    shared: Arc<Shared>,
    running: HashMap<u32, Running>,
}

/// Ends with its owner.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Links {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, running: HashMap::new() }
    }

    /// Masters came or went, or slots changed hands.
    pub(super) fn follow(&mut self, change: &Change, reach: &Reach) {
        let board = Arc::clone(&self.shared.board);
        for node in &change.left {
            self.running.remove(node);
            board.leaves(*node);
        }
        // Who gave slots to a master that is not listened to yet is told of when it is.
        for node in change.gave_slots.iter().chain(&change.left) {
            board.lost(*node, Missed::Moved);
        }
        for node in &change.joined {
            board.joins(*node);
            if let Some(config) = reach.to(*node) {
                self.start(*node, config, change.gave_slots.clone());
            }
        }
    }

    fn start(&mut self, node: u32, config: Config, also: Vec<u32>) {
        let link = Link::new(node, config, also, Arc::clone(&self.shared));
        self.running.insert(node, Running(tokio::spawn(link.keep())));
    }
}
