use std::time::Duration;

use super::advise;
use crate::advisor::config::AdvisorConfig;
use crate::advisor::evidence::{
    Column, Evidence, Index, Key, NodeEvidence, Plan, Scan, Statement, StatementSource, Table,
    Trial,
};
use crate::advisor::report::{Note, Report};
use crate::advisor::suggestion::{Action, Confidence, Finding, Severity, Suggestion};

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
    Index { unique: true, constraint: true, ..unused(name, oid, &[column]) }
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
            scans: vec![Scan { table: "bid".to_owned(), cost: 22_500.0, rows: 1_000.0 }],
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

/// The columns of the indexes that a statement leads to.
fn advice(evidence: Evidence, statement: Statement) -> Vec<Vec<String>> {
    let evidence = Evidence { statements: vec![statement], ..evidence };
    let columns = |it: &Suggestion| match &it.action {
        Some(Action::CreateIndex { columns, .. }) => columns.clone(),
        other => panic!("{other:?}"),
    };
    found(&judged(&evidence), Finding::MissingIndex).into_iter().map(columns).collect()
}

const RANGE: &str = "SELECT * FROM bid WHERE created_at > $1 AND auction_id = $2";

#[test]
fn equality_comes_before_range_and_costs_are_told_before_and_after() {
    let evidence = Evidence { statements: vec![hot(RANGE)], ..evidence() };
    let report = judged(&evidence);
    let [found] = found(&report, Finding::MissingIndex)[..] else { panic!("{report}") };
    assert_eq!(
        found.sql().unwrap(),
        "CREATE INDEX CONCURRENTLY bid_auction_id_created_at_idx ON public.bid (auction_id, created_at)"
    );
    assert_eq!((found.severity, found.confidence), (Severity::High, Confidence::Medium));
    let text = found.evidence.join("\n");
    assert!(text.contains("100000 (primary 10000, replica-1 90000)"), "{text}");
    assert!(text.contains("cost 22 500 now and 1 "), "{text}");
}

#[test]
fn an_index_that_does_not_pay_is_not_suggested() {
    let small = || {
        let mut small = evidence();
        (small.tables[0].rows, small.tables[0].pages) = (200.0, 2.0);
        small
    };
    let written = || {
        let mut written = evidence();
        written.tables[0].writes = 1 << 40;
        written
    };
    let covered = |columns: &[&str]| {
        let mut covered = evidence();
        covered.indexes.push(index("there", 11, columns));
        covered
    };
    let none = Vec::<Vec<String>>::new();
    assert_eq!(advice(evidence(), hot(RANGE)), [["auction_id", "created_at"]]);
    assert_eq!(advice(small(), hot(RANGE)), none, "a small table");
    assert_eq!(advice(written(), hot(RANGE)), none, "a table that is written all the time");
    assert_eq!(
        advice(covered(&["auction_id", "created_at", "id"]), hot(RANGE)),
        none,
        "it is there"
    );
    assert_eq!(
        advice(covered(&["id", "auction_id"]), hot(RANGE)).len(),
        1,
        "it does not begin with it"
    );
    let partial = || {
        let mut partial = covered(&["auction_id", "created_at"]);
        partial.indexes[1].condition = Some("(status = 1)".to_owned());
        partial
    };
    assert_eq!(advice(partial(), hot(RANGE)).len(), 1, "a partial index serves some only");

    let rare = Statement { calls: [("primary".to_owned(), 3)].into(), ..hot(RANGE) };
    assert_eq!(advice(evidence(), rare), none, "a rare statement");
    let quick = Statement { total_ms: 1_000.0, ..hot(RANGE) };
    assert_eq!(advice(evidence(), quick), none, "a quick statement");
    let planned = Statement { plan: Some(Plan { cost: 9.0, scans: Vec::new() }), ..hot(RANGE) };
    assert_eq!(advice(evidence(), planned), none, "the planner has its way already");
    let common = hot("SELECT * FROM bid WHERE status = $1");
    assert_eq!(advice(evidence(), common), none, "a third of the table");
    let json = hot("SELECT * FROM bid WHERE data = $1");
    assert_eq!(advice(evidence(), json), none, "a type without an order");
}

#[test]
fn the_first_rows_of_an_order_are_served_by_that_order() {
    let newest =
        "SELECT * FROM bid WHERE auction_id = $1 AND status = $2 ORDER BY created_at DESC LIMIT $3";
    assert_eq!(advice(evidence(), hot(newest)), [["auction_id", "status", "created_at"]]);
    let latest = "SELECT * FROM bid ORDER BY created_at DESC LIMIT $1";
    assert_eq!(advice(evidence(), hot(latest)), [["created_at"]]);
    let selective = "SELECT * FROM bid WHERE id = $1 AND auction_id = $2";
    let mut without_key = evidence();
    without_key.indexes.clear();
    assert_eq!(advice(without_key, hot(selective)), [["id"]], "one row is few enough");
}

#[test]
fn a_cost_that_hypopg_named_counts_for_more_than_an_estimate() {
    let trial = |cost| Trial {
        statement: 77,
        table: 1,
        columns: vec!["auction_id".to_owned(), "created_at".to_owned()],
        cost,
    };
    let with =
        |cost| Evidence { statements: vec![hot(RANGE)], trials: vec![trial(cost)], ..evidence() };
    let report = judged(&with(42.0));
    let [found] = found(&report, Finding::MissingIndex)[..] else { panic!("{report}") };
    assert_eq!(found.confidence, Confidence::High);
    assert!(found.evidence.join("\n").contains("and 42 with it"));
    let useless = judged(&with(22_000.0));
    assert_eq!(useless.suggestions, [], "the planner would not use it");
}

#[test]
fn statements_that_want_a_beginning_of_the_same_index_share_it() {
    let shorter = Statement { id: 78, ..hot("SELECT * FROM bid WHERE auction_id = $1") };
    let evidence = Evidence { statements: vec![shorter, hot(RANGE)], ..evidence() };
    let report = judged(&evidence);
    let [found] = found(&report, Finding::MissingIndex)[..] else { panic!("{report}") };
    assert!(found.sql().unwrap().ends_with("(auction_id, created_at)"));
    assert_eq!(found.evidence.iter().filter(|line| line.starts_with("SELECT")).count(), 2);
}

#[test]
fn a_name_that_is_taken_or_too_long_is_changed() {
    let mut taken = evidence();
    taken.indexes.push(Index {
        name: "bid_auction_id_created_at_idx".to_owned(),
        ..index("", 12, &["status"])
    });
    taken.statements = vec![hot(RANGE)];
    let report = judged(&taken);
    let sql = found(&report, Finding::MissingIndex)[0].sql().unwrap();
    assert!(sql.contains(" bid_auction_id_created_at_idx_2 ON"), "{sql}");
    let long = super::missing::free_name(&"ä".repeat(60), &["ä".repeat(31)]);
    assert_eq!(long, format!("{}_2", "ä".repeat(30)));
}

#[test]
fn an_index_is_unused_only_if_every_node_says_so() {
    let mut evidence = evidence();
    evidence.indexes.push(unused("idle", 11, &["status"]));
    evidence.indexes.push(Index {
        scans: [("primary".to_owned(), 0), ("replica-2".to_owned(), 1)].into(),
        ..unused("carries_a_replica", 12, &["created_at"])
    });
    assert_eq!(dropped(&judged(&evidence), Finding::UnusedIndex), ["idle"]);

    let spoilt: [fn(&mut Evidence); 3] = [
        |evidence| evidence.nodes[2].silent = Some("no answer".to_owned()),
        |evidence| evidence.nodes[1].statistics_age = WEEK - 1.0,
        |evidence| evidence.standbys = 3,
    ];
    for spoil in spoilt {
        let mut evidence = evidence.clone();
        spoil(&mut evidence);
        let report = judged(&evidence);
        assert_eq!(report.suggestions, [], "{report}");
        let unjudged = |note: &Note| matches!(note, Note::UnusedNotJudged { indexes: 1, .. });
        assert!(report.notes.iter().any(unjudged), "{report}");
    }
}

#[test]
fn what_rules_or_replication_rest_on_is_never_dropped() {
    let protect: [fn(&mut Index); 5] = [
        |index| index.constraint = true,
        |index| index.unique = true,
        |index| index.replica_identity = true,
        |index| index.partition = true,
        |index| index.building = true,
    ];
    for protect in protect {
        let mut evidence = evidence();
        let mut index = unused("idle", 11, &["status"]);
        protect(&mut index);
        evidence.indexes.push(index.clone());
        // Nor when a longer one begins with it.
        evidence.indexes.push(self::index("longer", 12, &["status", "created_at"]));
        assert_eq!(judged(&evidence).suggestions, [], "{index:?}");
    }
}

#[test]
fn of_indexes_that_are_alike_one_stays() {
    let mut all = evidence();
    // All alike; the one in use is the one to keep.
    all.indexes.push(unused("old", 11, &["status", "created_at"]));
    all.indexes.push(index("in_use", 12, &["status", "created_at"]));
    all.indexes.push(unused("young", 13, &["status", "created_at"]));
    assert_eq!(dropped(&judged(&all), Finding::DuplicateIndex), ["old", "young"]);

    let mut with_key = evidence();
    with_key.indexes.push(index("again", 11, &["id"]));
    with_key.indexes.push(Index { unique: true, ..index("unique_again", 12, &["id"]) });
    let names = dropped(&judged(&with_key), Finding::DuplicateIndex);
    assert_eq!(names, ["again", "unique_again"], "the primary key stays");
}

#[test]
fn indexes_that_differ_in_any_way_are_not_alike() {
    let base = || index("one", 11, &["status"]);
    let other = || index("other", 12, &["status", "created_at"]);
    let report = |one: Index, other: Index| {
        let mut evidence = evidence();
        evidence.indexes.extend([one, other]);
        judged(&evidence)
    };
    assert_eq!(dropped(&report(base(), other()), Finding::RedundantIndex), ["one"]);
    let differ: [fn(&mut Index); 5] = [
        |index| index.method = "hash".to_owned(),
        |index| index.condition = Some("(id > 1)".to_owned()),
        |index| index.keys[0].kind = "1 0 3".to_owned(),
        |index| index.included = vec!["data".to_owned()],
        |index| index.table = 99,
    ];
    for differ in differ {
        let mut one = base();
        differ(&mut one);
        assert_eq!(report(one.clone(), other()).suggestions, [], "{one:?}");
    }
    let broken = Index { valid: false, ..other() };
    let report = report(base(), broken);
    assert_eq!(dropped(&report, Finding::RedundantIndex), [String::new(); 0], "{report}");
}

#[test]
fn an_invalid_index_is_made_anew_and_what_reindex_left_is_dropped() {
    let mut evidence = evidence();
    evidence.indexes.push(Index { valid: false, ..index("broken", 11, &["status"]) });
    evidence.indexes.push(Index { valid: false, ..index("fine_ccnew2", 12, &["status"]) });
    evidence.indexes.push(Index { valid: false, building: true, ..index("wip", 13, &["id"]) });
    let report = judged(&evidence);
    let mut sql: Vec<_> =
        found(&report, Finding::InvalidIndex).iter().filter_map(|it| it.sql()).collect();
    sql.sort();
    assert_eq!(
        sql,
        ["DROP INDEX CONCURRENTLY public.fine_ccnew2", "REINDEX INDEX CONCURRENTLY public.broken"]
    );
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
        ["1 suggestions from 3 nodes", "  1  high    missing index     public.bid  (an estimate)"];
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
