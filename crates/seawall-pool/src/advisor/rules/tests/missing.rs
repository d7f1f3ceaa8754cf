use super::{RANGE, evidence, found, hot, index, judged};
use crate::advisor::evidence::{Evidence, Index, Plan, Statement, Trial};
use crate::advisor::rules::missing::free_name;
use crate::advisor::suggestion::{Action, Confidence, Finding, Severity, Suggestion};

/// The columns of the indexes that a statement leads to.
fn advice(evidence: Evidence, statement: Statement) -> Vec<Vec<String>> {
    let evidence = Evidence { statements: vec![statement], ..evidence };
    let columns = |it: &Suggestion| match &it.action {
        Some(Action::CreateIndex { columns, .. }) => columns.clone(),
        other => panic!("{other:?}"),
    };
    found(&judged(&evidence), Finding::MissingIndex).into_iter().map(columns).collect()
}

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
fn a_table_joined_to_itself_counts_once() {
    let twice = "SELECT * FROM bid a WHERE a.auction_id = $1 AND a.created_at > $2 \
         UNION ALL SELECT * FROM bid b WHERE b.auction_id = $1 AND b.created_at > $2";
    let evidence = Evidence { statements: vec![hot(twice)], ..evidence() };
    let report = judged(&evidence);
    let [found] = found(&report, Finding::MissingIndex)[..] else { panic!("{report}") };
    assert_eq!(found.evidence.iter().filter(|line| line.starts_with("SELECT")).count(), 1);
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
    let long = free_name(&"ä".repeat(60), &["ä".repeat(31)]);
    assert_eq!(long, format!("{}_2", "ä".repeat(30)));
}

#[test]
fn beside_an_index_on_a_part_or_an_expression_nothing_is_suggested_without_a_plan() {
    let partial =
        Index { condition: Some("(status = 1)".to_owned()), ..index("p", 11, &["auction_id"]) };
    let mut on_expression = index("e", 12, &["data"]);
    on_expression.keys[0].column = None;
    for unclear in [partial, on_expression] {
        let mut evidence = evidence();
        assert_eq!(advice(evidence.clone(), Statement { plan: None, ..hot(RANGE) }).len(), 1);
        evidence.indexes.push(unclear);
        let unplanned = Statement { plan: None, ..hot(RANGE) };
        assert_eq!(advice(evidence.clone(), unplanned), Vec::<Vec<String>>::new());
        // That the planner reads all rows all the same is a reason, and no proof: it does not know the value.
        let planned = Evidence { statements: vec![hot(RANGE)], ..evidence };
        let report = judged(&planned);
        let [found] = found(&report, Finding::MissingIndex)[..] else { panic!("{report}") };
        assert_eq!(found.confidence, Confidence::Low);
    }
}
