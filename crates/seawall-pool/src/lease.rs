//! A connection that is out, and what happens when it comes back.
//!
//! It goes back to the pool only if nothing is running on it and it carries no
//! state of its borrower. A statement whose future was dropped would block the
//! next borrower until it ends, so such a connection is taken out of the pool
//! and its statement cancelled. A connection that may carry state (an open
//! transaction, settings, locks) is first reset by a task of its own.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Object};
use tokio::time::timeout;
use tokio_postgres::NoTls;

use crate::exec::Session;
use crate::node::Node;

/// A connection on loan, never empty until it is dropped.
pub(crate) struct Lease {
    object: Option<Object>,
    pub(crate) node: Arc<Node>,
    pub(crate) marks: Marks,
}

/// What is known about a connection on loan.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// Statements sent and not finished. One whose future was dropped stays
    /// counted.
    busy: AtomicU32,
    /// Whether the borrower may have left state behind.
    dirty: AtomicBool,
}

impl Marks {
    pub(crate) fn begin(&self) {
        self.busy.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.busy.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn soil(&self) {
        self.dirty.store(true, Ordering::Relaxed);
    }
}

impl Lease {
    pub(crate) fn new(object: Object, node: Arc<Node>) -> Self {
        Self { object: Some(object), node, marks: Marks::default() }
    }

    pub(crate) fn client(&self) -> &ClientWrapper {
        match &self.object {
            Some(object) => object,
            None => unreachable!("a lease holds its connection until it is dropped"),
        }
    }

    pub(crate) fn session(&self) -> Session<'_> {
        let client = self.client();
        Session {
            client,
            statements: &client.statement_cache,
            node: &self.node,
            marks: &self.marks,
            in_transaction: false,
        }
    }

    pub(crate) fn client_mut(&mut self) -> (&mut ClientWrapper, &Arc<Node>, &Marks) {
        match &mut self.object {
            Some(object) => (object, &self.node, &self.marks),
            None => unreachable!("a lease holds its connection until it is dropped"),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(object) = self.object.take() else {
            return;
        };
        if self.marks.busy.load(Ordering::Relaxed) > 0 {
            discard(object, &self.node);
        } else if self.marks.dirty.load(Ordering::Relaxed) && !object.is_closed() {
            let node = Arc::clone(&self.node);
            self.node.runtime.spawn(reset(object, node));
        } else {
            give_back(object, &self.node);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("node", &self.node.name)
            .field("marks", &self.marks)
            .finish_non_exhaustive()
    }
}

/// Ends an open transaction and drops everything a session can carry, except
/// prepared statements, which the next borrower wants.
async fn reset(object: Object, node: Arc<Node>) {
    match timeout(RESET_LIMIT, object.batch_execute(RESET)).await {
        Ok(Ok(())) => give_back(object, &node),
        Ok(Err(_)) | Err(_) => discard(object, &node),
    }
}

/// Takes the connection out of the pool, which frees its place at once, cancels
/// what runs on it, and closes it. The server stops working on a
/// statement only if it is told: a closed socket is not noticed until it
/// has rows to send.
fn discard(object: Object, node: &Arc<Node>) {
    let client = Object::take(object);
    node.metrics.discarded.increment(1);
    closed_one_returned(node);
    if client.is_closed() || node.is_down() {
        return;
    }
    node.runtime.spawn(async move {
        // Held until the cancel request is through, so that the request cannot
        // hit another session that got the same process number.
        let token = client.cancel_token();
        if !matches!(timeout(CANCEL_LIMIT, token.cancel_query(NoTls)).await, Ok(Ok(()))) {
            tracing::debug!("a cancel request did not get through");
        }
        drop(client);
    });
}

fn give_back(object: Object, node: &Arc<Node>) {
    drop(object);
    closed_one_returned(node);
}

/// A shutdown under way waits for connections to come back.
fn closed_one_returned(node: &Node) {
    if node.connections().is_closed() {
        node.returned.notify_waiters();
    }
}

const RESET: &str = "ROLLBACK; CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; \
     SELECT pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES";
/// A reset takes one round trip. If it takes this long, a statement that the
/// borrower dropped is still running in front of it.
const RESET_LIMIT: Duration = Duration::from_millis(250);
const CANCEL_LIMIT: Duration = Duration::from_secs(1);
