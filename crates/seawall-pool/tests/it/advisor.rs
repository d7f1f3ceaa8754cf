//! Advice from all nodes, and what becomes of it when it is followed.

use std::time::Duration;

use seawall_devstack::{Postgres, Stack};
use seawall_pool::advisor::{
    Action, Advisor, AdvisorConfig, ApplyError, Finding, Note, Report, StatementSource, Suggestion,
};
use seawall_pool::{Pool, PoolConfig};

use crate::support::{admin, config, millis, pool, secs, stack, until};

/// Advice without waiting for a week of statistics.
fn eager() -> AdvisorConfig {
    AdvisorConfig {
        min_statistics_age: Duration::ZERO,
        min_mean: Duration::ZERO,
        timeout: secs(20),
        ..AdvisorConfig::default()
    }
}

fn advisor(pool: &Pool) -> Advisor {
    pool.advisor(eager()).unwrap()
}

/// Bids on auctions: a table that is large enough to be advised on.
async fn bids(stack: &Stack) {
    let primary = stack.primary().unwrap();
    admin(
        primary,
        "CREATE TABLE bid (id bigint PRIMARY KEY, auction_id bigint, bidder bigint, \
         note text, created_at timestamptz); \
         INSERT INTO bid SELECT i, i % 500, i % 20000, repeat('x', 40), now() - i * interval '1 s' \
         FROM generate_series(1, 40000) AS i",
    )
    .await;
    admin(primary, "VACUUM ANALYZE bid").await;
    // Filling the table is not what it is for.
    admin(primary, "SELECT pg_stat_force_next_flush()").await;
    admin(primary, "SELECT pg_stat_reset(), pg_stat_statements_reset()").await;
    caught_up(stack).await;
}

async fn caught_up(stack: &Stack) {
    for replica in stack.replicas() {
        replica.wait_caught_up(stack.primary().unwrap(), secs(20)).await.unwrap();
    }
}

/// Runs `sql` on `server`, often, and has its counts written down.
async fn often(server: &Postgres, sql: &str) {
    let client = server.client().await.unwrap();
    client.batch_execute("SET enable_seqscan = off; SET enable_bitmapscan = off").await.unwrap();
    for _ in 0..25 {
        client.batch_execute(sql).await.unwrap();
    }
    client.batch_execute("SELECT pg_stat_force_next_flush()").await.unwrap();
}

fn of<'r>(report: &'r Report, finding: Finding, name: &str) -> Option<&'r Suggestion> {
    report
        .suggestions
        .iter()
        .find(|it| it.finding == finding && it.sql().is_some_and(|sql| sql.contains(name)))
}

const NEWEST: &str =
    "SELECT id, note FROM bid WHERE auction_id = $1 ORDER BY created_at DESC LIMIT 10";

#[tokio::test]
async fn a_hot_read_of_the_replicas_gets_an_index_that_makes_it_cheaper() {
    let stack = stack(2).await;
    bids(&stack).await;
    let pool = pool(&stack).await;
    for auction in 0..60_i64 {
        pool.read().query(NEWEST, &[&auction]).await.unwrap();
        pool.read().query("SELECT note FROM bid WHERE id = $1", &[&auction]).await.unwrap();
    }
    let advisor = advisor(&pool);
    let report = advisor.report().await.unwrap();
    let text = report.to_string();
    let found =
        of(&report, Finding::MissingIndex, "auction_id").unwrap_or_else(|| panic!("{text}"));
    let Some(Action::CreateIndex { columns, .. }) = &found.action else { panic!("{text}") };
    assert_eq!(*columns, ["auction_id", "created_at"]);
    let calls = found.evidence.join("\n");
    assert!(calls.contains("calls 60 (") && calls.contains("replica-"), "{calls}");
    let indexes = report.suggestions.iter().filter(|it| it.finding == Finding::MissingIndex);
    assert_eq!(indexes.count(), 1, "the primary key serves the other statement: {text}");

    let applied = advisor.apply(found).await.unwrap();
    assert!(applied.sql.starts_with("CREATE INDEX CONCURRENTLY") && applied.bytes > Some(0));
    caught_up(&stack).await;
    let report = advisor.report().await.unwrap();
    assert!(of(&report, Finding::MissingIndex, "auction_id").is_none(), "{report}");
    match advisor.apply(found).await {
        Err(ApplyError::Exists { name }) => assert_eq!(name, "bid_auction_id_created_at_idx"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_index_that_only_a_replica_scans_is_not_called_unused() {
    let stack = stack(2).await;
    bids(&stack).await;
    let primary = stack.primary().unwrap();
    admin(primary, "CREATE INDEX by_bidder ON bid (bidder); CREATE INDEX by_note ON bid (note)")
        .await;
    caught_up(&stack).await;
    often(stack.replica(1).unwrap(), "SELECT count(*) FROM bid WHERE bidder = 7").await;
    let pool = pool(&stack).await;
    let report = advisor(&pool).report().await.unwrap();
    assert!(of(&report, Finding::UnusedIndex, "by_note").is_some(), "{report}");
    assert!(of(&report, Finding::UnusedIndex, "by_bidder").is_none(), "{report}");
    assert!(of(&report, Finding::UnusedIndex, "bid_pkey").is_none(), "{report}");

    let patient = pool.advisor(AdvisorConfig::default()).unwrap().report().await.unwrap();
    assert!(of(&patient, Finding::UnusedIndex, "by_note").is_none(), "{patient}");
    let unjudged = |note: &Note| matches!(note, Note::UnusedNotJudged { .. });
    assert!(patient.notes.iter().any(unjudged), "{patient}");

    // A pool that knows one replica of two cannot say what the other one scans.
    let mut half = config(&stack);
    half.replicas.truncate(1);
    let half = Pool::connect(half).await.unwrap();
    let report = advisor(&half).report().await.unwrap();
    assert!(of(&report, Finding::UnusedIndex, "by_note").is_none(), "{report}");
    assert!(report.notes.iter().any(unjudged), "{report}");

    stack.replica(1).unwrap().kill().await.unwrap();
    let report = advisor(&pool).report().await.unwrap();
    assert!(of(&report, Finding::UnusedIndex, "by_note").is_none(), "{report}");
    let silent = |note: &Note| matches!(note, Note::Silent { node, .. } if node == "replica-2");
    assert!(report.notes.iter().any(silent), "{report}");
}

#[tokio::test]
async fn an_index_that_was_used_since_the_report_is_not_dropped() {
    let stack = stack(1).await;
    bids(&stack).await;
    let (primary, replica) = (stack.primary().unwrap(), stack.replica(0).unwrap());
    admin(primary, "CREATE INDEX by_bidder ON bid (bidder)").await;
    caught_up(&stack).await;
    let pool = pool(&stack).await;
    let advisor = advisor(&pool);
    let report = advisor.report().await.unwrap();
    let unused = of(&report, Finding::UnusedIndex, "by_bidder").unwrap();
    often(replica, "SELECT count(*) FROM bid WHERE bidder = 7").await;
    let refused = advisor.apply(unused).await.unwrap_err();
    assert!(matches!(refused, ApplyError::Outdated) && !refused.is_retryable(), "{refused:?}");
    let report = advisor.report().await.unwrap();
    assert!(of(&report, Finding::UnusedIndex, "by_bidder").is_none(), "{report}");
}

#[tokio::test]
async fn duplicate_and_redundant_indexes_are_dropped_and_what_serves_instead_stays() {
    let stack = stack(0).await;
    bids(&stack).await;
    let primary = stack.primary().unwrap();
    admin(
        primary,
        "CREATE INDEX first ON bid (bidder, created_at); CREATE INDEX twin ON bid (bidder, created_at); \
         CREATE INDEX head ON bid (bidder); CREATE INDEX \"Down\" ON bid (bidder DESC); \
         CREATE INDEX partial ON bid (bidder) WHERE note IS NULL; CREATE UNIQUE INDEX again ON bid (id)",
    )
    .await;
    for index in ["bidder = 7", "bidder = 7 AND created_at > now()"] {
        often(primary, &format!("SELECT count(*) FROM bid WHERE {index}")).await;
    }
    let pool = pool(&stack).await;
    let advisor = advisor(&pool);
    let report = advisor.report().await.unwrap();
    let found = |finding| {
        let all = report.suggestions.iter().filter(move |it| it.finding == finding);
        let mut names: Vec<_> = all
            .map(|it| match &it.action {
                Some(Action::DropIndex { name, .. }) => name.as_str(),
                other => panic!("{other:?}"),
            })
            .collect();
        names.sort_unstable();
        names
    };
    assert_eq!(found(Finding::RedundantIndex), ["head"], "{report}");
    let duplicates = found(Finding::DuplicateIndex);
    assert!(duplicates == ["again", "first"] || duplicates == ["again", "twin"], "{report}");
    for finding in [Finding::DuplicateIndex, Finding::RedundantIndex] {
        let all = report.suggestions.iter().filter(|it| it.finding == finding);
        for suggestion in all {
            let applied = advisor.apply(suggestion).await.unwrap();
            assert!(applied.sql.starts_with("DROP INDEX CONCURRENTLY public."), "{}", applied.sql);
        }
    }
    let left = "SELECT count(*) FROM pg_indexes WHERE tablename = 'bid'";
    assert_eq!(crate::support::count(primary, left).await, 4);
    let report = advisor.report().await.unwrap();
    assert!(of(&report, Finding::DuplicateIndex, "").is_none(), "{report}");
}

#[tokio::test]
async fn a_build_that_is_held_up_is_given_up_and_told_and_its_rest_is_found_and_healed() {
    let stack = stack(0).await;
    bids(&stack).await;
    let pool = pool(&stack).await;
    for auction in 0..30_i64 {
        pool.read().query(NEWEST, &[&auction]).await.unwrap();
    }
    let hasty = pool.advisor(AdvisorConfig { lock_timeout: millis(300), ..eager() }).unwrap();
    let report = hasty.report().await.unwrap();
    let missing = of(&report, Finding::MissingIndex, "auction_id").unwrap();

    let primary = stack.primary().unwrap();
    let mut writer = primary.client().await.unwrap();
    let open = writer.transaction().await.unwrap();
    open.execute("UPDATE bid SET note = 'y' WHERE id = 1", &[]).await.unwrap();
    let error = hasty.apply(missing).await.unwrap_err();
    let ApplyError::Remains { name, source } = &error else { panic!("{error:?}") };
    assert_eq!(name, "bid_auction_id_created_at_idx");
    assert_eq!(source.sqlstate().unwrap().code(), "55P03");
    open.rollback().await.unwrap();

    let advisor = advisor(&pool);
    let report = advisor.report().await.unwrap();
    let invalid = of(&report, Finding::InvalidIndex, name).unwrap_or_else(|| panic!("{report}"));
    assert_eq!(report.suggestions[0], *invalid, "the most pressing first");
    advisor.apply(invalid).await.unwrap();
    let valid = "SELECT count(*) FROM pg_index WHERE indrelid = 'bid'::regclass AND indisvalid";
    assert_eq!(crate::support::count(primary, valid).await, 2);
    let report = advisor.report().await.unwrap();
    assert!(of(&report, Finding::InvalidIndex, name).is_none(), "{report}");
    assert!(of(&report, Finding::MissingIndex, "auction_id").is_none(), "{report}");
}

#[tokio::test]
async fn without_statistics_of_statements_the_rest_of_the_report_stands_and_says_what_to_do() {
    let stack = Stack::builder()
        .replicas(0)
        .setting("shared_preload_libraries", "")
        .setting("autovacuum", "off")
        .start()
        .await
        .unwrap();
    let primary = stack.primary().unwrap();
    admin(
        primary,
        "CREATE TABLE item (id bigint, name text); \
         INSERT INTO item SELECT i, 'x' FROM generate_series(1, 20000) AS i",
    )
    .await;
    let pool = Pool::connect(PoolConfig { min_idle: 1, ..config(&stack) }).await.unwrap();
    let advisor = advisor(&pool);
    // Counts of changes are written down by the second.
    until("the table is seen", secs(20), async || {
        let report = advisor.report().await.unwrap();
        of(&report, Finding::StaleStatistics, "item").is_some()
    })
    .await;
    let report = advisor.report().await.unwrap();
    let source = StatementSource::NotLoaded;
    let note = Note::NoStatements { node: "primary".to_owned(), source };
    assert!(report.notes.contains(&note), "{report}");
    assert!(report.to_string().contains("shared_preload_libraries"), "{report}");
    let stale = of(&report, Finding::StaleStatistics, "item").unwrap();
    advisor.apply(stale).await.unwrap();
    until("the statistics are new", secs(20), async || {
        let report = advisor.report().await.unwrap();
        of(&report, Finding::StaleStatistics, "item").is_none()
    })
    .await;

    admin(primary, "DROP EXTENSION pg_stat_statements").await;
    let report = advisor.report().await.unwrap();
    assert!(report.to_string().contains("CREATE EXTENSION"), "{report}");
}

#[tokio::test]
async fn a_role_that_may_not_see_the_statements_of_others_is_told_so() {
    let stack = stack(0).await;
    bids(&stack).await;
    let primary = stack.primary().unwrap();
    admin(primary, "CREATE ROLE modest LOGIN; GRANT SELECT ON bid TO modest").await;
    often(primary, "SELECT max(note) FROM bid WHERE auction_id = 7").await;
    let mut config = config(&stack);
    config.primary.url = config.primary.url.replace("//seawall@", "//modest@");
    assert!(config.primary.url.contains("modest"), "{}", config.primary.url);
    let pool = Pool::connect(config).await.unwrap();
    let evidence = advisor(&pool).collect().await.unwrap();
    assert_eq!(evidence.nodes[0].statements, StatementSource::NotPermitted);
    assert!(evidence.statements.iter().all(|it| !it.text.contains("max")), "{evidence:?}");
    assert!(!evidence.indexes.is_empty() && !evidence.tables.is_empty());
}

#[tokio::test]
async fn the_values_of_statements_and_passwords_are_not_in_the_evidence() {
    let stack = stack(0).await;
    bids(&stack).await;
    let primary = stack.primary().unwrap();
    admin(primary, "CREATE ROLE guarded PASSWORD 'hushhush'").await;
    often(primary, "SELECT count(*) FROM bid WHERE note = 'hushhush'").await;
    let pool = pool(&stack).await;
    let evidence = advisor(&pool).collect().await.unwrap();
    let text = serde_json::to_string(&evidence).unwrap();
    assert!(text.contains("note = $1") && !text.contains("hushhush"), "{text}");
}

#[tokio::test]
async fn a_caller_who_leaves_while_an_index_is_made_leaves_a_valid_one() {
    let stack = stack(0).await;
    bids(&stack).await;
    let pool = pool(&stack).await;
    for auction in 0..30_i64 {
        pool.read().query(NEWEST, &[&auction]).await.unwrap();
    }
    let advisor = advisor(&pool);
    let report = advisor.report().await.unwrap();
    let missing = of(&report, Finding::MissingIndex, "auction_id").unwrap();
    let left = tokio::time::timeout(Duration::ZERO, advisor.apply(missing)).await;
    assert!(left.is_err(), "it cannot be done already");
    let primary = stack.primary().unwrap();
    let valid = "SELECT count(*) FROM pg_index WHERE indrelid = 'bid'::regclass AND indisvalid";
    until("it is made all the same", secs(20), async || {
        crate::support::count(primary, valid).await == 2
    })
    .await;
}

/// A stand-in with the functions of HypoPG, which refuses any index but the one that is expected and pretends
/// nothing: the planner's cost stays.
#[tokio::test]
async fn where_hypopg_says_that_an_index_does_not_help_none_is_suggested() {
    let stack = stack(0).await;
    bids(&stack).await;
    let pool = pool(&stack).await;
    for auction in 0..30_i64 {
        pool.read().query(NEWEST, &[&auction]).await.unwrap();
    }
    let advisor = advisor(&pool);
    let report = advisor.report().await.unwrap();
    assert!(of(&report, Finding::MissingIndex, "auction_id").is_some(), "{report}");
    admin(
        stack.primary().unwrap(),
        "CREATE SCHEMA \"Odd\"; \
         CREATE FUNCTION \"Odd\".hypopg_create_index(sql_order text, OUT indexrelid oid, OUT indexname text) \
         RETURNS SETOF record LANGUAGE plpgsql AS $$ BEGIN \
         ASSERT sql_order = 'CREATE INDEX ON public.bid (auction_id, created_at)', sql_order; \
         RETURN QUERY SELECT 1::oid, 'stand-in'; END $$; \
         CREATE FUNCTION \"Odd\".hypopg_reset() RETURNS void LANGUAGE sql AS ''; \
         SET allow_system_table_mods = on; \
         INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion) \
         SELECT 99999, 'hypopg', 10, oid, true, '1.4' FROM pg_namespace WHERE nspname = 'Odd'",
    )
    .await;
    let evidence = advisor.collect().await.unwrap();
    let [trial] = evidence.trials.as_slice() else { panic!("{evidence:?}") };
    let planned = evidence.statements.iter().find(|it| it.id == trial.statement).unwrap();
    assert_eq!(trial.cost, planned.plan.as_ref().unwrap().cost);
    let report = seawall_pool::advisor::advise(&evidence, &eager());
    assert!(of(&report, Finding::MissingIndex, "auction_id").is_none(), "{report}");
}
