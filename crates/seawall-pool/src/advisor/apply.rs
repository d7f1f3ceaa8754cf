//! Doing what was suggested, on request, and looking whether it was done.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::config::AdvisorConfig;
use super::suggestion::{Action, Suggestion, quoted};
use super::{Advisor, primary};
use crate::aside::{Aside, Limits};
use crate::error::Error;
use crate::node::Node;

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// The statement that ran.
    pub sql: String,
    /// How long it took.
    pub took: Duration,
    /// Bytes of the index that was made.
    pub bytes: Option<u64>,
}

/// Why a suggestion was not applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// There is nothing to execute: what to do is for people to find out.
    #[error("the suggestion names no action")]
    NoAction,
    /// Before: the evidence does not hold any more, for example because an index was used since.
    /// Nothing was done.
    #[error("what the suggestion rests on has changed since the report")]
    Outdated,
    /// Before: an index of that name exists. Nothing was done.
    #[error("there is an index {name} already")]
    Exists {
        /// Its name.
        name: String,
    },
    /// Asking the nodes failed before anything was done.
    #[error("the database could not be looked at, nothing was done")]
    Look {
        /// How.
        source: Error,
    },
    /// Doing it failed. An index that was half made was taken away again.
    #[error("the statement failed; nothing is left of it")]
    Failed {
        /// How. [`Error::sqlstate`] is `55P03` where a lock was waited for in vain.
        source: Error,
    },
    /// Doing it failed, and an invalid index is left, which the next report will show.
    #[error("the statement failed, and the invalid index {name} is left")]
    Remains {
        /// The index.
        name: String,
        /// How it failed.
        source: Error,
    },
    /// The statement went through and its effect cannot be seen.
    #[error("the statement was executed, and its effect cannot be seen")]
    NotVerified {
        /// Why not, if looking failed.
        source: Option<Error>,
    },
    /// The task that does it ended before its time: its runtime was shut down.
    #[error("the work was given up with its runtime")]
    Lost,
}

impl ApplyError {
    /// Whether the same call may be made again: nothing was done or left, and the cause may pass.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Look { source } => source.is_retryable(),
            Self::Failed { source } => {
                let locked = Some(&tokio_postgres::error::SqlState::LOCK_NOT_AVAILABLE);
                source.is_retryable() || source.sqlstate() == locked
            }
            _ => false,
        }
    }
}

impl Advisor {
    /// Does what a suggestion says, on the primary, and looks whether it took effect. Never called by the
    /// pool itself.
    ///
    /// Indexes are made and dropped `CONCURRENTLY`, outside a transaction: the table stays in
    /// use. Every lock is waited for no longer than [`AdvisorConfig::lock_timeout`]; while
    /// older transactions run, making an index waits for them too and may so be given up. An index that came out invalid is
    /// dropped again, unless it was there before. Before an index is dropped or made anew, all
    /// nodes are asked again: the suggestion must still stand.
    ///
    /// # Errors
    ///
    /// [`ApplyError`]; only its [`Remains`](ApplyError::Remains) and [`NotVerified`](ApplyError::NotVerified)
    /// may leave something behind.
    ///
    /// Cancel safety: dropped, the work goes on to its end by itself, so that nothing half made is left.
    /// At most [`AdvisorConfig::apply_timeout`].
    pub async fn apply(&self, suggestion: &Suggestion) -> Result<Applied, ApplyError> {
        let action = suggestion.action.clone().ok_or(ApplyError::NoAction)?;
        if matches!(action, Action::DropIndex { .. } | Action::Reindex { .. }) {
            let report = self.report().await.map_err(|source| ApplyError::Look { source })?;
            let stands = |now: &Suggestion| {
                now.finding == suggestion.finding && now.action.as_ref() == Some(&action)
            };
            if !report.suggestions.iter().any(stands) {
                return Err(ApplyError::Outdated);
            }
        }
        let (node, config) = (Arc::clone(primary(self.pool.nodes())), Arc::clone(&self.config));
        let work = tokio::spawn(async move { run(&node, &config, &action).await });
        work.await.unwrap_or(Err(ApplyError::Lost))
    }
}

async fn run(node: &Node, config: &AdvisorConfig, action: &Action) -> Result<Applied, ApplyError> {
    let look = |source| ApplyError::Look { source };
    let aside = Aside::open(node, limits(config)).await.map_err(look)?;
    if let Action::CreateIndex { schema, name, .. } = action
        && state(&aside, schema, name).await.map_err(look)?.is_some()
    {
        return Err(ApplyError::Exists { name: name.clone() });
    }
    let sql = action.sql();
    let began = Instant::now();
    tracing::info!(node = %node.name, statement = %sql, "applying a suggestion");
    let done = aside.single(&sql).await;
    let took = began.elapsed();
    if let Err(source) = done {
        return Err(clear(node, config, action, source).await);
    }
    match effect(&aside, action).await {
        Ok(Some(bytes)) => Ok(Applied { sql, took, bytes }),
        Ok(None) => match action {
            Action::CreateIndex { schema, name, .. } => {
                let dropped = aside.single(&drop_sql(schema, name)).await;
                Err(ApplyError::NotVerified { source: dropped.err() })
            }
            _ => Err(ApplyError::NotVerified { source: None }),
        },
        Err(source) => Err(ApplyError::NotVerified { source: Some(source) }),
    }
}

/// Takes away what a failed statement left, on a connection of its own: the other may be lost.
async fn clear(node: &Node, config: &AdvisorConfig, action: &Action, source: Error) -> ApplyError {
    let (schema, name) = match action {
        // A drop that was broken off leaves the index invalid.
        Action::CreateIndex { schema, name, .. } | Action::DropIndex { schema, name, .. } => {
            (schema, name.clone())
        }
        Action::Reindex { schema, name } => {
            let end = "_ccnew";
            let room = name.floor_char_boundary(LONGEST_NAME - end.len());
            (schema, format!("{}{end}", &name[..room]))
        }
        Action::Analyze { .. } | Action::Vacuum { .. } => return ApplyError::Failed { source },
    };
    // Whoever held it up may hold this up too, and then goes away.
    for _ in 0..ATTEMPTS {
        let Ok(aside) = Aside::open(node, limits(config)).await else { continue };
        match state(&aside, schema, &name).await {
            Ok(None) => return ApplyError::Failed { source },
            // Never touched, or somebody else's, made in the meantime.
            Ok(Some(state)) if state.valid || state.building => {
                return ApplyError::Failed { source };
            }
            _ => {}
        }
        if aside.single(&drop_sql(schema, &name)).await.is_ok() {
            return ApplyError::Failed { source };
        }
    }
    ApplyError::Remains { name, source }
}

fn limits(config: &AdvisorConfig) -> Limits {
    Limits {
        connect: config.timeout,
        statement: config.apply_timeout,
        lock: config.lock_timeout,
        read_only: false,
    }
}

/// Looks whether it is as it should be: the bytes of an index that was made, if one was.
async fn effect(aside: &Aside, action: &Action) -> Result<Option<Option<u64>>, Error> {
    match action {
        Action::CreateIndex { schema, name, .. } | Action::Reindex { schema, name } => {
            let state = state(aside, schema, name).await?.filter(|state| state.valid);
            Ok(state.map(|state| Some(state.bytes)))
        }
        Action::DropIndex { schema, name, .. } => {
            Ok(state(aside, schema, name).await?.is_none().then_some(None))
        }
        Action::Analyze { schema, table } | Action::Vacuum { schema, table } => {
            let rows = aside.query(ANALYZED, &[schema, table]).await?;
            let analyzed = rows.first().map_or(Ok(false), |row| row.try_get(0));
            Ok(analyzed.map_err(|source| aside.failed(source))?.then_some(None))
        }
    }
}

struct State {
    valid: bool,
    building: bool,
    bytes: u64,
}

async fn state(aside: &Aside, schema: &str, name: &str) -> Result<Option<State>, Error> {
    let rows = aside.query(STATE, &[&schema, &name]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let read = || {
        let bytes: i64 = row.try_get(2)?;
        let bytes = u64::try_from(bytes).unwrap_or(0);
        Ok(State { valid: row.try_get(0)?, building: row.try_get(1)?, bytes })
    };
    read().map(Some).map_err(|source| aside.failed(source))
}

fn drop_sql(schema: &str, name: &str) -> String {
    format!("DROP INDEX CONCURRENTLY IF EXISTS {}.{}", quoted(schema), quoted(name))
}

const STATE: &str = "/* seawall-advisor */ \
     SELECT coalesce(i.indisvalid AND i.indisready AND i.indislive, true), \
     EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index AS b \
             WHERE b.index_relid = c.oid), \
     pg_relation_size(c.oid) \
     FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
     LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid \
     WHERE n.nspname = $1 AND c.relname = $2";

const ANALYZED: &str = "/* seawall-advisor */ SELECT c.reltuples >= 0 \
     FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
     WHERE n.nspname = $1 AND c.relname = $2";

const ATTEMPTS: usize = 3;
/// Bytes, `NAMEDATALEN` less one.
const LONGEST_NAME: usize = 63;
