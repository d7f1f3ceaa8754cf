//! What a pool knows about its nodes, for people and dashboards.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use seawall_balance::Standing;
use tokio::time::Instant;

use crate::{Lag, Lsn, Role};

/// A snapshot of a pool, made by [`Pool::status`](crate::Pool::status).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolStatus {
    /// The primary, then the replicas in the order of the configuration.
    pub nodes: Vec<NodeStatus>,
    /// Writes that wait for a primary ([`BufferConfig`](crate::BufferConfig)).
    pub buffered_writes: usize,
}

/// One node of a [`PoolStatus`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeStatus {
    /// `primary`, `replica-1`, `replica-2`, ...
    pub name: Arc<str>,
    /// Whether this is the primary: the configured one, or the one that took over.
    pub primary: bool,
    /// What the node is for.
    pub role: Role,
    /// Whether it is in rotation.
    pub state: NodeState,
    /// How old that is: when its monitor last had an answer, or none in time. `None` before the
    /// first look.
    pub probed: Option<Duration>,
    /// Whether it took writes when last asked. Always false for a replica.
    pub writable: bool,
    /// How the choice among replicas sees it: lagging, ejected, saturated, draining.
    /// `None` for the primary.
    pub standing: Option<Standing>,
    /// How far behind the primary it was at its last sample. `None` for the
    /// primary and while either position is unknown.
    pub lag: Option<Lag>,
    /// The highest position it is known to have replayed; for the primary, the
    /// position it had written. `None` until the first sample and after the
    /// node was lost.
    pub replay_lsn: Option<Lsn>,
    /// The most connections the pool opens to it.
    pub max_size: usize,
    /// Connections open.
    pub size: usize,
    /// Connections open and not in use.
    pub available: usize,
    /// Connections open and being cleaned after their borrower. Those neither
    /// available nor being cleaned are in use.
    pub cleaning: usize,
    /// Connections being opened, which `size` does not count.
    pub connecting: usize,
    /// Shared connections open, which [`Route::shared`](crate::Route::shared) reads go
    /// over; `size` does not count them. At most [`LaneConfig::lanes`](crate::LaneConfig::lanes);
    /// none before the first such read.
    pub lanes: usize,
    /// Callers waiting for a connection.
    pub waiting: usize,
    /// Whether new work is held back, see [`Pool::pause`](crate::Pool::pause).
    pub paused: bool,
    /// The longest borrow by [`Route::get`](crate::Route::get) that is out.
    pub oldest_borrow: Option<Borrow>,
    /// Statements it has served, failed ones not counted.
    pub served: Served,
}

/// A connection that is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Borrow {
    /// Where in the code it was taken.
    pub site: &'static Location<'static>,
    /// For how long, to within one
    /// [`reap_interval`](crate::PoolConfig::reap_interval).
    pub held: Duration,
}

/// How many statements a node has served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served {
    /// Through `read()` and `analytics()`.
    pub reads: u64,
    /// Through `write()`.
    pub writes: u64,
}

/// Whether a node is in rotation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum NodeState {
    /// The last probe was answered.
    Up,
    /// A connection to it failed, or it was not probed yet. Gets no reads
    /// until its next probe, which is under way.
    Suspect,
    /// Out of rotation.
    Down {
        /// Since when.
        since: Instant,
        /// What the last probe met.
        error: Arc<ProbeError>,
    },
}

impl NodeState {
    /// Whether the node is in rotation.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Up)
    }
}

/// Why a probe of a node failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The connection failed or the server refused.
    #[error("{}", Cause(.0))]
    Postgres(#[source] tokio_postgres::Error),
    /// The answer was not understood.
    #[error("the answer to a probe could not be read")]
    Answer,
    /// A node configured as a replica takes writes. What it holds may have
    /// parted from the primary.
    #[error("configured as a replica, but not in recovery")]
    NotReplica,
    /// The node belongs to another database cluster than the primary.
    #[error("of another cluster: its system identifier is {system:x}, not {known:x}")]
    Foreign {
        /// Its system identifier.
        system: u64,
        /// The one of the primary.
        known: u64,
    },
}

/// The nodes as an error lists them: each with its state and how old that is, its lag, who waits
/// for its connections, and the longest borrow with its place in the code.
#[derive(Clone, Debug)]
pub struct NodeList(pub(crate) Vec<NodeStatus>);

impl fmt::Display for NodeList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, node) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{node}")?;
        }
        Ok(())
    }
}

impl fmt::Display for NodeStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.state)?;
        if self.primary && self.state.is_up() && !self.writable {
            f.write_str(" in recovery")?;
        }
        if let Some(standing) = self.standing.filter(|standing| *standing != Standing::Open)
            && self.state.is_up()
        {
            write!(f, " {standing}")?;
        }
        if let Some(lag) = self.lag.filter(|lag| lag.bytes > 0) {
            write!(f, " {} bytes behind", lag.bytes)?;
        }
        if self.waiting > 0 {
            write!(f, " with {} waiting", self.waiting)?;
        }
        if let Some(probed) = self.probed {
            write!(f, ", probed {:.1} s ago", probed.as_secs_f32())?;
        }
        match self.oldest_borrow {
            Some(Borrow { site, held }) => {
                write!(f, ", oldest borrow {:.1} s at {site}", held.as_secs_f32())
            }
            None => Ok(()),
        }
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up => f.write_str("up"),
            Self::Suspect => f.write_str("suspect"),
            Self::Down { since, error } => {
                write!(f, "down for {:.1} s ({error})", since.elapsed().as_secs_f32())
            }
        }
    }
}

/// Shows what lies behind "db error" and "error connecting to server".
struct Cause<'a>(&'a tokio_postgres::Error);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.as_db_error(), std::error::Error::source(self.0)) {
            (Some(db), _) => write!(f, "{}: {}", db.code().code(), db.message()),
            (None, Some(source)) => write!(f, "{}: {source}", self.0),
            (None, None) => write!(f, "{}", self.0),
        }
    }
}
