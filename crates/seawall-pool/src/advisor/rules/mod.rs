//! From facts to suggestions. Nothing here asks a server or looks at a clock.

mod estimate;
mod indexes;
mod missing;
mod pick;
mod tables;

pub(super) use missing::candidates;

use super::config::AdvisorConfig;
use super::evidence::{ByNode, Evidence, Table};
use super::report::{Note, Report};
use super::suggestion::quoted;

/// Judges evidence: a pure function, so that what it says of a file is what it says of the servers that
/// the file was collected from.
///
/// Sorted by severity, then by how sure the advice is.
#[must_use]
pub fn advise(evidence: &Evidence, config: &AdvisorConfig) -> Report {
    let (mut suggestions, mut notes) = (Vec::new(), Vec::new());
    for node in &evidence.nodes {
        let name = || node.name.clone();
        if let Some(reason) = &node.silent {
            notes.push(Note::Silent { node: name(), reason: reason.clone() });
        } else if node.statements.remedy().is_some() {
            notes.push(Note::NoStatements { node: name(), source: node.statements });
        }
    }
    indexes::look(evidence, config, &mut suggestions, &mut notes);
    missing::look(evidence, config, &mut suggestions, &mut notes);
    tables::look(evidence, config, &mut suggestions);
    suggestions.sort_by(|a, b| {
        let rank = |s: &super::Suggestion| (s.severity, s.confidence);
        rank(b).cmp(&rank(a)).then(a.finding.cmp(&b.finding)).then(a.table.cmp(&b.table))
    });
    Report::new(evidence, suggestions, notes)
}

/// A table's name for people and SQL.
fn full_name(table: &Table) -> String {
    format!("{}.{}", quoted(&table.schema), quoted(&table.name))
}

/// A count and where it comes from: `12 (primary 2, replica-1 10)`.
fn spread(counts: &ByNode) -> String {
    let all: u64 = counts.values().sum();
    let parts: Vec<_> = counts.iter().map(|(node, count)| format!("{node} {count}")).collect();
    format!("{all} ({})", parts.join(", "))
}

#[cfg(test)]
mod tests;
