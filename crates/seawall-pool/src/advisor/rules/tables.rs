//! Tables that are read row by row, have stale statistics, or carry dead rows.

use super::{full_name, spread};
use crate::advisor::config::AdvisorConfig;
use crate::advisor::evidence::{Evidence, Table};
use crate::advisor::report::thousands;
use crate::advisor::suggestion::{Action, Confidence, Finding, Severity, Suggestion};

pub(super) fn look(evidence: &Evidence, config: &AdvisorConfig, suggestions: &mut Vec<Suggestion>) {
    #[expect(clippy::cast_precision_loss, reason = "thresholds")]
    let (least, large) = (config.min_rows as f64, config.large_rows as f64);
    for table in evidence.tables.iter().filter(|table| table.rows.max(table.dead) >= least) {
        // Vacuuming takes new statistics too.
        if let Some(dead) = dead_rows(table, config) {
            suggestions.push(dead);
        } else if let Some(stale) = stale(table, config) {
            suggestions.push(stale);
        }
        let name = full_name(table);
        let advised = suggestions
            .iter()
            .any(|other| other.finding == Finding::MissingIndex && other.table == name);
        if table.rows >= large && !advised {
            suggestions.extend(scanned(table));
        }
    }
}

fn stale(table: &Table, config: &AdvisorConfig) -> Option<Suggestion> {
    let known = table.columns.iter().any(|column| column.n_distinct.is_some());
    let share = table.changed / table.rows.max(1.0);
    if (table.analyzed || known) && share < config.stale_share {
        return None;
    }
    let never = !table.analyzed && !known;
    let evidence = if never {
        format!("never analyzed, about {} rows", thousands(table.rows))
    } else {
        let (changed, rows) = (thousands(table.changed), thousands(table.rows));
        format!("{changed} changes since the last analyze of {rows} rows")
    };
    Some(Suggestion {
        finding: Finding::StaleStatistics,
        severity: if never || share >= 1.0 { Severity::Medium } else { Severity::Low },
        confidence: Confidence::High,
        table: full_name(table),
        action: Some(Action::Analyze { schema: table.schema.clone(), table: table.name.clone() }),
        evidence: vec![evidence],
        risk: "none but reading a sample; plans may change, mostly for the better".to_owned(),
    })
}

fn dead_rows(table: &Table, config: &AdvisorConfig) -> Option<Suggestion> {
    let share = table.dead / (table.rows + table.dead).max(1.0);
    if share < config.dead_share {
        return None;
    }
    let (dead, rows) = (thousands(table.dead), thousands(table.rows));
    Some(Suggestion {
        finding: Finding::DeadRows,
        severity: if share >= 0.5 { Severity::Medium } else { Severity::Low },
        confidence: Confidence::Medium,
        table: full_name(table),
        action: Some(Action::Vacuum { schema: table.schema.clone(), table: table.name.clone() }),
        evidence: vec![
            format!("{dead} dead row versions beside {rows} rows, {:.0} %", share * 100.0),
            "autovacuum has not come to it, or an old transaction or slot holds it up".to_owned(),
        ],
        risk:
            "reads and writes the table while it runs; frees space for new rows, not for the system"
                .to_owned(),
    })
}

fn scanned(table: &Table) -> Option<Suggestion> {
    let sum = |counts: &super::ByNode| counts.values().sum::<u64>();
    let (scans, rows, by_index) =
        (sum(&table.seq_scans), sum(&table.seq_rows), sum(&table.index_scans));
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let (each, all) = (rows as f64 / scans.max(1) as f64, rows as f64);
    // Scans that stop early are no matter.
    if scans < LEAST_SCANS || each < table.rows / 10.0 {
        return None;
    }
    let mostly = scans > by_index;
    Some(Suggestion {
        finding: Finding::SequentialScans,
        severity: if mostly { Severity::Medium } else { Severity::Low },
        confidence: Confidence::Low,
        table: full_name(table),
        action: None,
        evidence: vec![
            format!("scans row by row {}", spread(&table.seq_scans)),
            format!("{} rows read by them, {} each", thousands(all), thousands(each)),
            format!("scans by index {}", spread(&table.index_scans)),
        ],
        risk: "reports and backups read row by row and are right to".to_owned(),
    })
}

const LEAST_SCANS: u64 = 20;
