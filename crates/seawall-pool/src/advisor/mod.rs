//! Advice on indexes and statistics, from what all nodes know (feature `advisor`).
//!
//! ```no_run
//! # async fn example(pool: seawall_pool::Pool) -> Result<(), Box<dyn std::error::Error>> {
//! use seawall_pool::advisor::AdvisorConfig;
//!
//! let advisor = pool.advisor(AdvisorConfig::default())?;
//! let report = advisor.report().await?;
//! println!("{report}");
//! // Nothing is changed unless it is asked for.
//! if let Some(first) = report.suggestions.iter().find(|it| it.action.is_some()) {
//!     let applied = advisor.apply(first).await?;
//!     println!("{} took {:?}", applied.sql, applied.took);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # How it works
//!
//! [`Advisor::collect`] asks every node, over a connection beside the pool's and with short limits, for its
//! `pg_stat_statements` and its counts of scans, and the primary for the catalogue. Replicas count
//! for themselves, so an index that the primary never scans may be what carries a replica: counts are
//! kept by node and judged together. The most expensive statements are planned, not run.
//! [`advise`] then judges this [`Evidence`]; it is a pure function.
//!
//! *Missing indexes*: of each hot statement, the columns that it compares for equality, sorts by with a limit,
//! or restricts to a range make an index in that order, for a table that its plan reads row by
//! row. What the statement would cost with it is asked of the planner where HypoPG is installed, and
//! otherwise estimated by the planner's own rules from the table's size and the distinct values of
//! its columns. Every write pays for every index, so what is saved must be twice what writes
//! cost. *Unused indexes*: no scan on any node, all nodes heard, no replica unknown to the
//! pool, statistics old enough; never one that a rule or replication rests on. *Duplicate and redundant
//! indexes*: the same keys, or a beginning of those of another. *Invalid indexes*: what a failed
//! `CREATE INDEX CONCURRENTLY` left. *Tables*: changed or dead rows, sequential scans.
//!
//! # When not to follow it
//!
//! It sees what `pg_stat_statements` has kept, not what comes next month. Expressions,
//! `LIKE`, full text, JSON and partial indexes are beyond it, and so are partitioned tables, unless a
//! statement names a partition. Conditions count as independent of each other, and extended statistics are
//! not looked at. It was written against PostgreSQL 15; the queries use nothing older than 13 lacks.
//!
//! # Cost
//!
//! A report takes one connection per node for some tens of milliseconds: three queries on each, some more on the
//! primary, and a plan for each hot statement. It is for an hourly or daily task, not for a request.

mod apply;
mod collect;
mod config;
mod evidence;
mod needs;
mod plans;
mod report;
mod rules;
mod suggestion;

use std::sync::Arc;

pub use apply::{Applied, ApplyError};
pub use config::AdvisorConfig;
pub use evidence::{
    ByNode, Column, Evidence, Index, Key, NodeEvidence, Plan, Scan, Statement, StatementSource,
    Table, Trial,
};
pub use report::{Basis, Hot, Note, Report};
pub use rules::advise;
pub use suggestion::{Action, Confidence, Finding, Severity, Suggestion};

use crate::Pool;
use crate::aside::{Aside, Limits};
use crate::error::Error;
use crate::node::Node;

/// Collects, judges, and applies what it is told to. Made by [`Pool::advisor`]; cheap to clone.
#[derive(Clone, Debug)]
pub struct Advisor {
    pool: Pool,
    config: Arc<AdvisorConfig>,
}

impl Pool {
    /// Advice on the database that the pool is connected to. Asks nothing yet.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the first field of `config` that is out of bounds.
    pub fn advisor(&self, config: AdvisorConfig) -> Result<Advisor, Error> {
        config.validate()?;
        Ok(Advisor { pool: self.clone(), config: Arc::new(config) })
    }
}

impl Advisor {
    /// Collects and judges.
    ///
    /// # Errors
    ///
    /// As [`collect`](Self::collect).
    pub async fn report(&self) -> Result<Report, Error> {
        Ok(advise(&self.collect().await?, &self.config))
    }

    /// Asks all nodes, at the same time. A replica that does not answer is noted in
    /// [`NodeEvidence::silent`]; the primary must answer.
    ///
    /// # Errors
    ///
    /// [`Error::Connect`], [`Error::ConnectTimeout`], [`Error::Query`] and [`Error::QueryTimeout`] of the
    /// primary. Nothing is changed on any node.
    ///
    /// Cancel safety: dropped, its connections are closed; what runs on them ends by itself within
    /// [`AdvisorConfig::timeout`].
    pub async fn collect(&self) -> Result<Evidence, Error> {
        let mut evidence = collect::all(self.pool.nodes(), &self.config).await?;
        plans::add(self.pool.nodes(), &self.config, &mut evidence).await?;
        Ok(evidence)
    }
}

/// A connection for questions.
async fn ask(node: &Node, config: &AdvisorConfig) -> Result<Aside, Error> {
    let limits = Limits {
        connect: config.timeout,
        statement: config.timeout,
        lock: config.timeout,
        read_only: true,
    };
    Aside::open(node, limits).await
}

/// The node that takes writes, or took them last.
fn primary(nodes: &[Arc<Node>]) -> &Arc<Node> {
    nodes.iter().find(|node| node.is_primary()).unwrap_or(&nodes[0])
}
