//! What the advisor knows: facts from the catalogue and statistics of all nodes, without any judgement.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Counts by the name of the node.
pub type ByNode = BTreeMap<String, u64>;

/// Facts about one database, collected by [`Advisor::collect`](super::Advisor::collect).
///
/// It can be written to a file and judged elsewhere, see [`advise`](super::advise). It holds texts
/// of statements as `pg_stat_statements` has them, with `$1` in place of values, and no data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Evidence {
    /// The nodes of the pool.
    pub nodes: Vec<NodeEvidence>,
    /// Streaming replicas that the nodes feed, whether they are in the pool or not.
    pub standbys: u64,
    /// Whether the extension HypoPG is there.
    pub hypopg: bool,
    /// The planner's `random_page_cost`.
    pub random_page_cost: f64,
    /// Bytes of a page.
    pub page_bytes: u64,
    /// Tables of users, the largest first. Partitioned tables are not among them, their partitions are.
    pub tables: Vec<Table>,
    /// Their indexes.
    pub indexes: Vec<Index>,
    /// The statements that took the most time over all nodes, the most first.
    pub statements: Vec<Statement>,
    /// Indexes that were tried with HypoPG.
    pub trials: Vec<Trial>,
}

/// What one node contributed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NodeEvidence {
    /// As in [`NodeStatus::name`](crate::NodeStatus::name).
    pub name: String,
    /// Whether it was the primary.
    pub primary: bool,
    /// Why it gave nothing, if it gave nothing.
    pub silent: Option<String>,
    /// Seconds since its statistics were reset, or the database was made.
    pub statistics_age: f64,
    /// Whether it has statistics of statements.
    pub statements: StatementSource,
    /// Seconds since those were reset. As `statistics_age` where the server does not say.
    pub statements_age: f64,
}

/// Whether `pg_stat_statements` can be read, and what to do if not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StatementSource {
    /// It can.
    Available,
    /// The server does not have the extension's files.
    #[default]
    NotInstalled,
    /// The extension was not created in this database.
    NotCreated,
    /// The library was not loaded when the server started.
    NotLoaded,
    /// The role of the pool may not read the texts of other roles.
    NotPermitted,
}

impl StatementSource {
    /// What to do about it; `None` if there is nothing to do.
    #[must_use]
    pub fn remedy(self) -> Option<&'static str> {
        match self {
            Self::Available => None,
            Self::NotInstalled => {
                Some("install the contrib modules of PostgreSQL (Debian: in postgresql-NN)")
            }
            Self::NotCreated => Some("run CREATE EXTENSION pg_stat_statements on the primary"),
            Self::NotLoaded => {
                Some("add pg_stat_statements to shared_preload_libraries and restart the server")
            }
            Self::NotPermitted => Some("grant pg_read_all_stats to the role of the pool"),
        }
    }
}

/// A table and its statistics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Table {
    /// Its number in the catalogue.
    pub oid: i64,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Rows, the planner's estimate or the count of live ones, whichever is more.
    pub rows: f64,
    /// Pages, as of the last vacuum or analyze.
    pub pages: f64,
    /// Row versions that are dead and not yet cleared away.
    pub dead: f64,
    /// Rows inserted, updated and deleted since statistics were reset.
    pub writes: u64,
    /// Rows changed since the last analyze.
    pub changed: f64,
    /// Whether it was ever analyzed.
    pub analyzed: bool,
    /// Sequential scans.
    pub seq_scans: ByNode,
    /// Rows read by them.
    pub seq_rows: ByNode,
    /// Index scans.
    pub index_scans: ByNode,
    /// Its columns.
    pub columns: Vec<Column>,
}

/// A column and what the planner knows about it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Whether its type has a btree order.
    pub sortable: bool,
    /// Distinct values, or if negative, their share of the rows, negated; as in `pg_stats`.
    /// `None` before the first analyze.
    pub n_distinct: Option<f64>,
    /// Share of the rows where it is null.
    pub null_share: f64,
    /// Share of the rows that have the most common value.
    pub top_share: f64,
    /// Mean bytes.
    pub width: f64,
}

/// An index and its statistics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Index {
    /// Its number in the catalogue.
    pub oid: i64,
    /// The number of its table.
    pub table: i64,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// `btree`, `gin`, ...
    pub method: String,
    /// What it is sorted by.
    pub keys: Vec<Key>,
    /// Columns it merely carries.
    pub included: Vec<String>,
    /// The condition of a partial index.
    pub condition: Option<String>,
    /// The statement that makes it.
    pub definition: String,
    /// Whether it keeps values unique.
    pub unique: bool,
    /// Whether it does so at once, and not when the transaction ends.
    pub immediate: bool,
    /// Whether a constraint (primary key, unique, exclusion, or a foreign key that refers to it) rests on it.
    pub constraint: bool,
    /// Whether it tells replication which row is meant.
    pub replica_identity: bool,
    /// Whether the table is clustered by it.
    pub clustered: bool,
    /// Whether it is part of an index of a partitioned table.
    pub partition: bool,
    /// Whether the first column refers to another table.
    pub foreign_key: bool,
    /// Whether queries may use it.
    pub valid: bool,
    /// Whether it is being made right now.
    pub building: bool,
    /// Bytes, as of the last vacuum or analyze.
    pub bytes: u64,
    /// Scans.
    pub scans: ByNode,
}

/// One thing that an index is sorted by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Key {
    /// The column or expression.
    pub text: String,
    /// The column, if it is one.
    pub column: Option<String>,
    /// Operator class, collation and direction: keys are alike only if these are.
    pub kind: String,
}

/// A statement and what it cost on all nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Statement {
    /// `queryid` of `pg_stat_statements`, the same on all nodes of a cluster.
    pub id: i64,
    /// Its text, with `$1` in place of values.
    pub text: String,
    /// How often it ran.
    pub calls: ByNode,
    /// Milliseconds it took in all.
    pub total_ms: f64,
    /// Milliseconds it took at most.
    pub max_ms: f64,
    /// Rows it gave or changed.
    pub rows: u64,
    /// Its generic plan, if it could be had.
    pub plan: Option<Plan>,
}

impl Statement {
    /// How often it ran on all nodes.
    #[must_use]
    pub fn all_calls(&self) -> u64 {
        self.calls.values().sum()
    }

    /// Milliseconds it takes on average.
    #[must_use]
    pub fn mean_ms(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let calls = self.all_calls().max(1) as f64;
        self.total_ms / calls
    }
}

/// The parts of a plan that matter here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Plan {
    /// The planner's cost of all of it.
    pub cost: f64,
    /// Tables that it reads row by row.
    pub scans: Vec<Scan>,
}

/// A sequential scan in a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Scan {
    /// The table's schema.
    pub schema: String,
    /// The table's name.
    pub table: String,
    /// The planner's cost of the scan.
    pub cost: f64,
    /// Rows it expects to be left.
    pub rows: f64,
}

/// An index that HypoPG pretended to have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Trial {
    /// [`Statement::id`].
    pub statement: i64,
    /// [`Table::oid`].
    pub table: i64,
    /// The columns of the index, as in [`Action`](super::Action).
    pub columns: Vec<String>,
    /// The planner's cost of the statement with it.
    pub cost: f64,
}
