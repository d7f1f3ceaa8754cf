//! Plans of statements, without running them.
//!
//! What the server would do for any value of the parameters is its generic plan. Before PostgreSQL 16, whose
//! `EXPLAIN (GENERIC_PLAN)` says it, one is had by `PREPARE`, `plan_cache_mode =
//! force_generic_plan` and `EXPLAIN EXECUTE` with a `NULL` for each parameter, which works on all versions
//! from 12 on and on standbys. Nothing is executed; all is in a transaction that cannot write and is rolled
//! back.

use crate::aside::Aside;
use crate::error::Error;

/// How a plan is to be written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    #[cfg(feature = "advisor")]
    Json,
}

/// The generic plan of `sql`, one statement of any kind that `PREPARE` takes.
pub(crate) async fn generic(aside: &Aside, sql: &str, format: Format) -> Result<String, Error> {
    aside.batch("BEGIN READ ONLY; SET LOCAL plan_cache_mode = force_generic_plan").await?;
    let planned = in_transaction(aside, sql, format).await;
    // A prepared statement outlives its transaction.
    aside.batch("ROLLBACK; DEALLOCATE ALL").await?;
    planned
}

async fn in_transaction(aside: &Aside, sql: &str, format: Format) -> Result<String, Error> {
    let sql = sql.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    // A text that is several statements is refused by the protocol.
    aside.single(&format!("PREPARE {NAME} AS {sql}")).await?;
    let counted = aside.query(PARAMETERS, &[&NAME]).await?;
    let count = match counted.first() {
        Some(row) => row.try_get::<_, i32>(0).map_err(|source| aside.failed(source))?,
        None => 0,
    };
    let nulls = vec!["NULL"; usize::try_from(count).unwrap_or_default()].join(", ");
    let arguments = if nulls.is_empty() { nulls } else { format!("({nulls})") };
    let format = match format {
        Format::Text => "FORMAT TEXT",
        // With schemas: a name alone may be that of several tables.
        #[cfg(feature = "advisor")]
        Format::Json => "FORMAT JSON, VERBOSE",
    };
    let lines = aside.lines(&format!("EXPLAIN ({format}) EXECUTE {NAME}{arguments}")).await?;
    Ok(lines.join("\n"))
}

const NAME: &str = "seawall_plan";
const PARAMETERS: &str =
    "SELECT cardinality(parameter_types) FROM pg_catalog.pg_prepared_statements WHERE name = $1";
