//! Which columns, in which order, would serve a statement.

use super::estimate::{is_indexable, range_share, selectivity};
use crate::advisor::config::AdvisorConfig;
use crate::advisor::evidence::{Evidence, Index, Key, Statement};
use crate::advisor::needs::{self, Need};

/// The columns of an index, and what a look-up in it finds.
pub(super) struct Picked {
    pub(super) columns: Vec<String>,
    /// How many of them are compared for equality, in whatever order.
    pub(super) equal: usize,
    pub(super) lookups: f64,
    /// Rows per look-up.
    pub(super) found: f64,
    /// Whether the rows come in the order wanted.
    pub(super) sorted: bool,
    /// Whether how often it is looked up is a guess.
    pub(super) guessed: bool,
}

/// Columns compared for equality first, the most telling before; then what rows are to be sorted by
/// if only the first are wanted, or a range.
pub(super) fn pick(
    evidence: &Evidence,
    config: &AdvisorConfig,
    statement: &Statement,
    need: &Need,
) -> Option<Picked> {
    let table = &evidence.tables[need.table];
    let indexable = |name: &str| {
        table.columns.iter().any(|column| column.name == *name && is_indexable(column))
    };
    let mut equal: Vec<(String, f64, f64)> = need
        .equal
        .iter()
        .filter(|(name, _)| indexable(name))
        .map(|(name, values)| (name.clone(), *values, selectivity(table, name)))
        .collect();
    let (mut lookups, mut guessed) = (1.0, false);
    if equal.is_empty()
        && let Some((name, other)) = need.joined.iter().find(|(name, _)| indexable(name))
    {
        lookups = outer_rows(evidence, statement, *other)?;
        guessed = true;
        equal.push((name.clone(), 1.0, selectivity(table, name)));
    }
    equal.sort_by(|(_, _, a), (_, _, b)| a.total_cmp(b));
    let order: &[String] =
        if need.order.iter().all(|name| indexable(name)) { &need.order } else { &[] };
    let range = need.ranges.iter().find(|(name, _)| indexable(name));
    let sorts = need.limited
        && !order.is_empty()
        && equal.len() + order.len() <= config.max_columns
        && need.ranges.iter().all(|(name, _)| Some(name) == order.first());

    let (mut columns, mut found) = (Vec::new(), table.rows);
    for (name, values, share) in equal {
        let enough = columns.len() == config.max_columns || (!sorts && found <= FEW);
        if !enough {
            found *= (share * values).min(1.0);
            columns.push(name);
        }
    }
    let equal = columns.len();
    if sorts {
        columns.extend(
            order.iter().filter(|name| !columns.contains(name)).cloned().collect::<Vec<_>>(),
        );
        // Only as many as are wanted are read.
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let wanted = statement.rows as f64 / statement.all_calls().max(1) as f64;
        found = found.min(wanted.max(1.0));
    } else if let Some((name, both)) = range
        && columns.len() < config.max_columns
        && found > FEW
    {
        columns.push(name.clone());
        found *= range_share(*both);
    }
    (!columns.is_empty()).then(|| Picked {
        columns,
        equal,
        lookups,
        found: found.max(1.0),
        sorted: sorts,
        guessed,
    })
}

/// How many rows of the table that drives a join are left to be looked up, if they are few.
fn outer_rows(evidence: &Evidence, statement: &Statement, outer: usize) -> Option<f64> {
    let table = &evidence.tables[outer];
    let needs = needs::of(&statement.text, &evidence.tables)?;
    let need = needs.iter().find(|need| need.table == outer)?;
    let share = |(name, values): &(String, f64)| (selectivity(table, name) * values).min(1.0);
    let rows = table.rows * need.equal.iter().map(share).product::<f64>();
    (rows <= MOST_LOOKUPS).then_some(rows.max(1.0))
}

/// Whether a look-up for these columns can use the index from its first key on.
pub(super) fn covers(index: &Index, picked: &Picked) -> bool {
    let keys: Vec<_> = index.keys.iter().filter_map(|key| key.column.as_ref()).collect();
    let (equal, rest) = picked.columns.split_at(picked.equal);
    index.valid
        && index.condition.is_none()
        && index.method == "btree"
        && keys.len() == index.keys.len()
        && keys.len() >= picked.columns.len()
        && equal.iter().all(|column| keys[..picked.equal].contains(&column))
        && rest.iter().zip(&keys[picked.equal..]).all(|(column, key)| column == *key)
}

/// Whether an index of which only a plan can tell what it serves may serve a look-up for these columns,
/// or for others of the same statement: one over an expression, or a partial one on one of them.
pub(super) fn may_serve(index: &Index, picked: &Picked) -> bool {
    let on_expression = index.keys.iter().any(|key| key.column.is_none());
    let column = |key: &Key| key.column.as_ref().is_some_and(|it| picked.columns.contains(it));
    index.valid && (on_expression || (index.condition.is_some() && index.keys.iter().any(column)))
}

/// Rows; a further column would not pay.
const FEW: f64 = 10.0;
/// A join with more rows than that is rather done by hashing.
const MOST_LOOKUPS: f64 = 1_000.0;
