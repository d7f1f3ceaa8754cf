//! The names in one `FROM`, and what conditions say of their columns.

use std::ops::ControlFlow;

use sqlparser::ast::{BinaryOperator, Expr, OrderByExpr, OrderBySort, Visit, Visitor};

use super::{Need, folded};
use crate::advisor::evidence::Table;

/// A name that rows have in one `FROM`.
pub(super) struct Seen {
    pub(super) name: String,
    /// `None` for what is no known table.
    pub(super) table: Option<usize>,
}

pub(super) struct Scope<'a> {
    pub(super) tables: &'a [Table],
    pub(super) seen: Vec<Seen>,
}

/// A column of one of the tables in a scope.
pub(super) type Place = (usize, String);

impl Scope<'_> {
    pub(super) fn has(&self, at: usize, column: &str) -> bool {
        self.seen[at].table.is_some_and(|table| {
            self.tables[table].columns.iter().any(|known| known.name == column)
        })
    }

    /// The column that an expression is, as it stands.
    fn column(&self, expr: &Expr) -> Option<Place> {
        match expr {
            Expr::Nested(inner) => self.column(inner),
            Expr::Identifier(name) => {
                let name = folded(name);
                // Where something unknown is in the scope, the name may be of that.
                if self.seen.iter().any(|seen| seen.table.is_none()) {
                    return None;
                }
                let mut with = (0..self.seen.len()).filter(|at| self.has(*at, &name));
                let (at, None) = (with.next()?, with.next()) else { return None };
                Some((at, name))
            }
            Expr::CompoundIdentifier(parts) => {
                let [.., table, column] = parts.as_slice() else { return None };
                let (table, column) = (folded(table), folded(column));
                let at = self.seen.iter().position(|seen| seen.name == table)?;
                self.has(at, &column).then_some((at, column))
            }
            _ => None,
        }
    }

    /// Whether the value of an expression is there before a row of the `at`th table is looked at.
    fn is_known_without(&self, at: usize, expr: &Expr) -> bool {
        struct Mentions<'a> {
            scope: &'a Scope<'a>,
            at: usize,
        }
        impl Visitor for Mentions<'_> {
            type Break = ();
            fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
                let name = &self.scope.seen[self.at].name;
                let mentioned = match expr {
                    Expr::Identifier(column) => self.scope.has(self.at, &folded(column)),
                    Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                        [.., table, _] => folded(table) == *name,
                        _ => true,
                    },
                    _ => false,
                };
                if mentioned { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
        }
        expr.visit(&mut Mentions { scope: self, at }).is_continue()
    }

    pub(super) fn condition(&self, condition: &Expr, found: &mut Found) {
        match condition {
            Expr::BinaryOp { left, op, right } => match op {
                BinaryOperator::Eq => match (self.column(left), self.column(right)) {
                    (Some(left), Some(right)) if left.0 != right.0 => {
                        found.joins.push((left, right));
                    }
                    (Some(place), None) => self.equals(place, right, found),
                    (None, Some(place)) => self.equals(place, left, found),
                    // Of one table, or of none that is known.
                    _ => {}
                },
                BinaryOperator::Lt
                | BinaryOperator::LtEq
                | BinaryOperator::Gt
                | BinaryOperator::GtEq => {
                    let (place, other) = match (self.column(left), self.column(right)) {
                        (Some(place), None) => (place, right),
                        (None, Some(place)) => (place, left),
                        _ => return,
                    };
                    if self.is_known_without(place.0, other) {
                        found.range(place, false);
                    }
                }
                _ => {}
            },
            Expr::Between { expr, negated: false, low, high } => {
                if let Some(place) = self.column(expr)
                    && self.is_known_without(place.0, low)
                    && self.is_known_without(place.0, high)
                {
                    found.range(place, true);
                }
            }
            Expr::InList { expr, list, negated: false } => {
                if let Some(place) = self.column(expr)
                    && list.iter().all(|value| self.is_known_without(place.0, value))
                {
                    #[expect(clippy::cast_precision_loss, reason = "the length of a list")]
                    found.equal.push((place, list.len() as f64));
                }
            }
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => {
                if let Some(place) = self.column(left)
                    && self.is_known_without(place.0, right)
                {
                    found.equal.push((place, VALUES_OF_AN_ARRAY));
                }
            }
            _ => {}
        }
    }

    fn equals(&self, place: Place, value: &Expr, found: &mut Found) {
        if self.is_known_without(place.0, value) {
            found.equal.push((place, 1.0));
        }
    }

    /// The table and columns that rows are to be sorted by, if an index can do that.
    pub(super) fn order(&self, order: &[OrderByExpr]) -> Option<(usize, Vec<String>)> {
        let options = |by: &OrderByExpr| by.options.clone();
        let first = order.first()?;
        let (at, _) = self.column(&first.expr)?;
        let direction = options(first);
        if direction.nulls_first.is_some() {
            return None;
        }
        let columns = order.iter().map(|by| {
            let (of, column) = self.column(&by.expr)?;
            let descends = |sort: &Option<_>| matches!(sort, Some(OrderBySort::Desc));
            let alike = descends(&options(by).sort) == descends(&direction.sort);
            (of == at && alike && options(by).nulls_first.is_none()).then_some(column)
        });
        Some((at, columns.collect::<Option<_>>()?))
    }
}

/// What the conditions of a scope say.
#[derive(Default)]
pub(super) struct Found {
    equal: Vec<(Place, f64)>,
    ranges: Vec<(Place, bool)>,
    pub(super) joins: Vec<(Place, Place)>,
}

impl Found {
    fn range(&mut self, place: Place, both: bool) {
        match self.ranges.iter_mut().find(|(known, _)| *known == place) {
            // The other end of it.
            Some((_, known)) => *known = true,
            None => self.ranges.push((place, both)),
        }
    }

    /// What is equal to something known is known, as the planner sees it too.
    pub(super) fn spread(&mut self) {
        loop {
            let value = |place: &Place| {
                self.equal.iter().find(|(known, _)| known == place).map(|(_, values)| *values)
            };
            let next =
                self.joins.iter().find_map(|(left, right)| match (value(left), value(right)) {
                    (Some(values), None) => Some((right.clone(), values)),
                    (None, Some(values)) => Some((left.clone(), values)),
                    _ => None,
                });
            match next {
                Some(next) => self.equal.push(next),
                None => return,
            }
        }
    }

    pub(super) fn need(&self, at: usize, table: usize, scope: &Scope<'_>) -> Need {
        let mut need = Need { table, ..Need::default() };
        for ((of, column), values) in &self.equal {
            if *of == at && need.equal.iter().all(|(known, _)| known != column) {
                need.equal.push((column.clone(), *values));
            }
        }
        let is_equal = |column: &str| need.equal.iter().any(|(known, _)| known == column);
        for (left, right) in &self.joins {
            for (here, there) in [(left, right), (right, left)] {
                if here.0 == at
                    && !is_equal(&here.1)
                    && let Some(other) = scope.seen[there.0].table
                {
                    need.joined.push((here.1.clone(), other));
                }
            }
        }
        for ((of, column), both) in &self.ranges {
            if *of == at && !is_equal(column) {
                need.ranges.push((column.clone(), *both));
            }
        }
        need
    }
}

/// Nobody knows how many there are; the planner guesses ten.
const VALUES_OF_AN_ARRAY: f64 = 10.0;
