//! Plans of the hot statements, and what HypoPG says to indexes that do not exist.

use std::sync::Arc;

use serde_json::Value;

use super::config::AdvisorConfig;
use super::evidence::{Evidence, Plan, Scan, Trial};
use super::rules::candidates;
use super::suggestion::quoted;
use super::{ask, primary};
use crate::aside::Aside;
use crate::error::Error;
use crate::node::Node;
use crate::plan::{self, Format};

/// Plans statements on a replica if one is up, else on the primary. A statement that cannot be planned
/// without its values goes without.
pub(super) async fn add(
    nodes: &[Arc<Node>],
    config: &AdvisorConfig,
    evidence: &mut Evidence,
) -> Result<(), Error> {
    let replica = nodes.iter().find(|node| !node.is_primary() && node.is_up());
    let mut aside = None;
    if let Some(replica) = replica {
        aside = ask(replica, config).await.ok();
    }
    let aside = match aside {
        Some(aside) => aside,
        None => ask(primary(nodes), config).await?,
    };
    // Those that cannot lead to an index are not worth a plan.
    let mut wanted: Vec<usize> =
        candidates(evidence, config).0.into_iter().map(|it| it.statement).collect();
    wanted.dedup();
    for at in wanted {
        let text = evidence.statements[at].text.clone();
        match planned(&aside, &text).await {
            Ok(plan) => evidence.statements[at].plan = plan,
            Err(error) if error.sqlstate().is_some() => {
                tracing::debug!(%error, "a statement cannot be planned without its values");
            }
            // The node is in trouble: the rest of the advice stands without plans.
            Err(error) => {
                tracing::warn!(%error, "no plans of statements");
                return Ok(());
            }
        }
    }
    if evidence.hypopg {
        // Left out where it does not work: the estimates stand then.
        if let Err(error) = try_out(&aside, config, evidence).await {
            tracing::warn!(%error, "HypoPG is installed and does not work");
        }
    }
    Ok(())
}

/// Has the planner pretend that each candidate existed. HypoPG keeps that in the session's memory, so
/// it works on a standby, and nobody else sees it.
async fn try_out(
    aside: &Aside,
    config: &AdvisorConfig,
    evidence: &mut Evidence,
) -> Result<(), Error> {
    let found = aside.query(SCHEMA, &[]).await?;
    let Some(row) = found.first() else { return Ok(()) };
    let schema: String = row.try_get(0).map_err(|source| aside.failed(source))?;
    let (pretend, forget) =
        (HYPOTHETICAL.replace("{schema}", &schema), FORGET.replace("{schema}", &schema));
    for candidate in candidates(evidence, config).0 {
        let (statement, table) =
            (&evidence.statements[candidate.statement], &evidence.tables[candidate.table]);
        let columns: Vec<_> = candidate.columns.iter().map(|column| quoted(column)).collect();
        let index = format!(
            "CREATE INDEX ON {}.{} ({})",
            quoted(&table.schema),
            quoted(&table.name),
            columns.join(", ")
        );
        let plan = match aside.query(&pretend, &[&index]).await {
            Ok(_) => planned(aside, &statement.text).await,
            Err(error) => Err(error),
        };
        aside.query(&forget, &[]).await?;
        let plan = match plan {
            Ok(plan) => plan,
            // This one only: of others the planner may know more.
            Err(error) if error.sqlstate().is_some() => {
                tracing::debug!(%error, "an index cannot be tried out");
                continue;
            }
            Err(error) => return Err(error),
        };
        if let Some(plan) = plan {
            let trial = Trial {
                statement: statement.id,
                table: table.oid,
                columns: candidate.columns,
                cost: plan.cost,
            };
            evidence.trials.push(trial);
        }
    }
    Ok(())
}

async fn planned(aside: &Aside, sql: &str) -> Result<Option<Plan>, Error> {
    Ok(read(&plan::generic(aside, sql, Format::Json).await?))
}

/// Reads the answer to `EXPLAIN (FORMAT JSON, VERBOSE)`.
pub(super) fn read(json: &str) -> Option<Plan> {
    let value: Value = serde_json::from_str(json).ok()?;
    let root = value.get(0)?.get("Plan")?;
    let mut plan = Plan { cost: number(root, "Total Cost")?, scans: Vec::new() };
    let mut nodes = vec![root];
    while let Some(node) = nodes.pop() {
        if node.get("Node Type").and_then(Value::as_str) == Some("Seq Scan")
            && let Some(table) = node.get("Relation Name").and_then(Value::as_str)
            && let Some(schema) = node.get("Schema").and_then(Value::as_str)
        {
            plan.scans.push(Scan {
                schema: schema.to_owned(),
                table: table.to_owned(),
                cost: number(node, "Total Cost")?,
                rows: number(node, "Plan Rows")?,
            });
        }
        nodes.extend(node.get("Plans").and_then(Value::as_array).into_iter().flatten());
    }
    Some(plan)
}

fn number(node: &Value, field: &str) -> Option<f64> {
    node.get(field)?.as_f64()
}

const SCHEMA: &str = "/* seawall-advisor */ SELECT quote_ident(n.nspname) \
     FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace \
     WHERE e.extname = 'hypopg'";
const HYPOTHETICAL: &str = "/* seawall-advisor */ SELECT FROM {schema}.hypopg_create_index($1)";
const FORGET: &str = "/* seawall-advisor */ SELECT FROM {schema}.hypopg_reset()";

#[cfg(test)]
mod tests;
