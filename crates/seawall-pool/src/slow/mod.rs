//! Statements that took long: what they were, where, and how the server goes about them.

mod config;
mod fingerprint;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

pub use config::SlowConfig;
pub use fingerprint::Fingerprint;

use crate::Pool;
use crate::aside::{Aside, Limits};
use crate::error::Error;
use crate::node::Node;
use crate::plan::{self, Format};
use crate::route::Intent;

/// A statement that took longer than [`PoolConfig::slow_query`](crate::PoolConfig::slow_query), whether it
/// succeeded or not.
#[derive(Clone)]
#[non_exhaustive]
pub struct SlowQuery {
    /// Where it ran.
    pub node: Arc<str>,
    /// What it was for.
    pub intent: Intent,
    /// When it ended.
    pub ended: Instant,
    /// From sending it to its last row, or to where it was given up.
    pub took: Duration,
    /// The same for statements that differ in their values only.
    pub fingerprint: Fingerprint,
    /// Its text with `?` in place of values, at most 2 000 bytes.
    pub statement: Arc<str>,
    /// Its generic plan, if the pool was told to ask for it
    /// ([`SlowConfig::plans_per_minute`]) and has it already. May quote constants of the statement's text.
    pub plan: Option<Arc<str>>,
    /// With its constants; not shown. None if it is too long to be kept.
    sql: Option<Arc<str>>,
    number: u64,
}

impl Pool {
    /// The latest slow statements of all nodes, the oldest first, at most [`SlowConfig::keep`] a node. They
    /// hold no values of parameters. Takes a short lock per node.
    #[must_use]
    pub fn slow_queries(&self) -> Vec<SlowQuery> {
        let mut all: Vec<_> = self.nodes().iter().flat_map(|node| node.slow.all()).collect();
        all.sort_by_key(|query| query.ended);
        all
    }

    /// The plan of a slow statement on the node where it ran, as text; see [`explain`](Self::explain).
    ///
    /// # Errors
    ///
    /// As [`explain`](Self::explain), and [`Error::TooLong`] for a statement of more than 16 KiB.
    pub async fn plan_of(&self, query: &SlowQuery) -> Result<String, Error> {
        let sql = query.sql.as_deref().ok_or(Error::TooLong { limit: KEPT_BYTES })?;
        self.explain(&query.node, sql).await
    }

    /// What a node would do for `sql` whatever its parameters are: the generic plan, as text of `EXPLAIN`.
    /// The statement is not executed. It may have `$1`, ...; their values do not count.
    ///
    /// Takes a connection beside the pool's, and five round trips. On PostgreSQL 12 and later.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownNode`]; [`Error::Connect`], [`Error::ConnectTimeout`]; [`Error::Query`] if
    /// the server does not plan such a statement (`SELECT`, `INSERT`, `UPDATE`, `DELETE`, `MERGE` and
    /// `VALUES` it does), or cannot tell the type of a parameter; [`Error::QueryTimeout`] after 3 s. Nothing was changed.
    ///
    /// Cancel safety: dropped, its connection is closed.
    pub async fn explain(&self, node: &str, sql: &str) -> Result<String, Error> {
        let found = self.nodes().iter().find(|known| *known.name == *node);
        let node = found.ok_or_else(|| Error::UnknownNode { name: node.into() })?;
        explain(node, sql).await
    }
}

/// The slow statements of one node.
pub(crate) struct SlowLog {
    config: SlowConfig,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    queries: VecDeque<SlowQuery>,
    next: u64,
    /// When the plans of this minute began, and how many there were.
    minute: Option<(Instant, u32)>,
}

impl SlowLog {
    pub(crate) fn new(config: &SlowConfig) -> Self {
        Self { config: config.clone(), kept: Mutex::default() }
    }

    /// Takes a statement in and returns its fingerprint.
    pub(crate) fn caught(
        &self,
        node: &Arc<Node>,
        sql: &str,
        intent: Intent,
        took: Duration,
    ) -> Fingerprint {
        let (fingerprint, statement) = fingerprint::normalise(sql);
        if self.config.keep == 0 {
            return fingerprint;
        }
        let now = Instant::now();
        let sql: Option<Arc<str>> = (sql.len() <= KEPT_BYTES).then(|| sql.into());
        let query = SlowQuery {
            node: Arc::clone(&node.name),
            intent,
            ended: now,
            took,
            fingerprint,
            statement: statement.into(),
            plan: None,
            sql: sql.clone(),
            number: 0,
        };
        let (number, may_plan) = self.kept.lock().take(query, &self.config, now);
        if let Some(sql) = sql.filter(|_| may_plan) {
            let node = Arc::clone(node);
            let home = Arc::clone(&node);
            home.spawn_at_home(async move {
                node.metrics.slow_plans.increment(1);
                match explain(&node, &sql).await {
                    Ok(plan) => node.slow.kept.lock().planned(number, &plan),
                    Err(error) => tracing::debug!(node = %node.name, %error, "no plan"),
                }
            });
        }
        fingerprint
    }

    fn all(&self) -> Vec<SlowQuery> {
        self.kept.lock().queries.iter().cloned().collect()
    }
}

impl Kept {
    /// Returns its number, and whether a plan may be asked for.
    fn take(&mut self, query: SlowQuery, config: &SlowConfig, now: Instant) -> (u64, bool) {
        let number = self.next;
        self.next += 1;
        while self.queries.len() >= config.keep {
            self.queries.pop_front();
        }
        // What was planned lately is not planned again: the plan is the same.
        let known = self
            .queries
            .iter()
            .rev()
            .find(|known| known.fingerprint == query.fingerprint && known.plan.is_some());
        let plan = known.and_then(|known| known.plan.clone());
        let may_plan = plan.is_none() && self.may_plan(config.plans_per_minute, now);
        self.queries.push_back(SlowQuery { number, plan, ..query });
        (number, may_plan)
    }

    fn may_plan(&mut self, per_minute: u32, now: Instant) -> bool {
        let (began, count) = match self.minute {
            Some((began, count)) if now.saturating_duration_since(began) < MINUTE => (began, count),
            _ => (now, 0),
        };
        let may = count < per_minute;
        self.minute = Some((began, count + u32::from(may)));
        may
    }

    fn planned(&mut self, number: u64, plan: &str) {
        if let Ok(at) = self.queries.binary_search_by_key(&number, |query| query.number) {
            self.queries[at].plan = Some(plan.into());
        }
    }
}

async fn explain(node: &Node, sql: &str) -> Result<String, Error> {
    let limits = Limits {
        connect: node.limits.connect,
        statement: PLANNING,
        lock: PLANNING,
        read_only: true,
    };
    let aside = Aside::open(node, limits).await?;
    plan::generic(&aside, sql, Format::Text).await
}

/// Without the constants of its text.
impl fmt::Debug for SlowQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlowQuery")
            .field("node", &self.node)
            .field("took", &self.took)
            .field("fingerprint", &self.fingerprint)
            .field("statement", &self.statement)
            .finish_non_exhaustive()
    }
}

/// Bytes of a statement that is kept whole.
const KEPT_BYTES: usize = 16 * 1024;
const PLANNING: Duration = Duration::from_secs(3);
const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
