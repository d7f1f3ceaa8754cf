mod indexes;
mod missing;

use std::time::Duration;

use super::advise;
use crate::advisor::config::AdvisorConfig;
use crate::advisor::evidence::{
    Column, Evidence, Index, Key, NodeEvidence, Plan, Scan, Statement, StatementSource, Table,
};
use crate::advisor::report::Report;
use crate::advisor::suggestion::{Action, Finding, Suggestion};

const RANGE: &str = "SELECT * FROM bid WHERE created_at > $1 AND auction_id = $2";
const WEEK: f64 = 7.0 * 86_400.0;

fn node(name: &str, primary: bool) -> NodeEvidence {
    NodeEvidence {
        name: name.to_owned(),
        primary,
        statistics_age: 2.0 * WEEK,
        statements_age: 2.0 * WEEK,
        statements: StatementSource::Available,
        ..NodeEvidence::default()
    }
}

fn column(name: &str, n_distinct: f64) -> Column {
    Column {
        name: name.to_owned(),
        sortable: true,
        n_distinct: Some(n_distinct),
        width: 8.0,
        ..Column::default()
    }
}

/// A million bids: a thousand on each auction, at times of their own.
fn evidence() -> Evidence {
    let bid = Table {
        oid: 1,
        schema: "public".to_owned(),
        name: "bid".to_owned(),
        rows: 1e6,
        pages: 10_000.0,
        writes: 10_000,
        analyzed: true,
        columns: vec![
            column("id", -1.0),
            column("auction_id", 1_000.0),
            column("status", 3.0),
            column("created_at", -0.9),
            Column { sortable: false, ..column("data", -1.0) },
        ],
        ..Table::default()
    };
    Evidence {
        nodes: vec![node("primary", true), node("replica-1", false), node("replica-2", false)],
        standbys: 2,
        random_page_cost: 4.0,
        page_bytes: 8_192,
        tables: vec![bid],
        indexes: vec![unique("bid_pkey", 10, "id")],
        ..Evidence::default()
    }
}

fn index(name: &str, oid: i64, columns: &[&str]) -> Index {
    let key = |column: &&str| Key {
        text: (*column).to_owned(),
        column: Some((*column).to_owned()),
        kind: "1 0 0".to_owned(),
    };
    Index {
        oid,
        table: 1,
        schema: "public".to_owned(),
        name: name.to_owned(),
        method: "btree".to_owned(),
        keys: columns.iter().map(key).collect(),
        valid: true,
        bytes: 20 << 20,
        scans: [("primary".to_owned(), 5), ("replica-1".to_owned(), 0)].into(),
        ..Index::default()
    }
}

fn unused(name: &str, oid: i64, columns: &[&str]) -> Index {
    let scans = ["primary", "replica-1", "replica-2"].map(|node| (node.to_owned(), 0)).into();
    Index { scans, ..index(name, oid, columns) }
}

fn unique(name: &str, oid: i64, column: &str) -> Index {
    Index { unique: true, immediate: true, constraint: true, ..unused(name, oid, &[column]) }
}

fn hot(text: &str) -> Statement {
    Statement {
        id: 77,
        text: text.to_owned(),
        calls: [("primary".to_owned(), 10_000), ("replica-1".to_owned(), 90_000)].into(),
        total_ms: 5_000_000.0,
        rows: 1_000_000,
        plan: Some(Plan {
            cost: 22_500.0,
            scans: vec![Scan {
                schema: "public".to_owned(),
                table: "bid".to_owned(),
                cost: 22_500.0,
                rows: 1_000.0,
            }],
        }),
        ..Statement::default()
    }
}

fn judged(evidence: &Evidence) -> Report {
    advise(evidence, &AdvisorConfig::default())
}

fn found(report: &Report, finding: Finding) -> Vec<&Suggestion> {
    report.suggestions.iter().filter(|it| it.finding == finding).collect()
}

fn dropped(report: &Report, finding: Finding) -> Vec<String> {
    let name = |it: &&Suggestion| match &it.action {
        Some(Action::DropIndex { name, .. }) => name.clone(),
        other => panic!("{other:?}"),
    };
    let mut names: Vec<_> = found(report, finding).iter().map(name).collect();
    names.sort_unstable();
    names
}

#[test]
fn tables_are_analyzed_vacuumed_and_reported_past_their_thresholds_only() {
    let with = |change: fn(&mut Table)| {
        let mut evidence = evidence();
        change(&mut evidence.tables[0]);
        let report = judged(&evidence);
        report.suggestions.iter().map(|it| it.finding).collect::<Vec<_>>()
    };
    assert_eq!(with(|_| {}), []);
    assert_eq!(with(|table| table.changed = 249_000.0), []);
    assert_eq!(with(|table| table.changed = 251_000.0), [Finding::StaleStatistics]);
    assert_eq!(with(|table| table.dead = 300_000.0), []);
    assert_eq!(with(|table| table.dead = 350_000.0), [Finding::DeadRows]);
    // Vacuuming analyzes, too.
    assert_eq!(
        with(|table| (table.dead, table.changed) = (350_000.0, 900_000.0)),
        [Finding::DeadRows]
    );
    let scanned = |table: &mut Table| {
        table.seq_scans = [("replica-1".to_owned(), 40)].into();
        table.seq_rows = [("replica-1".to_owned(), 40_000_000)].into();
    };
    assert_eq!(with(scanned), [Finding::SequentialScans]);
    assert_eq!(with(|table| table.seq_scans = [("primary".to_owned(), 40)].into()), []);
    let never = |table: &mut Table| {
        table.analyzed = false;
        table.columns.iter_mut().for_each(|column| column.n_distinct = None);
    };
    assert_eq!(with(never), [Finding::StaleStatistics]);
}

#[test]
fn evidence_and_report_survive_being_written_to_a_file() {
    let mut evidence = Evidence { statements: vec![hot(RANGE)], ..evidence() };
    evidence.indexes.push(unused("idle", 11, &["status"]));
    let json = serde_json::to_string(&evidence).unwrap();
    let read: Evidence = serde_json::from_str(&json).unwrap();
    assert_eq!(read, evidence);
    let report = judged(&evidence);
    assert_eq!(judged(&read), report);
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}

#[test]
fn the_report_is_aligned_and_says_what_is_missing() {
    let mut evidence = Evidence { statements: vec![hot(RANGE)], ..evidence() };
    evidence.nodes[1].statements = StatementSource::NotLoaded;
    let text = judged(&evidence).to_string();
    let begins =
        ["1 suggestion from 3 nodes", "  1  high    missing index     public.bid  (an estimate)"];
    for line in begins {
        assert!(text.lines().any(|it| it.starts_with(line)), "{line:?} is not in:\n{text}");
    }
    assert!(text.contains("note replica-1 keeps no statistics of statements: add"), "{text}");
}

#[test]
fn thresholds_out_of_bounds_are_named() {
    let fine = AdvisorConfig::default;
    fine().validate().unwrap();
    let cases = [
        ("timeout", AdvisorConfig { timeout: Duration::ZERO, ..fine() }),
        ("lock_timeout", AdvisorConfig { lock_timeout: Duration::ZERO, ..fine() }),
        ("apply_timeout", AdvisorConfig { apply_timeout: Duration::ZERO, ..fine() }),
        ("min_statistics_age", AdvisorConfig { min_statistics_age: Duration::MAX, ..fine() }),
        ("statements", AdvisorConfig { statements: 0, ..fine() }),
        ("tables", AdvisorConfig { tables: 0, ..fine() }),
        ("min_calls", AdvisorConfig { min_calls: 0, ..fine() }),
        ("min_mean", AdvisorConfig { min_mean: Duration::MAX, ..fine() }),
        ("min_rows", AdvisorConfig { min_rows: 0, ..fine() }),
        ("max_columns", AdvisorConfig { max_columns: 9, ..fine() }),
        ("max_cost_share", AdvisorConfig { max_cost_share: f64::NAN, ..fine() }),
        ("stale_share", AdvisorConfig { stale_share: 0.0, ..fine() }),
        ("dead_share", AdvisorConfig { dead_share: 2.0, ..fine() }),
    ];
    for (field, config) in cases {
        match config.validate() {
            Err(crate::Error::Config { field: named, .. }) => assert_eq!(named, field),
            other => panic!("{field}: {other:?}"),
        }
    }
}
