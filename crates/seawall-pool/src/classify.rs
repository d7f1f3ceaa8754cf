//! Telling reads from writes by the text of a statement.
//!
//! What is not recognised as a read is a write. A statement is a read if it is one
//! `SELECT`, `VALUES` or `TABLE`, or an `EXPLAIN`, if no part of it changes data,
//! locks rows or makes a table, and if every function in it is known not to be
//! volatile ([`Functions`]). `EXPLAIN ANALYZE` is what it explains. Everything else goes to the
//! primary: `COPY`, `DO`, `CALL`, `SHOW`, `SET`, several statements at once, texts that cannot be
//! parsed, texts of more than 64 KiB, and such in which a backslash before a quotation mark, outside of
//! `E'..'`, leaves it to a setting where a string ends. Nearly all statements show by their words alone what they
//! are, and are not parsed; of those that must be, such of many hundred operators count as writes.
//!
//! That cannot be complete: a function that is declared `STABLE` may write, a view may
//! lock, and an operator, a cast, a domain or a column that is a function of its row (`item.touch`)
//! may call a volatile one. So the standby has the last word. It cannot be changed, and refuses whatever would
//! change it (25006, or 0A000); the statement is then run once on the primary, and
//! remembered. What a standby lets pass and should not are advisory locks, which lock
//! nothing there: they are volatile, and seen unless one of those hides them.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use sqlparser::ast::{
    BinaryOperator, Expr, Ident, ObjectName, Query, Select, Statement, TableFactor, Visit, Visitor,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

mod auto;
mod functions;
mod words;

pub(crate) use auto::Auto;
pub use functions::Functions;

/// What a statement is, by its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// It changes nothing, as far as its text tells.
    Read,
    /// Anything else.
    Write,
}

/// Classifies statements, and remembers the last few thousand, or 16 MiB of them.
///
/// A known statement costs a look into a table, some tens of nanoseconds; an unknown one a pass over
/// its bytes, a microsecond or two, and one that has to be parsed, which is rare, ten times as much or more.
pub struct Classifier {
    functions: ArcSwap<Functions>,
    known: Cache<Box<str>, Kind, Length, RandomState>,
}

impl Classifier {
    /// With the functions of PostgreSQL that are common and harmless.
    #[must_use]
    pub fn new() -> Self {
        let (hasher, lifecycle) = (RandomState::default(), DefaultLifecycle::default());
        Self {
            functions: ArcSwap::from_pointee(Functions::common()),
            known: Cache::with(REMEMBERED, MOST_BYTES, Length, hasher, lifecycle),
        }
    }

    /// Takes these functions instead, and forgets what it knew.
    pub fn set_functions(&self, functions: Functions) {
        self.functions.store(Arc::new(functions));
        self.known.clear();
    }

    /// What the statement is. Any text will do.
    #[must_use]
    pub fn classify(&self, sql: &str) -> Kind {
        self.known(sql).unwrap_or_else(|| self.learn(sql))
    }

    /// What a statement is that was classified before.
    pub(crate) fn known(&self, sql: &str) -> Option<Kind> {
        self.known.get(sql)
    }

    fn learn(&self, sql: &str) -> Kind {
        let functions = self.functions.load_full();
        let kind = parse(sql, &functions);
        if sql.len() <= LONGEST {
            self.known.insert(sql.into(), kind);
            if !Arc::ptr_eq(&functions, &self.functions.load()) {
                // By what is not so any more, and perhaps put in after the rest was forgotten.
                self.known.remove(sql);
            }
        }
        kind
    }

    /// Remembers that a statement is a write though it does not look like one.
    pub fn correct(&self, sql: &str) {
        self.known.insert(sql.into(), Kind::Write);
    }
}

/// In bytes, of which a short statement takes an equal part.
#[derive(Clone, Debug)]
struct Length;

impl Weighter<Box<str>, Kind> for Length {
    fn weight(&self, sql: &Box<str>, _: &Kind) -> u64 {
        (sql.len() as u64).max(MOST_BYTES / REMEMBERED as u64)
    }
}

impl Default for Classifier {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Classifier").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

fn parse(sql: &str, functions: &Functions) -> Kind {
    words::tell(sql, functions).unwrap_or_else(|| {
        if is_read(sql, functions) == Some(true) { Kind::Read } else { Kind::Write }
    })
}

/// `None` if the text cannot be read.
fn is_read(sql: &str, functions: &Functions) -> Option<bool> {
    let tokens = tokens(sql)?;
    if locks(&tokens) || makes_a_table(&tokens) || tokens.iter().any(is_number_and_name) {
        return None;
    }
    let statement = single(tokens)?;
    let statement = match &statement {
        Statement::Explain { analyze, options, statement, .. } => {
            let options = options.iter().flatten();
            let mut names = options.map(|option| &option.name.value);
            let runs = |name: &String| {
                ["analyze", "analyse"].iter().any(|other| name.eq_ignore_ascii_case(other))
            };
            if !analyze && !names.any(runs) {
                // A plan is made and nothing is run, but for what `EXECUTE` is given, which is worked out,
                // also where it makes a table.
                return Some(matches!(
                    **statement,
                    Statement::Query(_)
                        | Statement::Insert(_)
                        | Statement::Update(_)
                        | Statement::Delete(_)
                        | Statement::Merge { .. }
                ));
            }
            statement
        }
        statement => statement,
    };
    Some(statement.visit(&mut Inspector { functions }).is_continue())
}

/// The tokens of a statement that is short and shallow enough to be parsed.
pub(crate) fn tokens(sql: &str) -> Option<Vec<TokenWithSpan>> {
    if sql.len() > LONGEST {
        return None;
    }
    // With their places, though nobody asks for them: the parser wants them so, and would make another
    // list of them.
    let mut tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location().ok()?;
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    is_shallow(&tokens).then_some(tokens)
}

/// The statement that the tokens are, if they are exactly one.
pub(crate) fn single(tokens: Vec<TokenWithSpan>) -> Option<Statement> {
    let mut statements = Parser::new(&PostgreSqlDialect {})
        .with_recursion_limit(DEEPEST)
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .ok()?;
    let (statement, None) = (statements.pop()?, statements.pop()) else {
        return None;
    };
    Some(statement)
}

/// Whether the tree of the statement cannot be so deep that walking or dropping it
/// runs out of stack: chains of operators nest to the left without a limit of the parser's.
fn is_shallow(tokens: &[TokenWithSpan]) -> bool {
    let links = |token: &&TokenWithSpan| match &token.token {
        Token::Word(word) => word.quote_style.is_none() && !FLAT.contains(&word.keyword),
        Token::Comma
        | Token::Period
        | Token::Number(..)
        | Token::Placeholder(_)
        | Token::SingleQuotedString(_)
        | Token::DollarQuotedString(_)
        | Token::LParen
        | Token::RParen
        | Token::SemiColon => false,
        _ => true,
    };
    tokens.iter().filter(links).count() <= MOST_LINKS
}

/// A locking clause, wherever it stands.
fn locks(tokens: &[TokenWithSpan]) -> bool {
    let is = |token: &Token, keywords: &[Keyword]| matches!(token, Token::Word(word) if keywords.contains(&word.keyword));
    let lock = [Keyword::UPDATE, Keyword::SHARE, Keyword::NO, Keyword::KEY];
    tokens.windows(2).any(|pair| is(&pair[0].token, &[Keyword::FOR]) && is(&pair[1].token, &lock))
}

/// `INTO`, wherever it stands. Without columns before it, the parser takes it for one; to
/// PostgreSQL it is never a name.
fn makes_a_table(tokens: &[TokenWithSpan]) -> bool {
    let is_into = |token: &TokenWithSpan| matches!(&token.token, Token::Word(word) if word.keyword == Keyword::INTO);
    tokens.iter().any(is_into)
}

/// `$1a$`: no quotation, but to PostgreSQL up to 14 a parameter and a name.
fn is_number_and_name(token: &TokenWithSpan) -> bool {
    matches!(&token.token, Token::DollarQuotedString(text)
        if text.tag.as_ref().is_some_and(|tag| tag.starts_with(|c: char| c.is_ascii_digit())))
}

/// Breaks off at whatever is not known to be a read.
struct Inspector<'a> {
    functions: &'a Functions,
}

impl Inspector<'_> {
    fn function(&self, name: &ObjectName) -> ControlFlow<()> {
        let parts: Vec<_> = name.0.iter().filter_map(|part| part.as_ident()).collect();
        known_to_be(match parts.as_slice() {
            [name] if name.quote_style.is_none() => self.functions.is_harmless(&folded(name)),
            [name] => self.functions.is_harmless_function(None, &name.value),
            [.., schema, name] => {
                self.functions.is_harmless_function(Some(&folded(schema)), &folded(name))
            }
            [] => false,
        })
    }

    /// One that is a function to PostgreSQL, and to the parser a piece of syntax.
    fn named(&self, name: &str) -> ControlFlow<()> {
        known_to_be(self.functions.is_harmless(name))
    }
}

impl Visitor for Inspector<'_> {
    type Break = ();

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        known_to_be(matches!(statement, Statement::Query(_)))
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        known_to_be(query.locks.is_empty())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        known_to_be(select.into.is_none())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function) => self.function(&function.name),
            Expr::Ceil { .. } => self.named("ceil"),
            Expr::Floor { .. } => self.named("floor"),
            Expr::Substring { shorthand: true, .. } => self.named("substr"),
            Expr::Substring { .. } => self.named("substring"),
            Expr::Convert { .. } => self.named("convert"),
            // What it calls may be anything.
            Expr::BinaryOp { op: BinaryOperator::PGCustomBinaryOperator(path), .. } => {
                known_to_be(path.len() < 2 || path[0].eq_ignore_ascii_case("pg_catalog"))
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => {
                self.function(name)
            }
            TableFactor::UNNEST { .. } => self.named("unnest"),
            TableFactor::Table { .. }
            | TableFactor::Derived { .. }
            | TableFactor::TableFunction { .. }
            | TableFactor::NestedJoin { .. } => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    }
}

/// A name as the catalogue has it: PostgreSQL folds no letters but those of ASCII where one takes
/// several bytes.
fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_ascii_lowercase() }
}

const fn known_to_be(read: bool) -> ControlFlow<()> {
    if read { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

/// Keywords that never make the tree deeper to the left. All others may.
const FLAT: [Keyword; 24] = [
    Keyword::NoKeyword,
    Keyword::AS,
    Keyword::ASC,
    Keyword::BY,
    Keyword::CASE,
    Keyword::DESC,
    Keyword::DISTINCT,
    Keyword::ELSE,
    Keyword::END,
    Keyword::FALSE,
    Keyword::FROM,
    Keyword::GROUP,
    Keyword::HAVING,
    Keyword::LIMIT,
    Keyword::NULL,
    Keyword::OFFSET,
    Keyword::ON,
    Keyword::ORDER,
    Keyword::SELECT,
    Keyword::THEN,
    Keyword::TRUE,
    Keyword::VALUES,
    Keyword::WHEN,
    Keyword::WHERE,
];

/// Bytes of a statement.
const LONGEST: usize = 64 * 1024;
/// Of brackets and subqueries.
const DEEPEST: usize = 40;
const MOST_LINKS: usize = 400;
/// Statements.
const REMEMBERED: usize = 4_096;
/// Of all of them together: texts with their values in them are long, and all different.
const MOST_BYTES: u64 = 16 << 20;

#[cfg(test)]
mod tests;
