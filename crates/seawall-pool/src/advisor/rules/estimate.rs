//! What an index would do for a table, by rules of the planner, for servers without HypoPG.

use crate::advisor::evidence::{Column, Table};

/// How many of a table's rows have one value of a column, for a value that is not known: one over the
/// number of distinct values, as the planner has it.
pub(super) fn selectivity(table: &Table, column: &str) -> f64 {
    let Some(column) = table.columns.iter().find(|known| known.name == *column) else {
        return GUESS;
    };
    let Some(n_distinct) = column.n_distinct else { return GUESS };
    let distinct = if n_distinct < 0.0 { -n_distinct * table.rows } else { n_distinct };
    let even = (1.0 - column.null_share) / distinct.max(1.0);
    even.clamp(0.0, 1.0)
}

/// Share of the rows within a range whose ends are not known.
pub(super) fn range_share(both: bool) -> f64 {
    // DEFAULT_INEQ_SEL and DEFAULT_RANGE_INEQ_SEL of PostgreSQL's selfuncs.h.
    if both { 0.005 } else { 1.0 / 3.0 }
}

/// The planner's cost of reading a whole table.
pub(super) fn scan_cost(table: &Table) -> f64 {
    table.pages + table.rows * (CPU_TUPLE + CPU_OPERATOR)
}

/// The planner's cost of `lookups` look-ups in a btree, each of which finds `found` rows that lie anywhere
/// in the table: `btcostestimate` and `cost_index` for an uncorrelated index; pages by Mackert and Lohman, "Index
/// scans using a finite LRU buffer" (1989).
pub(super) fn index_cost(table: &Table, random_page: f64, lookups: f64, found: f64) -> f64 {
    let (rows, pages) = (table.rows.max(1.0), table.pages.max(1.0));
    let height = (rows.log2() / FANOUT_BITS).ceil().max(1.0);
    let descent = CPU_OPERATOR * (rows.log2().ceil() + 50.0 * (height + 1.0)) + random_page;
    let all = (lookups * found).max(1.0);
    let fetched = (2.0 * pages * all / (2.0 * pages + all)).min(pages).ceil();
    lookups * descent + all * (CPU_INDEX_TUPLE + CPU_TUPLE) + fetched * random_page
}

/// Whether a column may be in an index.
pub(super) fn is_indexable(column: &Column) -> bool {
    column.sortable && column.width <= WIDEST
}

/// What each write costs more for one more index, in units of the planner: a descent, and a page that is
/// dirtied and logged. A rule of thumb; no planner counts it.
pub(super) const WRITE_COST: f64 = 2.0;

const CPU_TUPLE: f64 = 0.01;
const CPU_INDEX_TUPLE: f64 = 0.005;
const CPU_OPERATOR: f64 = 0.0025;
/// About 300 keys a page.
const FANOUT_BITS: f64 = 8.0;
/// Without statistics. `DEFAULT_EQ_SEL` of PostgreSQL's `selfuncs.h`.
const GUESS: f64 = 0.005;
/// Bytes: a key must fit thrice into a page.
const WIDEST: f64 = 500.0;
