//! The report, for people and for other programs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::evidence::{Evidence, StatementSource};
use super::suggestion::Suggestion;

/// What the advisor has to say, made by [`advise`](super::advise). `Display` writes it as aligned text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// What to do, the most pressing first.
    pub suggestions: Vec<Suggestion>,
    /// What could not be looked at, and why.
    pub notes: Vec<Note>,
    /// The statements that took the most time.
    pub hottest: Vec<Hot>,
    /// How many nodes, tables, indexes and statements it rests on.
    pub basis: Basis,
}

/// One of the statements that took the most time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Hot {
    /// The beginning of its text.
    pub text: String,
    /// How often it ran on all nodes.
    pub calls: u64,
    /// Milliseconds on average.
    pub mean_ms: f64,
    /// Share of the time of all statements looked at.
    pub share: f64,
}

/// How much a report rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Basis {
    /// Nodes that gave statistics.
    pub nodes: usize,
    /// Tables.
    pub tables: usize,
    /// Indexes.
    pub indexes: usize,
    /// Statements.
    pub statements: usize,
}

/// What could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Note {
    /// A node gave nothing.
    Silent {
        /// The node.
        node: String,
        /// Why.
        reason: String,
    },
    /// A node has no statistics of statements, so that nothing is known of what runs there.
    NoStatements {
        /// The node.
        node: String,
        /// Why; it knows what to do about it.
        source: StatementSource,
    },
    /// Indexes without a scan are not called unused.
    UnusedNotJudged {
        /// How many.
        indexes: usize,
        /// Why.
        reason: String,
    },
    /// An index has the keys of another one and is not suggested to go, as a replica scans it.
    DuplicateInUse {
        /// The index.
        index: String,
        /// The one that would serve instead.
        twin: String,
        /// The replica.
        node: String,
    },
    /// Hot statements whose text could not be read.
    Unread {
        /// How many.
        statements: usize,
    },
}

impl Report {
    pub(super) fn new(evidence: &Evidence, suggestions: Vec<Suggestion>, notes: Vec<Note>) -> Self {
        let all: f64 = evidence.statements.iter().map(|it| it.total_ms).sum();
        let hottest = evidence.statements.iter().take(HOTTEST).map(|it| Hot {
            text: shortened(&it.text),
            calls: it.all_calls(),
            mean_ms: it.mean_ms(),
            share: it.total_ms / all.max(f64::MIN_POSITIVE),
        });
        let basis = Basis {
            nodes: evidence.nodes.iter().filter(|node| node.silent.is_none()).count(),
            tables: evidence.tables.len(),
            indexes: evidence.indexes.len(),
            statements: evidence.statements.len(),
        };
        Self { suggestions, notes, hottest: hottest.collect(), basis }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Basis { nodes, tables, indexes, statements } = self.basis;
        writeln!(
            f,
            "{} from {}, {}, {}, {}",
            many(self.suggestions.len(), "suggestion", "suggestions"),
            many(nodes, "node", "nodes"),
            many(tables, "table", "tables"),
            many(indexes, "index", "indexes"),
            many(statements, "statement", "statements"),
        )?;
        for (number, suggestion) in (1..).zip(&self.suggestions) {
            writeln!(f)?;
            write!(f, "{number:>3}  {suggestion}")?;
        }
        if !self.hottest.is_empty() {
            writeln!(f, "\n     share     calls   mean ms  statement")?;
            for Hot { text, calls, mean_ms, share } in &self.hottest {
                writeln!(f, "    {:>4.0} % {calls:>9} {mean_ms:>9.2}  {text}", share * 100.0)?;
            }
        }
        if !self.notes.is_empty() {
            writeln!(f)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "note {note}"))
    }
}

impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { finding, severity, confidence, table, .. } = self;
        writeln!(f, "{severity:<8}{finding:<18}{table}  ({confidence})")?;
        let mut line = |label: &str, text: &str| writeln!(f, "     {label:<9}{text}");
        for (number, fact) in self.evidence.iter().enumerate() {
            line(if number == 0 { "because" } else { "" }, fact)?;
        }
        if let Some(sql) = self.sql() {
            line("do", &sql)?;
        }
        line("risk", &self.risk)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent { node, reason } => write!(f, "{node} was not looked at: {reason}"),
            Self::NoStatements { node, source } => {
                let remedy = source.remedy().unwrap_or_default();
                write!(f, "{node} keeps no statistics of statements: {remedy}")
            }
            Self::UnusedNotJudged { indexes, reason } => {
                let (these, are) =
                    (many(*indexes, "index", "indexes"), if *indexes == 1 { "is" } else { "are" });
                write!(f, "{these} without a scan {are} not called unused: {reason}")
            }
            Self::DuplicateInUse { index, twin, node } => {
                write!(f, "{index} has the keys of {twin} and stays as long as {node} scans it")
            }
            Self::Unread { statements } => {
                write!(f, "{} could not be read", many(*statements, "statement", "statements"))
            }
        }
    }
}

/// The beginning of a statement, on one line.
pub(super) fn shortened(sql: &str) -> String {
    let mut line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.len() > SHOWN {
        line.truncate(line.floor_char_boundary(SHOWN));
        line.push_str(" ...");
    }
    line
}

/// So many of them, in words.
pub(super) fn many(count: usize, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// A number of bytes.
pub(super) fn bytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let mut value = bytes as f64;
    let mut units = ["bytes", "KiB", "MiB", "GiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    while value >= 1024.0
        && let Some(next) = units.next()
    {
        (value, unit) = (value / 1024.0, next);
    }
    if unit == "bytes" { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// A whole number with its thousands set apart.
pub(super) fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Seconds, in the unit that suits.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3_600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}

/// Bytes of a statement's text.
const SHOWN: usize = 110;
const HOTTEST: usize = 5;
