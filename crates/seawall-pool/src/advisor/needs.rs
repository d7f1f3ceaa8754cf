//! What a statement looks for in which table: columns that it compares with something known, columns it
//! restricts to a range, and the order it wants.

mod scope;

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Delete, Expr, FromTable, Ident, Join, JoinConstraint, JoinOperator, ObjectName,
    OrderByExpr, OrderByKind, Query, Select, SetExpr, Statement, TableFactor, TableWithJoins,
    Update, UpdateTableFromKind, Visit, Visitor,
};

use super::evidence::Table;
use crate::classify;
use scope::{Found, Scope, Seen};

/// What one part of a statement wants of one table.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Need {
    /// Its place among the tables.
    pub(super) table: usize,
    /// Columns compared with something that does not come from the table, and with how many values.
    pub(super) equal: Vec<(String, f64)>,
    /// Columns that are equal to those of another table.
    pub(super) joined: Vec<(String, usize)>,
    /// Columns held within a range, and whether on both sides.
    pub(super) ranges: Vec<(String, bool)>,
    /// Columns to be sorted by, all in one direction.
    pub(super) order: Vec<String>,
    /// Whether only the first rows in that order are wanted.
    pub(super) limited: bool,
}

/// What the statement needs of `tables`; `None` if it cannot be read.
pub(super) fn of(sql: &str, tables: &[Table]) -> Option<Vec<Need>> {
    let statement = classify::single(classify::tokens(sql)?)?;
    let mut reader = Reader { tables, hidden: HashSet::new(), needs: Vec::new() };
    let _ = statement.visit(&mut reader);
    Some(reader.needs)
}

struct Reader<'a> {
    tables: &'a [Table],
    /// Names of common table expressions, which hide tables.
    hidden: HashSet<String>,
    needs: Vec<Need>,
}

impl Visitor for Reader<'_> {
    type Break = ();

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        match statement {
            Statement::Update(Update { table, from, selection, .. }) => {
                let from = match from {
                    Some(
                        UpdateTableFromKind::BeforeSet(from) | UpdateTableFromKind::AfterSet(from),
                    ) => from.as_slice(),
                    None => &[],
                };
                let all: Vec<_> = std::iter::once(table).chain(from).collect();
                self.scope(&all, selection.as_ref(), &[], false);
            }
            Statement::Delete(Delete { from, using, selection, .. }) => {
                let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = from;
                let all: Vec<_> = from.iter().chain(using.iter().flatten()).collect();
                self.scope(&all, selection.as_ref(), &[], false);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for table in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.hidden.insert(folded(&table.alias.name));
        }
        let order = match query.order_by.as_ref().map(|order| &order.kind) {
            Some(OrderByKind::Expressions(order)) => order.as_slice(),
            _ => &[],
        };
        self.body(&query.body, order, query.limit_clause.is_some() || query.fetch.is_some());
        ControlFlow::Continue(())
    }
}

impl Reader<'_> {
    fn body(&mut self, body: &SetExpr, order: &[OrderByExpr], limited: bool) {
        match body {
            SetExpr::Select(select) => {
                let Select { from, selection, group_by, distinct, having, .. } = &**select;
                let grouped = distinct.is_some() || having.is_some() || has_groups(group_by);
                let order = if grouped { &[] } else { order };
                let from: Vec<_> = from.iter().collect();
                self.scope(&from, selection.as_ref(), order, limited && !grouped);
            }
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left, &[], false);
                self.body(right, &[], false);
            }
            // A query in brackets is visited by itself.
            _ => {}
        }
    }

    fn scope(
        &mut self,
        from: &[&TableWithJoins],
        selection: Option<&Expr>,
        order: &[OrderByExpr],
        limited: bool,
    ) {
        let mut scope = Scope { tables: self.tables, seen: Vec::new() };
        let (mut conditions, mut using) = (Vec::new(), Vec::new());
        for table in from {
            self.enter(&table.relation, &mut scope);
            for Join { relation, join_operator, .. } in &table.joins {
                self.enter(relation, &mut scope);
                match constraint(join_operator) {
                    Some(JoinConstraint::On(condition)) => conjuncts(condition, &mut conditions),
                    Some(JoinConstraint::Using(columns)) => using.extend(columns),
                    _ => {}
                }
            }
        }
        if let Some(selection) = selection {
            conjuncts(selection, &mut conditions);
        }
        let mut found = Found::default();
        for condition in conditions {
            scope.condition(condition, &mut found);
        }
        for column in using {
            let Some(name) = column.0.last().and_then(|part| part.as_ident()).map(folded) else {
                continue;
            };
            let mut with: Vec<_> =
                (0..scope.seen.len()).filter(|at| scope.has(*at, &name)).collect();
            if let (Some(right), Some(left)) = (with.pop(), with.pop()) {
                found.joins.push(((left, name.clone()), (right, name)));
            }
        }
        found.spread();
        let order = scope.order(order);
        for at in 0..scope.seen.len() {
            let Some(table) = scope.seen[at].table else { continue };
            let mut need = found.need(at, table, &scope);
            if let Some((_, columns)) = order.as_ref().filter(|(by, _)| *by == at) {
                need.order.clone_from(columns);
                need.limited = limited;
            }
            self.needs.push(need);
        }
    }

    fn enter(&self, factor: &TableFactor, scope: &mut Scope<'_>) {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let table = self.table(name);
                let own = name.0.last().and_then(|part| part.as_ident()).map(folded);
                let name = alias.as_ref().map(|alias| folded(&alias.name)).or(own);
                scope.seen.push(Seen { name: name.unwrap_or_default(), table });
            }
            TableFactor::NestedJoin { table_with_joins, .. } => {
                self.enter(&table_with_joins.relation, scope);
                table_with_joins.joins.iter().for_each(|join| self.enter(&join.relation, scope));
            }
            TableFactor::Derived { alias: Some(alias), .. }
            | TableFactor::Function { alias: Some(alias), .. } => {
                scope.seen.push(Seen { name: folded(&alias.name), table: None });
            }
            _ => scope.seen.push(Seen { name: String::new(), table: None }),
        }
    }

    /// The table of this name, if it can be no other: the search path is not known here.
    fn table(&self, name: &ObjectName) -> Option<usize> {
        let parts: Vec<_> = name.0.iter().filter_map(|part| part.as_ident()).map(folded).collect();
        let (table, schema) = match parts.as_slice() {
            [table] if !self.hidden.contains(table) => (table, None),
            [schema, table] => (table, Some(schema)),
            _ => return None,
        };
        let mut fitting = self.tables.iter().enumerate().filter(|(_, known)| {
            known.name == *table && schema.is_none_or(|schema| known.schema == *schema)
        });
        let (found, None) = (fitting.next()?, fitting.next()) else { return None };
        Some(found.0)
    }
}

fn conjuncts<'e>(expr: &'e Expr, all: &mut Vec<&'e Expr>) {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            conjuncts(left, all);
            conjuncts(right, all);
        }
        Expr::Nested(inner) => conjuncts(inner, all),
        other => all.push(other),
    }
}

/// The condition of a join. That of an outer join does not restrict the outer table, which
/// makes the advice on it too hopeful; the planner, asked later, knows better.
fn constraint(operator: &JoinOperator) -> Option<&JoinConstraint> {
    match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint) => Some(constraint),
        _ => None,
    }
}

fn has_groups(group_by: &sqlparser::ast::GroupByExpr) -> bool {
    use sqlparser::ast::GroupByExpr;
    match group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(by, modifiers) => !by.is_empty() || !modifiers.is_empty(),
    }
}

/// A name as the catalogue has it.
fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

#[cfg(test)]
mod tests;
