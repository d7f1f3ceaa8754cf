//! What can go wrong, in which phase, and whether trying again is safe.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::error::SqlState;

use crate::batch::Progress;
use crate::route::Intent;
use crate::status::{NodeList, NodeStatus, ProbeError};
use crate::{Lsn, Token};

pub(crate) mod classify;

/// Any failure of this crate.
///
/// Nodes are named as in [`PoolStatus`](crate::PoolStatus): `primary`,
/// `replica-1`, `replica-2`. No text of an error holds a parameter or a
/// password; the source of a [`Query`](Self::Query) error is the server's
/// message, which may quote a value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field of the configuration is out of bounds.
    #[error("{field} is {value}, which is not within {bounds}")]
    Config {
        /// The field of [`PoolConfig`](crate::PoolConfig) or [`NodeConfig`](crate::NodeConfig).
        field: &'static str,
        /// What it was set to.
        value: Box<str>,
        /// What it may be set to.
        bounds: Box<str>,
    },
    /// A field of [`RoutingConfig`](crate::RoutingConfig) is out of bounds.
    #[error("the configuration of routing is out of bounds")]
    Routing {
        /// Which, and its bounds.
        source: seawall_balance::Error,
    },
    /// A call asks for a tag that no replica has.
    #[error("no replica has the tag {tag}")]
    UnknownTag {
        /// The tag.
        tag: Box<str>,
    },
    /// A token was made by another database cluster, so nothing here can be said
    /// to be newer or older.
    #[error("the token {token} is of another database cluster than {system:x}")]
    ForeignToken {
        /// The token.
        token: Token,
        /// The cluster of this pool.
        system: u64,
    },
    /// A token is of a timeline newer than any that a primary of this pool was seen on:
    /// what it stands for may be missing here. Passes when the pool has seen
    /// the promotion.
    #[error("the token {token} is of a timeline after {timeline}, the newest known here")]
    UnknownTimeline {
        /// The token.
        token: Token,
        /// The newest timeline known.
        timeline: u32,
    },
    /// The certificates to trust cannot be read, or there are none.
    #[cfg(feature = "tls")]
    #[error("the certificates to trust are not PEM, or none")]
    Certificates,
    /// A connection string cannot be parsed.
    #[error("the connection string of {node} cannot be read")]
    Url {
        /// The node.
        node: Arc<str>,
        /// What is wrong with it.
        source: tokio_postgres::Error,
    },
    /// A connection string names no host, or several.
    #[error("the connection string of {node} names {hosts} hosts, a node is exactly one")]
    Hosts {
        /// The node.
        node: Arc<str>,
        /// How many hosts it names.
        hosts: usize,
    },
    /// Acquiring: a connection could not be made. Nothing was sent.
    #[error("cannot connect to {node}")]
    Connect {
        /// The node.
        node: Arc<str>,
        /// Why not.
        source: tokio_postgres::Error,
    },
    /// Acquiring: making a connection took too long. Nothing was sent.
    #[error("{node} did not complete a connection within {limit:?}")]
    ConnectTimeout {
        /// The node.
        node: Arc<str>,
        /// [`PoolConfig::connect_timeout`](crate::PoolConfig::connect_timeout), or
        /// [`PoolConfig::acquire_timeout`](crate::PoolConfig::acquire_timeout) if that
        /// was up first.
        limit: Duration,
    },
    /// Acquiring: every connection stayed in use. Nothing was sent.
    #[error(
        "no connection to {node} came free within {limit:?} ({size} of {max_size} open, {waiting} waiting); {status}"
    )]
    AcquireTimeout {
        /// The node.
        node: Arc<str>,
        /// [`PoolConfig::acquire_timeout`](crate::PoolConfig::acquire_timeout).
        limit: Duration,
        /// Connections open when the time was up.
        size: usize,
        /// The most connections the pool opens to this node.
        max_size: usize,
        /// Callers still waiting.
        waiting: usize,
        /// The node: its state, and the longest borrow with its place in the code.
        status: Box<NodeStatus>,
        /// Why no connection could be opened, if that was tried.
        #[source]
        cause: Option<Arc<ProbeError>>,
    },
    /// Acquiring: every connection is in use, and as many callers wait as may.
    /// Nothing was sent, and no time was lost.
    #[error("{waiting} callers wait for a connection to {node} already")]
    QueueFull {
        /// The node.
        node: Arc<str>,
        /// How many wait.
        waiting: usize,
    },
    /// Acquiring: as connections come free at this node now, none would before the caller's time is
    /// up ([`PoolConfig::shed_hopeless`](crate::PoolConfig::shed_hopeless)). Nothing was sent, and no
    /// time was lost.
    #[error(
        "a connection to {node} would take {expected:?}, and {left:?} are left ({waiting} callers wait)"
    )]
    QueueSlow {
        /// The node.
        node: Arc<str>,
        /// How many wait.
        waiting: usize,
        /// How long it would take at the rate of the last
        /// [`SizingConfig::window`](crate::SizingConfig::window).
        expected: Duration,
        /// What was left of [`PoolConfig::acquire_timeout`](crate::PoolConfig::acquire_timeout).
        left: Duration,
    },
    /// There is no node of this name.
    #[error("there is no node {name}")]
    UnknownNode {
        /// The name.
        name: Box<str>,
    },
    /// Routing: no node is left that may serve the call.
    #[error("no node left for {}: {nodes}", .intent.name())]
    NoNode {
        /// What the call was for.
        intent: Intent,
        /// Every node and its state.
        nodes: NodeList,
        /// How the last attempt failed, if there was one.
        source: Option<Box<Error>>,
    },
    /// Routing: the primary was found in recovery. Nothing was sent.
    #[error("{node} is in recovery and takes no writes")]
    NotWritable {
        /// The node.
        node: Arc<str>,
    },
    /// Routing: no primary was found while a write waited for one, as long as
    /// [`BufferConfig`](crate::BufferConfig) lets it. Nothing was sent.
    #[error("no primary to write to within {waited:?}")]
    NoPrimary {
        /// How long it waited.
        waited: Duration,
        /// Why there was none when it began to wait.
        source: Box<Self>,
    },
    /// Routing: as many writes wait for a primary as may
    /// ([`BufferConfig::max_writes`](crate::BufferConfig::max_writes)). Nothing was sent.
    #[error("{waiting} writes wait for a primary already")]
    BufferFull {
        /// How many wait.
        waiting: usize,
    },
    /// Routing: the replica has not replayed the position asked for.
    #[error("{node} has replayed {replayed}, not yet {wanted}")]
    Behind {
        /// The node.
        node: Arc<str>,
        /// The position asked for.
        wanted: Lsn,
        /// The position it had.
        replayed: Lsn,
    },
    /// Query: a read was given up because its node was declared down.
    #[error("{node} went down during a read")]
    NodeDown {
        /// The node.
        node: Arc<str>,
    },
    /// Query: the statement failed.
    #[error("statement on {node} failed, {outcome}")]
    Query {
        /// The node.
        node: Arc<str>,
        /// What became of the statement.
        outcome: Outcome,
        /// The error of the server or of the connection.
        source: tokio_postgres::Error,
    },
    /// Query: no answer in time. When the connection is given back, it is closed,
    /// and the statement cancelled on the server unless the node is down.
    #[error("statement on {node} took longer than {limit:?}, {outcome}")]
    QueryTimeout {
        /// The node.
        node: Arc<str>,
        /// The limit that applied.
        limit: Duration,
        /// What became of the statement.
        outcome: Outcome,
    },
    /// `query_one` found no row, or `query_one` or `query_opt` more than one.
    /// The statement was executed.
    #[error("the statement returned {} row, expected {expected}", if *.many { "more than one" } else { "no" })]
    RowCount {
        /// What would have been right.
        expected: &'static str,
        /// Whether there were too many rows.
        many: bool,
    },
    /// Query: the statement takes another number of parameters. Nothing was
    /// executed.
    #[error("the statement takes {expected} parameters and was given {given}")]
    ParameterCount {
        /// How many `$n` it has.
        expected: usize,
        /// How many there were.
        given: usize,
    },
    /// A statement that changes its session, such as `BEGIN`, was given to a
    /// route, where the next statement may run on another connection. Take a
    /// connection with [`Route::get`](crate::Route::get).
    #[error("{keyword} changes its session: run it on a connection taken with get()")]
    SessionStatement {
        /// The first word of the statement, or `CREATE TEMP`.
        keyword: &'static str,
    },
    /// A slow statement is not kept whole and cannot be planned. Nothing was sent.
    #[error("the statement is longer than {limit} bytes and was not kept")]
    TooLong {
        /// Bytes that are kept.
        limit: usize,
    },
    /// Writing in chunks: a chunk failed. What those before it brought stays.
    #[error("chunk {} failed, {} rows were applied before", .done.chunks, .done.rows)]
    Chunk {
        /// What took effect before, so that the chunk's number, from zero, is
        /// [`Progress::chunks`](crate::Progress::chunks).
        done: Progress,
        /// How the chunk failed.
        source: Box<Self>,
    },
    /// Loading: as many callers wait for a query to be sent as may. Nothing was sent.
    #[error("{waiting} callers wait for the loader already")]
    LoaderFull {
        /// How many wait.
        waiting: usize,
    },
    /// Loading: the query for this key and others failed. All its callers share the
    /// error.
    #[error("a query for {keys} keys failed")]
    Batch {
        /// How many keys it was for.
        keys: usize,
        /// How it failed.
        source: Arc<Self>,
    },
    /// Loading: the task that was to ask for the key ended before its time: its runtime
    /// was shut down, or the function that finds the key of a row panicked.
    #[error("the query for the key was given up with its task")]
    BatchLost,
    /// The pool was shut down.
    #[error("the pool was shut down")]
    Closed,
}

/// What became of a statement that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It never reached the server.
    NotSent,
    /// It changed nothing: the server refused it, or its transaction was not
    /// committed, or it was a read.
    NoEffect,
    /// It may or may not have been executed; the answer was lost. Look before
    /// trying again.
    Unknown,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSent => "it was not sent",
            Self::NoEffect => "nothing was changed",
            Self::Unknown => "whether it took effect is unknown",
        })
    }
}

impl Error {
    /// Whether the same call may be made again: it had no effect, and its cause
    /// may pass by itself.
    ///
    /// A failed transaction is to be repeated from its beginning.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::AcquireTimeout { .. }
            | Self::QueueFull { .. }
            | Self::QueueSlow { .. }
            | Self::LoaderFull { .. }
            | Self::NoNode { .. }
            | Self::NotWritable { .. }
            | Self::NoPrimary { .. }
            | Self::BufferFull { .. }
            | Self::UnknownTimeline { .. }
            | Self::Behind { .. }
            | Self::NodeDown { .. } => true,
            Self::Batch { source, .. } => source.is_retryable(),
            // Chunks that took effect would be applied again.
            Self::Chunk { done, source } => done.chunks == 0 && source.is_retryable(),
            Self::QueryTimeout { outcome, .. } => *outcome != Outcome::Unknown,
            Self::Query { outcome, source, .. } => {
                *outcome != Outcome::Unknown && classify::is_transient(source)
            }
            #[cfg(feature = "tls")]
            Self::Certificates => false,
            Self::Config { .. }
            | Self::Routing { .. }
            | Self::ForeignToken { .. }
            | Self::UnknownTag { .. }
            | Self::Url { .. }
            | Self::Hosts { .. }
            | Self::UnknownNode { .. }
            | Self::RowCount { .. }
            | Self::ParameterCount { .. }
            | Self::SessionStatement { .. }
            | Self::TooLong { .. }
            | Self::BatchLost
            | Self::Closed => false,
        }
    }

    /// The SQLSTATE code that the server gave, if it gave one.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&SqlState> {
        match self {
            Self::Connect { source, .. } | Self::Query { source, .. } => source.code(),
            Self::AcquireTimeout { cause: Some(cause), .. } => match &**cause {
                ProbeError::Postgres(source) => source.code(),
                _ => None,
            },
            Self::NoNode { source: Some(source), .. } | Self::Chunk { source, .. } => {
                source.sqlstate()
            }
            Self::Batch { source, .. } => source.sqlstate(),
            Self::NoPrimary { source, .. } => source.sqlstate(),
            _ => None,
        }
    }

    /// What became of the statement, of several the one that failed. `None` where no statement was at stake
    /// (configuration) or where it was executed ([`Error::RowCount`]).
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Query { outcome, .. } | Self::QueryTimeout { outcome, .. } => Some(*outcome),
            Self::NodeDown { .. } | Self::Behind { .. } => Some(Outcome::NoEffect),
            Self::NoNode { source: Some(source), .. } | Self::Chunk { source, .. } => {
                source.outcome()
            }
            Self::Batch { source, .. } => source.outcome(),
            Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::AcquireTimeout { .. }
            | Self::QueueFull { .. }
            | Self::QueueSlow { .. }
            | Self::NoNode { .. }
            | Self::NotWritable { .. }
            | Self::NoPrimary { .. }
            | Self::BufferFull { .. }
            | Self::ParameterCount { .. }
            | Self::SessionStatement { .. }
            | Self::TooLong { .. }
            | Self::LoaderFull { .. }
            | Self::UnknownTag { .. }
            | Self::ForeignToken { .. }
            | Self::UnknownTimeline { .. }
            | Self::Closed => Some(Outcome::NotSent),
            #[cfg(feature = "tls")]
            Self::Certificates => None,
            Self::Config { .. }
            | Self::Routing { .. }
            | Self::Url { .. }
            | Self::Hosts { .. }
            | Self::UnknownNode { .. }
            | Self::BatchLost
            | Self::RowCount { .. } => None,
        }
    }

    /// The state of every node when none was left to serve the call, or of the one that had no
    /// connection.
    #[must_use]
    pub fn nodes(&self) -> &[NodeStatus] {
        match self {
            Self::Batch { source, .. } => source.nodes(),
            Self::Chunk { source, .. } => source.nodes(),
            Self::NoNode { nodes, .. } => &nodes.0,
            Self::AcquireTimeout { status, .. } => std::slice::from_ref(status),
            _ => &[],
        }
    }
}
