//! Keeping a node's connections warm, few and sound, off the request path.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use crate::PoolConfig;
use crate::node::Node;
use crate::sizing::Sizer;

/// Looks after `node` for ever: at an interval, and at once when a connection
/// ends. Ends when its task is aborted.
pub(crate) async fn run(node: Arc<Node>, config: Arc<PoolConfig>) {
    let mut fill_again = Instant::now();
    let mut sizer = Sizer::new(&config.sizing, config.reap_interval, fill_again);
    loop {
        let now = Instant::now();
        node.review(now);
        node.ring_for_the_forgotten(now);
        let missing = node.is_short();
        if missing && now >= fill_again && !node.is_down() {
            let opening = node.books.lock().claim_spare();
            node.open(opening);
            fill_again = now + config.create_retry_interval;
        }
        let look = sizer.tend(&node, now);
        gauges(&node);
        let next = look.min(now + config.reap_interval);
        let next = if missing {
            next.min(fill_again.max(now + config.create_retry_interval))
        } else {
            next
        };
        let _ = timeout_at(next, node.tend.notified()).await;
    }
}

fn gauges(node: &Node) {
    let books = node.books.lock();
    let (counts, max) = (books.counts(), books.max());
    drop(books);
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a double")]
    {
        node.metrics.idle.set(counts.idle as f64);
        node.metrics.used.set((counts.lent + counts.cleaning) as f64);
        node.metrics.waiting.set(counts.waiting as f64);
        node.metrics.max.set(max as f64);
    }
}

impl Node {
    /// Closes connections that are dead, worn out, or idle for long and not among
    /// those to keep; reports borrows that last too long.
    fn review(self: &Arc<Self>, now: Instant) {
        let mut books = self.books.lock();
        let closing = books.review(now, |link| link.is_closed());
        let (overdue, ended) = (books.overdue(), books.overdue_ended());
        drop(books);
        for (link, reason) in closing {
            self.destroy(link, reason);
        }
        for borrow in overdue {
            self.metrics.leaks.increment(1);
            tracing::warn!(
                node = %self.name,
                site = %borrow.site,
                held = borrow.held.as_secs_f64(),
                "a connection has been out for long"
            );
        }
        for borrow in ended {
            tracing::warn!(
                node = %self.name,
                site = %borrow.site,
                held = borrow.held.as_secs_f64(),
                "a connection that was out for long is back"
            );
        }
        self.settle();
    }

    /// Whether fewer connections are open than are to be kept.
    pub(crate) fn is_short(&self) -> bool {
        let books = self.books.lock();
        books.counts().open() < books.min()
    }
}
