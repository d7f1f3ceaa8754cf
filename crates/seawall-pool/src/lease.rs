//! A connection that is out, and what happens when it comes back.
//!
//! It goes back to the pool only if nothing is running on it and it carries no
//! state of its borrower. A statement whose future was dropped would block the
//! next borrower until it ends, so such a connection is taken out of the pool
//! and its statement cancelled. A connection that may carry state (an open
//! transaction, settings, locks) is first reset by a task of its own.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Object};
use scopeguard::{ScopeGuard, guard};
use tokio::time::timeout;
use tokio_postgres::NoTls;

use crate::exec::Session;
use crate::node::Node;

/// A connection on loan; goes home when dropped.
pub(crate) struct Lease(ScopeGuard<Loan, fn(Loan)>);

/// What a lease holds.
pub(crate) struct Loan {
    object: Object,
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

    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn soil(&self) {
        self.dirty.store(true, Ordering::Relaxed);
    }
}

impl Lease {
    pub(crate) fn new(object: Object, node: Arc<Node>) -> Self {
        Self(guard(Loan { object, node, marks: Marks::default() }, take_home))
    }

    pub(crate) fn client(&self) -> &ClientWrapper {
        &self.object
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
        let Loan { object, node, marks } = &mut *self.0;
        (object, node, marks)
    }
}

impl Deref for Lease {
    type Target = Loan;

    fn deref(&self) -> &Loan {
        &self.0
    }
}

fn take_home(Loan { object, node, marks }: Loan) {
    if marks.is_busy() {
        discard(object, &node);
    } else if marks.dirty.load(Ordering::Relaxed) && !object.is_closed() {
        // Made here, so that a task that never runs does not hand it on as it is.
        let object = guard(object, |object| drop(Object::take(object)));
        node.runtime.clone().spawn(reset(object, node));
    } else {
        give_back(object, &node);
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
async fn reset(object: ScopeGuard<Object, impl FnOnce(Object)>, node: Arc<Node>) {
    let result = timeout(RESET_LIMIT, object.batch_execute(RESET)).await;
    let object = ScopeGuard::into_inner(object);
    match result {
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
    // Seldom, because counting them takes a look at each.
    if Object::metrics(&object).recycle_count.is_multiple_of(COUNT_STATEMENTS_EVERY)
        && object.statement_cache.size() > MAX_STATEMENTS
    {
        object.statement_cache.clear();
    }
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
/// Prepared statements that a connection may keep. One that has more forgets
/// them all.
const MAX_STATEMENTS: usize = 500;
const COUNT_STATEMENTS_EVERY: usize = 64;
const CANCEL_LIMIT: Duration = Duration::from_secs(1);
