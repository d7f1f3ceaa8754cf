//! A connection that is out, and what happens when it comes back.
//!
//! It goes back as it is only if nothing runs on it, the server says that no
//! transaction is open, and nothing of its borrower is left on it. Everything else
//! is put right by a task of its own ([`clean`]) before it is lent again.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use deadpool_postgres::ClientWrapper;
use scopeguard::{ScopeGuard, guard};
use tokio::time::Instant;

use crate::checkout::HeldLink;
use crate::clean;
use crate::exec::Session;
use crate::ledger::Reason;
use crate::link::Link;
use crate::node::Node;
use crate::statements::Statements;
use crate::wire::Wire;

/// A connection on loan; goes home when dropped.
pub(crate) struct Lease(ScopeGuard<Loan, fn(Loan)>);

/// What a lease holds.
pub(crate) struct Loan {
    held: HeldLink,
    pub(crate) node: Arc<Node>,
    pub(crate) marks: Marks,
    /// When it was handed to a caller who had waited for it or for its sign of life, if that is
    /// just now.
    granted: Option<Instant>,
}

/// What is known about a connection on loan.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// Statements sent and not finished. One whose future was dropped stays
    /// counted.
    busy: AtomicU32,
    /// Whether the borrower may have left state behind.
    dirty: AtomicBool,
    /// Whether it must not be lent again.
    condemned: AtomicBool,
    /// The same, and what runs on it is to be stopped first.
    spoilt: AtomicBool,
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

    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Relaxed)
    }

    /// From now on, until it is said otherwise, answers and requests may not match any more.
    pub(crate) fn spoil(&self, spoilt: bool) {
        self.spoilt.store(spoilt, Ordering::Relaxed);
    }

    pub(crate) fn is_spoilt(&self) -> bool {
        self.spoilt.load(Ordering::Relaxed)
    }
}

impl Lease {
    pub(crate) fn new(held: HeldLink, node: Arc<Node>) -> Self {
        Self(guard(Loan { held, node, marks: Marks::default(), granted: None }, take_home))
    }

    pub(crate) fn client(&self) -> &ClientWrapper {
        &self.link().client
    }

    pub(crate) fn link(&self) -> &Link {
        &self.held.connection
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.link().is_closed()
    }

    /// Notes a time that was read anyway, for the first statement to start from.
    pub(crate) fn granted_at(&mut self, now: Instant) {
        self.0.granted = Some(now);
    }

    pub(crate) fn granted(&self) -> Option<Instant> {
        self.granted
    }

    pub(crate) fn is_stale(&self) -> bool {
        self.held.is_stale()
    }

    /// Closes it when it comes home, unless it is acquitted.
    pub(crate) fn condemn(&self) {
        self.marks.condemned.store(true, Ordering::Relaxed);
    }

    pub(crate) fn acquit(&self) {
        self.marks.condemned.store(false, Ordering::Relaxed);
    }

    pub(crate) fn session(&self) -> Session<'_> {
        let Link { client, statements, wire, .. } = self.link();
        Session { client, statements, wire, node: &self.node, marks: &self.marks }
    }

    pub(crate) fn parts_mut(&mut self) -> Parts<'_> {
        let Loan { held, node, marks, .. } = &mut *self.0;
        let Link { client, statements, wire, .. } = &mut *held.connection;
        Parts { client, statements, wire, node, marks }
    }
}

/// A lease taken apart, for those who need the client for themselves.
pub(crate) struct Parts<'a> {
    pub(crate) client: &'a mut ClientWrapper,
    pub(crate) statements: &'a Statements,
    pub(crate) wire: &'a Wire,
    pub(crate) node: &'a Arc<Node>,
    pub(crate) marks: &'a Marks,
}

impl Deref for Lease {
    type Target = Loan;

    fn deref(&self) -> &Loan {
        &self.0
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

fn take_home(Loan { held, node, marks, .. }: Loan) {
    let link = &held.connection;
    if marks.condemned.load(Ordering::Relaxed) || link.is_closed() {
        node.retire(held, Reason::Broken);
    } else if (marks.is_spoilt() || link.wire.is_adrift()) && !marks.is_busy() {
        node.metrics.discarded.increment(1);
        node.retire(held, Reason::Unsettled);
    } else if marks.is_busy()
        || marks.is_dirty()
        || !link.wire.is_idle()
        || !link.wire.traces().is_empty()
    {
        clean::begin(held, &node, &marks);
    } else {
        node.give_back(held);
    }
}
