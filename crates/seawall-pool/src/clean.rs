//! Putting a connection right before it is lent again: what still runs on it is
//! cancelled, what its borrower left is taken away.
//!
//! The connection is in quarantine meanwhile: it counts, and nobody has it. It
//! leaves when the server has confirmed that everything sent on it is over, the
//! cancel request (which travels on a connection of its own) has been dealt
//! with, and no transaction is open; or, after a limit, it is closed. One that is
//! spoilt is closed in any case, once nothing runs on it.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use scopeguard::{ScopeGuard, guard};
use tokio::time::timeout;

use crate::checkout::HeldLink;
use crate::lease::Marks;
use crate::ledger::Reason;
use crate::link::Link;
use crate::node::Node;
use crate::wire::Traces;

/// Starts it. The connection goes back by itself.
pub(crate) fn begin(held: HeldLink, node: &Arc<Node>, marks: &Marks) {
    let work = Work { busy: marks.is_busy(), dirty: marks.is_dirty() };
    let spoilt = marks.is_spoilt() || held.connection.wire.is_adrift();
    node.books.lock().begin_cleaning(&held);
    // A task that never runs must not hand the connection on as it is.
    let quarantine = guard((held, Arc::clone(node)), |(held, node)| {
        node.metrics.discarded.increment(1);
        node.retire(held, Reason::Unsettled);
    });
    if work.busy && node.is_down() {
        return;
    }
    node.spawn(async move {
        let (held, node) = &*quarantine;
        let work = work.run(&held.connection, node);
        if timeout(node.limits.cancel, work).await.unwrap_or(false)
            && !spoilt
            && !held.connection.wire.is_adrift()
        {
            let (held, node) = ScopeGuard::into_inner(quarantine);
            node.give_back(held);
        }
    });
}

/// What a connection came home with.
#[derive(Clone, Copy)]
struct Work {
    /// A statement whose end was not waited for.
    busy: bool,
    /// A borrower who may have changed the session.
    dirty: bool,
}

impl Work {
    /// Returns whether the connection is as new.
    async fn run(self, link: &Link, node: &Node) -> bool {
        let grace = grace(link, node);
        // Whether nothing of the borrower is in front of what is sent here.
        let mut clear = false;
        if self.busy || !link.wire.is_idle() {
            // Answered when everything sent before it is over, such as the
            // rollback of a transaction that was dropped.
            let mut marker = pin!(link.is_there());
            let soon = if self.busy { Duration::ZERO } else { grace };
            let answered = match timeout(soon, &mut marker).await {
                Ok(answered) => Some(answered),
                Err(_) => overtake(link, node, grace, marker).await,
            };
            if !matches!(answered, Some(Ok(()))) {
                return false;
            }
            clear = true;
        }
        for _ in 0..ROUNDS {
            let traces = link.wire.traces();
            let dirty = self.dirty || !traces.is_empty();
            let sql = match (dirty, link.wire.is_idle()) {
                (false, true) => return true,
                (false, false) => ROLLBACK.to_owned(),
                (true, true) => RESET.to_owned(),
                (true, false) => format!("{ROLLBACK}; {RESET}"),
            };
            node.metrics.resets.increment(1);
            let sent = if clear {
                // Slow or not, it is not to be stopped.
                link.client.batch_execute(&sql).await.is_ok()
            } else {
                send(link, node, grace, &sql).await
            };
            // A transaction that was begun by a statement nobody waited for shows
            // only now, and takes back what was just reset.
            if sent && link.wire.is_idle() {
                return forget_statements(link, traces).await;
            }
            clear = true;
        }
        false
    }
}

/// Runs `sql`, and stops what is still running in front of it.
async fn send(link: &Link, node: &Node, grace: Duration, sql: &str) -> bool {
    let mut sent = pin!(link.client.batch_execute(sql));
    let done = match timeout(grace, &mut sent).await {
        Ok(done) => Some(done),
        Err(_) => overtake(link, node, grace, sent).await,
    };
    matches!(done, Some(Ok(())))
}

/// Has the server give up what it is doing until `last`, the last thing sent on
/// the connection, is answered. `None` if the request may still be on its way.
async fn overtake<T>(
    link: &Link,
    node: &Node,
    grace: Duration,
    mut last: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    node.metrics.cancelled.increment(1);
    let again = (AGAIN * grace).min(node.limits.cancel / 2);
    loop {
        let (sent, answer) = join(link.cancel(), timeout(again, &mut last)).await;
        if let Err(error) = sent {
            tracing::debug!(node = %node.name, %error, "a cancel request did not get through");
            return None;
        }
        if let Ok(answer) = answer {
            return Some(answer);
        }
    }
}

/// Drops the statements that were prepared by SQL, and forgets those that were
/// dropped by SQL.
async fn forget_statements(link: &Link, traces: Traces) -> bool {
    if traces.prepared() && link.client.batch_execute("DEALLOCATE ALL").await.is_err() {
        return false;
    }
    if traces.prepared() || traces.forgotten() {
        link.statements.clear();
        link.client.statement_cache.clear();
    } else if link.client.statement_cache.size() > link.statements.bound() {
        // Of borrowers who prefer the wrapper's own cache, which has no bound.
        link.client.statement_cache.clear();
    }
    link.wire.forget_traces();
    true
}

const ROLLBACK: &str = "ROLLBACK";

/// Drops everything a session can carry, except prepared statements, which the
/// next borrower wants. Works on a standby too.
const RESET: &str = "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; \
     SELECT pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES";

/// How often a reset is tried.
const ROUNDS: usize = 3;
/// How long a round trip may take before a statement that the borrower dropped is taken to be
/// running in front of it. Opening the connection took several, so a server that is far away
/// or slow has more time; at most half of what there is, or a cancel would come too late.
fn grace(link: &Link, node: &Node) -> Duration {
    (2 * link.opening).max(GRACE).min(node.limits.cancel / 2)
}

const GRACE: Duration = Duration::from_millis(20);
/// How many times the grace after a cancel request the next one is sent: there may be
/// several statements to stop, and the request takes two round trips itself.
const AGAIN: u32 = 3;
