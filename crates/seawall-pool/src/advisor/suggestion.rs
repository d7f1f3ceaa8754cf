//! What the advisor suggests.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something to do about the database, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Suggestion {
    /// What was found.
    pub finding: Finding,
    /// How much it matters.
    pub severity: Severity,
    /// How sure the advisor is.
    pub confidence: Confidence,
    /// The table, as `schema.name`.
    pub table: String,
    /// What to do, for [`Advisor::apply`](super::Advisor::apply). `None` if that is for people to
    /// find out.
    pub action: Option<Action>,
    /// The facts it rests on, with numbers.
    pub evidence: Vec<String>,
    /// What may go wrong in doing it.
    pub risk: String,
}

impl Suggestion {
    /// The statement to run, if there is one.
    #[must_use]
    pub fn sql(&self) -> Option<String> {
        self.action.as_ref().map(Action::sql)
    }
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finding {
    /// A statement would be cheaper with an index.
    MissingIndex,
    /// An index that no query may use: its making failed.
    InvalidIndex,
    /// An index like another.
    DuplicateIndex,
    /// An index whose keys another begins with.
    RedundantIndex,
    /// An index that no node has used.
    UnusedIndex,
    /// A large table that is read row by row.
    SequentialScans,
    /// A table that has changed much since it was analyzed.
    StaleStatistics,
    /// A table with many dead row versions.
    DeadRows,
}

impl Finding {
    /// Its name, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MissingIndex => "missing index",
            Self::InvalidIndex => "invalid index",
            Self::DuplicateIndex => "duplicate index",
            Self::RedundantIndex => "redundant index",
            Self::UnusedIndex => "unused index",
            Self::SequentialScans => "sequential scans",
            Self::StaleStatistics => "stale statistics",
            Self::DeadRows => "dead rows",
        }
    }
}

/// How much a suggestion matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Severity {
    /// Good to know.
    Low,
    /// Costs something every day.
    Medium,
    /// Users feel it.
    High,
}

/// How sure a suggestion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Confidence {
    /// A guess from rules of thumb: look before you do it.
    Low,
    /// An estimate from the server's statistics and plans.
    Medium,
    /// A fact of the catalogue, or a cost that the planner named.
    High,
}

/// What is done by applying a suggestion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Makes an index while the table stays in use.
    CreateIndex {
        /// Of table and index.
        schema: String,
        /// The table.
        table: String,
        /// The index.
        name: String,
        /// Its columns, in order.
        columns: Vec<String>,
    },
    /// Drops an index while the table stays in use.
    DropIndex {
        /// Of the index.
        schema: String,
        /// The index.
        name: String,
        /// The statement that makes it again.
        definition: String,
    },
    /// Makes an invalid index anew while the table stays in use.
    Reindex {
        /// Of the index.
        schema: String,
        /// The index.
        name: String,
    },
    /// Takes new statistics of a table.
    Analyze {
        /// Of the table.
        schema: String,
        /// The table.
        table: String,
    },
    /// Clears dead row versions away and takes new statistics.
    Vacuum {
        /// Of the table.
        schema: String,
        /// The table.
        table: String,
    },
}

impl Action {
    /// The statement that does it, names quoted where they must be.
    #[must_use]
    pub fn sql(&self) -> String {
        let of = |schema: &str, name: &str| format!("{}.{}", quoted(schema), quoted(name));
        match self {
            Self::CreateIndex { schema, table, name, columns } => {
                let columns: Vec<_> = columns.iter().map(|column| quoted(column)).collect();
                let (name, table) = (quoted(name), of(schema, table));
                format!("CREATE INDEX CONCURRENTLY {name} ON {table} ({})", columns.join(", "))
            }
            Self::DropIndex { schema, name, .. } => {
                format!("DROP INDEX CONCURRENTLY {}", of(schema, name))
            }
            Self::Reindex { schema, name } => {
                format!("REINDEX INDEX CONCURRENTLY {}", of(schema, name))
            }
            Self::Analyze { schema, table } => format!("ANALYZE {}", of(schema, table)),
            Self::Vacuum { schema, table } => format!("VACUUM (ANALYZE) {}", of(schema, table)),
        }
    }
}

/// `name` as SQL has it: in quotes unless it is plainly a name and no keyword.
pub(super) fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c == '_';
    let is_plain = name.starts_with(plain)
        && name.chars().all(|c| plain(c) || c.is_ascii_digit())
        && !KEYWORDS.split_whitespace().any(|keyword| keyword == name);
    if is_plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Low => "a guess",
            Self::Medium => "an estimate",
            Self::High => "sure",
        })
    }
}

/// The keywords of PostgreSQL that `quote_ident` puts in quotes: all but the unreserved ones. A name that a
/// later version adds would make the statement fail, and do nothing.
const KEYWORDS: &str = "all analyse analyze and any array as asc asymmetric authorization between \
     bigint binary bit boolean both case cast char character check coalesce collate collation column \
     concurrently constraint create cross current_catalog current_date current_role \
     current_schema current_time current_timestamp current_user dec decimal default deferrable desc \
     distinct do else end except exists extract false fetch float for foreign freeze from full \
     grant greatest group grouping having ilike in initially inner inout int integer intersect \
     interval into is isnull join json json_array json_arrayagg json_exists json_object \
     json_objectagg json_query json_scalar json_serialize json_table json_value lateral leading \
     least left like limit localtime localtimestamp merge_action national natural nchar none \
     normalize not notnull null nullif numeric offset on only or order out outer overlaps overlay \
     placing position precision primary real references returning right row select session_user \
     setof similar smallint some substring symmetric system_user table tablesample then time \
     timestamp to trailing treat trim true union unique user using values varchar variadic verbose \
     when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest \
     xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable";

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn names_that_sql_would_read_otherwise_are_quoted() {
        for plain in ["bid", "public", "_a1", "created_at", "name"] {
            assert_eq!(quoted(plain), plain);
        }
        for odd in ["Bid", "order", "1st", "user", "a-b", "", "größe", "a b"] {
            assert_eq!(quoted(odd), format!("\"{odd}\""));
        }
        assert_eq!(quoted("a\"; DROP TABLE x; --"), "\"a\"\"; DROP TABLE x; --\"");
    }
}
