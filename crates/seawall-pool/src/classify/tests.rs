use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{Classifier, Functions, Kind, MOST_LINKS, is_read, parse, words};

mod grammar;

fn functions() -> Functions {
    let common = Functions::common();
    assert!(!common.is_harmless("nextval"));
    common
}

fn kind(sql: &str) -> Kind {
    parse(sql, &functions())
}

/// What a service reads with.
const READS: [&str; 59] = [
    "SELECT 1",
    "select 1;",
    "  /* where /* it */ goes */ SELECT 1 -- and more",
    "(SELECT 1)",
    "VALUES (1, 'a'), (2, 'b')",
    "TABLE item",
    "SELECT * FROM item WHERE id = $1",
    "SELECT id, price FROM item WHERE price < $1 ORDER BY price DESC, id LIMIT 10 OFFSET 20",
    "SELECT count(*) FROM item",
    "SELECT count(*) FILTER (WHERE sold) FROM item",
    "SELECT COALESCE(name, 'none'), NULLIF(a, b), GREATEST(a, b), LEAST(a, b) FROM item",
    "SELECT now(), current_date, current_timestamp, CURRENT_USER",
    "SELECT clock_timestamp(), random(), gen_random_uuid()",
    "SELECT pg_catalog.lower(name) FROM item",
    "SELECT \"lower\"(name) FROM item",
    "SELECT LOWER(name) FROM item",
    "SELECT EXTRACT(epoch FROM at), date_trunc('day', at) FROM bid",
    "SELECT position('a' IN name), substring(name FROM 2 FOR 3), trim(both ' ' FROM name) FROM item",
    "SELECT CAST(a AS numeric(10, 2)), b::varchar(10)::text, c::int[] FROM item",
    "SELECT 'DELETE FROM item', $$INSERT INTO item$$, $x$nextval('s')$x$",
    "SELECT 'it''s', E'\\'nextval()', \"update\" FROM item",
    "SELECT * FROM item WHERE name LIKE $1 ESCAPE '\\'",
    "SELECT updated_at, deleted, inserted FROM item",
    "SELECT * FROM item JOIN bid ON bid.item = item.id LEFT JOIN users u USING (id)",
    "SELECT * FROM item, LATERAL (SELECT * FROM bid WHERE item = item.id LIMIT 1) AS last",
    "SELECT * FROM generate_series(1, 10) AS n",
    "SELECT * FROM unnest($1::bigint[]) WITH ORDINALITY AS t(id, at)",
    "SELECT * FROM unnest($1::bigint[], $2::text[]) AS t(id, name)",
    "SELECT id FROM item WHERE id = ANY($1)",
    "SELECT id FROM item WHERE id IN (SELECT item FROM bid) AND NOT EXISTS (SELECT 1 FROM ban)",
    "SELECT id FROM item WHERE (a, b) > ($1, $2)",
    "SELECT CASE WHEN a > 1 THEN 'x' ELSE 'y' END FROM item",
    "SELECT ARRAY[1, 2], ARRAY(SELECT id FROM item), ROW(1, 2)",
    "SELECT data->'a'->>'b', data #>> '{a,b}', data @> '{}'::jsonb, data ? 'a' FROM item",
    "SELECT jsonb_build_object('id', id, 'bids', jsonb_agg(bid)) FROM item GROUP BY id",
    "SELECT row_number() OVER (PARTITION BY kind ORDER BY price), sum(x) OVER w FROM t WINDOW w AS (ORDER BY y)",
    "SELECT DISTINCT ON (kind) * FROM item ORDER BY kind, price",
    "SELECT kind, sum(price) FROM item GROUP BY ROLLUP (kind) HAVING sum(price) > 1",
    "SELECT kind FROM item GROUP BY GROUPING SETS ((kind), ())",
    "SELECT 1 UNION ALL SELECT 2 EXCEPT SELECT 3 INTERSECT SELECT 4",
    "WITH best AS (SELECT * FROM bid ORDER BY price LIMIT 1) SELECT * FROM best",
    "WITH a(x) AS (VALUES (1)), b AS (SELECT x FROM a) SELECT * FROM b",
    "WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 9) SELECT * FROM up",
    "WITH a AS MATERIALIZED (SELECT 1) SELECT * FROM a",
    "SELECT * FROM (SELECT * FROM (SELECT 1) AS a) AS b",
    "SELECT name FROM item WHERE name ILIKE '%a%' AND name ~* 'b' AND name NOT SIMILAR TO 'c'",
    "SELECT at AT TIME ZONE 'UTC', interval '1 day' FROM bid",
    "SELECT name COLLATE \"C\" FROM item ORDER BY name NULLS LAST",
    "SELECT * FROM item TABLESAMPLE SYSTEM (10)",
    "SELECT a FROM t WHERE b BETWEEN 1 AND 2 OR c IS NOT NULL OR d IS DISTINCT FROM e",
    "SELECT string_agg(name, ',' ORDER BY name) FROM item",
    "SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY took) FROM bid",
    "SELECT ts_rank(doc, q) FROM page, to_tsquery('a & b') AS q WHERE doc @@ q",
    "SELECT * FROM item FETCH FIRST 5 ROWS ONLY",
    "SELECT -1, +2, ~3, 2 ^ 3, 5 % 2, 'a' || 'b', |/ 4",
    "EXPLAIN SELECT * FROM item",
    "EXPLAIN DELETE FROM item",
    "EXPLAIN ANALYZE SELECT * FROM item",
    "EXPLAIN (FORMAT JSON) SELECT * FROM item",
];

/// What must not reach a replica.
const WRITES: [&str; 136] = [
    "",
    ";",
    "-- nothing",
    "nonsense",
    "SELECT",
    "INSERT INTO item VALUES (1)",
    "INSERT INTO item SELECT * FROM other RETURNING id",
    "INSERT INTO item VALUES (1) ON CONFLICT DO NOTHING",
    "UPDATE item SET sold = true",
    "DELETE FROM item WHERE id = 1",
    "MERGE INTO item USING new ON item.id = new.id WHEN MATCHED THEN DELETE",
    "TRUNCATE item",
    "WITH gone AS (DELETE FROM item RETURNING *) SELECT * FROM gone",
    "WITH a AS (SELECT 1), b AS (UPDATE item SET x = 1 RETURNING *) SELECT * FROM a, b",
    "WITH a AS (WITH b AS (INSERT INTO item VALUES (1) RETURNING id) SELECT * FROM b) SELECT * FROM a",
    "SELECT * FROM (WITH x AS (DELETE FROM item RETURNING *) SELECT * FROM x) AS y",
    "WITH a AS (SELECT 1) INSERT INTO item SELECT * FROM a",
    "WITH a AS (SELECT 1) UPDATE item SET x = 1",
    "WITH a AS (SELECT 1) DELETE FROM item",
    "SELECT * FROM item FOR UPDATE",
    "SELECT * FROM item FOR NO KEY UPDATE",
    "SELECT * FROM item FOR SHARE",
    "SELECT * FROM item FOR KEY SHARE SKIP LOCKED",
    "SELECT * FROM item FOR UPDATE OF item NOWAIT",
    "SELECT * FROM (SELECT * FROM item FOR UPDATE) AS locked",
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM item FOR SHARE)",
    "WITH a AS (SELECT * FROM item FOR UPDATE) SELECT * FROM a",
    "SELECT * INTO copy FROM item",
    "SELECT 1 INTO TEMP copy",
    "CREATE TABLE copy AS SELECT * FROM item",
    "CREATE TABLE x (id int)",
    "CREATE TEMP TABLE x (id int)",
    "ALTER TABLE item ADD COLUMN x int",
    "DROP TABLE item",
    "CREATE INDEX ON item (price)",
    "REFRESH MATERIALIZED VIEW m",
    "SELECT nextval('s')",
    "SELECT NextVal('s')",
    "SELECT pg_catalog.nextval('s')",
    "SELECT \"nextval\"('s')",
    "SELECT setval('s', 1)",
    "SELECT currval('s'), lastval()",
    "SELECT 1 + (SELECT nextval('s'))",
    "SELECT coalesce(nextval('s'), 1)",
    "SELECT * FROM item ORDER BY nextval('s')",
    "SELECT * FROM item LIMIT (SELECT nextval('s'))",
    "SELECT * FROM item JOIN bid ON nextval('s') > 0",
    "SELECT count(*) FILTER (WHERE nextval('s') > 0) FROM item",
    "SELECT sum(x) OVER (ORDER BY nextval('s')) FROM item",
    "SELECT CASE WHEN nextval('s') > 1 THEN 1 END",
    "VALUES (nextval('s'))",
    "SELECT ARRAY[nextval('s')]",
    "SELECT * FROM nextval('s')",
    "SELECT * FROM nextval('s') AS n, item",
    "SELECT * FROM ROWS FROM (nextval('s'))",
    "SELECT * FROM item, LATERAL nextval('s')",
    "SELECT * FROM unnest(ARRAY[nextval('s')])",
    "SELECT CAST(nextval('s') AS text), extract(epoch FROM touch()), substring(nextval('s')::text FROM 1)",
    "SELECT pg_notify('c', 'x')",
    "SELECT set_config('work_mem', '1MB', false)",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_try_advisory_xact_lock(1)",
    "SELECT my_function(1)",
    "SELECT * FROM app.my_function(1)",
    "SELECT dblink_exec('x', 'DELETE FROM item')",
    "SELECT lo_create(0)",
    "SELECT query_to_xml('DELETE FROM item', true, true, '')",
    "EXPLAIN ANALYZE DELETE FROM item",
    "EXPLAIN (ANALYZE, BUFFERS) INSERT INTO item VALUES (1)",
    "EXPLAIN (analyze true) SELECT nextval('s')",
    "COPY item FROM STDIN",
    "COPY item TO STDOUT",
    "COPY (SELECT * FROM item) TO PROGRAM 'rm x'",
    "DO $$ BEGIN DELETE FROM item; END $$",
    "CALL refresh_everything()",
    "LOCK TABLE item IN ACCESS SHARE MODE",
    "NOTIFY c",
    "SET work_mem = '1MB'",
    "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY",
    "PREPARE p AS DELETE FROM item",
    "VACUUM item",
    "SELECT DISTINCT ON (nextval('s')) * FROM item",
    "SELECT sum(x) OVER w FROM item WINDOW w AS (ORDER BY nextval('s'))",
    "SELECT sum(x) OVER (PARTITION BY nextval('s')) FROM item",
    "SELECT sum(x) OVER (ORDER BY y ROWS nextval('s') PRECEDING) FROM item",
    "SELECT x FROM item GROUP BY nextval('s'), x HAVING nextval('s') > 1",
    "SELECT x FROM item GROUP BY GROUPING SETS ((nextval('s')), ())",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY nextval('s')) FROM item",
    "SELECT string_agg(x, ',' ORDER BY nextval('s')) FROM item",
    "SELECT * FROM item TABLESAMPLE SYSTEM (nextval('s'))",
    "SELECT * FROM item FETCH FIRST (nextval('s')) ROWS ONLY",
    "SELECT * FROM item OFFSET nextval('s')",
    "SELECT 1 IN (2, nextval('s')), 1 = ANY(ARRAY[nextval('s')]), (1, nextval('s')) = (1, 2)",
    "SELECT a[nextval('s')], (a).b, a BETWEEN nextval('s') AND 2 FROM item",
    "SELECT x LIKE 'a' ESCAPE chr(nextval('s')::int) FROM item",
    "SELECT trim(both my_function() FROM 'a'), overlay('a' PLACING 'b' FROM nextval('s')::int)",
    "SELECT lower(x => nextval('s')), lower(VARIADIC ARRAY[my_function()])",
    "SELECT interval '1 day' * nextval('s'), now() AT TIME ZONE my_function()",
    "WITH RECURSIVE up(n) AS (SELECT nextval('s') UNION ALL SELECT n FROM up) SELECT * FROM up",
    "SELECT * FROM item NATURAL JOIN (SELECT nextval('s')) AS x",
    "SELECT * FROM generate_series(1, nextval('s'))",
    "SELECT * FROM XMLTABLE('/a' PASSING my_function() COLUMNS b text)",
    "SELECT (SELECT my_function())::text COLLATE \"C\"",
    "SELECT json_object('a': my_function()), json_array(my_function())",
    "SELECT position(my_function() IN 'a'), ceil(my_function()), floor(my_function())",
    "SELECT * FROM a ORDER BY x USING OPERATOR(pg_catalog.<), my_function()",
    "SELECT INTO copy FROM item",
    "SELECT DISTINCT INTO TEMP copy FROM item",
    "EXPLAIN (ANALYSE) DELETE FROM item",
    "EXPLAIN (VERBOSE, analyse true) SELECT nextval('s')",
    "EXPLAIN ANALYSE DELETE FROM item",
    "SELECT $1a$, nextval('s'), $1a$",
    "SELECT app.normalize(id) FROM item",
    "SELECT app.coalesce(id), app.overlay(1, 2) FROM item",
    "SELECT \"user\"(1), app.\"exists\"(1)",
    "SELECT app.format('x')",
    "SELECT * FROM app.log('x')",
    "SELECT convert(amount, currency) FROM item",
    "SELECT ran\u{212a}(1)",
    "SELECT 1 OPERATOR(app.+) 2",
    "SELECT E'a'\n'\\'' || nextval($$s$$) --'",
    "SELECT 'a\\'' || nextval($$s$$) --'",
    "SELECT a, over(SELECT 1), E'a'\n'\\'' || nextval($$s$$) --'",
    "SELECT json_table($1, $2 COLUMNS (a int)), 'a\\'' || nextval($$s$$) --'",
    "SELECT 1e, 'a\\'' || nextval($$s$$) --'",
    "SELECT * FROM operator()",
    "SELECT * FROM operator(pg_catalog)",
    "SELECT * FROM item, operator(pg_catalog !)",
    "EXPLAIN EXECUTE p(nextval('s'))",
    "EXPLAIN (VERBOSE) EXECUTE p(nextval('s'))",
    "EXPLAIN CREATE TABLE x AS EXECUTE p(nextval('s'))",
    "SELECT treat(1 AS pg_advisory_lock)",
    "SELECT treat('s'::regclass AS nextval)",
    "WITH RECURSIVE t(id) AS (SELECT 1) CYCLE id SET b USING char DELETE FROM item",
    "SELECT 1; DELETE FROM item",
    "SELECT 1; SELECT 2",
];

#[test]
fn the_table_is_large_and_names_nothing_twice() {
    let all: BTreeSet<_> = READS.iter().chain(&WRITES).collect();
    assert_eq!(all.len(), READS.len() + WRITES.len());
}

#[test]
fn nothing_that_writes_passes_for_a_read() {
    let passed: Vec<_> = WRITES.iter().filter(|sql| kind(sql) == Kind::Read).collect();
    assert!(passed.is_empty(), "{passed:#?}");
}

#[test]
fn of_pure_reads_at_least_ninety_five_in_a_hundred_are_recognised() {
    let missed: Vec<_> = READS.iter().filter(|sql| kind(sql) == Kind::Write).collect();
    assert!(missed.len() * 20 <= READS.len(), "{missed:#?}");
}

#[test]
fn chains_of_operators_of_any_length_do_not_run_out_of_stack() {
    let parts = [
        "+1",
        " AND a",
        "::int",
        "[1]",
        " IS NULL",
        " COLLATE \"C\"",
        " UNION SELECT 1",
        "->'a'",
        ".a",
        " AT TIME ZONE 'UTC'",
        " NOTNULL",
        " IN (1)",
        " LIKE 'a'",
        " BETWEEN 1 AND 2",
        " JOIN b ON true",
        " CROSS JOIN b",
        ", b",
        " = ANY(x)",
        " IS DISTINCT FROM a",
        "!",
        " || b",
        " OPERATOR(pg_catalog.+) 1",
        " ESCAPE 'a'",
        "(1)",
        " b",
        " ISNULL",
        " OVERLAPS b",
    ];
    for (start, part) in parts
        .into_iter()
        .flat_map(|part| ["SELECT a", "SELECT * FROM a", "SELECT"].map(|start| (start, part)))
    {
        for count in [1, MOST_LINKS / 3, MOST_LINKS / 2, MOST_LINKS - 2, 5_000] {
            let _ = kind(&format!("{start}{}", part.repeat(count)));
        }
    }
    for (open, close) in [
        ("(", ")"),
        ("NOT ", ""),
        ("- ", ""),
        ("CASE WHEN ", " THEN 1 END"),
        ("(SELECT ", ")"),
        ("ARRAY[", "]"),
        ("EXPLAIN ", ""),
        ("lower(", ")"),
        ("CAST(", " AS int)"),
    ] {
        for count in [1, 30, 200, 5_000] {
            let sql = format!("SELECT {}1{}", open.repeat(count), close.repeat(count));
            let _ = kind(&sql);
            let _ = kind(&sql["SELECT ".len()..]);
        }
    }
    let long = format!("SELECT 1 + {}", "1,".repeat(100_000));
    assert_eq!(kind(&long), Kind::Write);
    let list = (0..2_000).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
    assert_eq!(kind(&format!("SELECT * FROM item WHERE id IN ({list})")), Kind::Read);
}

#[test]
fn long_statements_that_are_all_different_do_not_fill_the_memory() {
    let classifier = Classifier::new();
    for number in 0..1_000 {
        classifier.correct(&format!("{number:060000}"));
    }
    let bytes: usize = classifier.known.iter().map(|(sql, _)| sql.len()).sum();
    assert!((60_000..=16 << 20).contains(&bytes), "{bytes}");
}

#[test]
fn functions_that_the_parser_takes_for_syntax_are_looked_up_too() {
    // As the catalogue has it where somebody made volatile ones of these names.
    let few = Functions::of(["lower"]);
    for sql in ["ceil(a)", "floor(a)", "substring(a, 1)", "substr(a, 1)", "overlay(a, b, 1)"] {
        let sql = format!("SELECT {sql} FROM item");
        assert_eq!(parse(&sql, &few), Kind::Write, "{sql}");
        assert_eq!(kind(&sql), Kind::Read, "{sql}");
    }
    // What the catalogue names is so in every schema; syntax is what it is without one.
    for sql in ["SELECT app.lower(a), \"lower\"(a)", "SELECT coalesce(a, b), trim(a)"] {
        assert_eq!(parse(sql, &few), Kind::Read, "{sql}");
    }
    assert_eq!(
        kind("SELECT pg_catalog.\"position\"(a, b), 1 OPERATOR(pg_catalog.+) 2"),
        Kind::Read
    );
}

#[test]
fn what_is_syntax_in_some_versions_only_is_none_where_the_catalogue_has_a_volatile_one() {
    let rows = [("lower", true), ("json_value", false), ("treat", true)];
    let listed = Functions::listed(rows.map(|(name, harmless)| (name.to_owned(), harmless)).into());
    for sql in ["json_value(1)", "unnest(a)", "collation(1)", "treat(1 AS pg_advisory_lock)"] {
        assert_eq!(parse(&format!("SELECT {sql}"), &listed), Kind::Write, "{sql}");
        assert_eq!(parse(&format!("SELECT * FROM {sql}"), &listed), Kind::Write, "{sql}");
    }
    assert_eq!(parse("SELECT json_query(a, '$'), lower(b)", &listed), Kind::Read);
}

#[test]
fn what_a_standby_refused_is_remembered_until_the_functions_change() {
    let classifier = Classifier::new();
    let sql = "SELECT lower(name) FROM item";
    assert_eq!(classifier.classify(sql), Kind::Read);
    classifier.correct(sql);
    assert_eq!(classifier.classify(sql), Kind::Write);
    classifier.set_functions(Functions::of(["own"]));
    assert_eq!(classifier.classify(sql), Kind::Write, "lower is not known now");
    assert_eq!(classifier.classify("SELECT own(1), coalesce(1, 2)"), Kind::Read);
}

#[test]
fn words_alone_tell_nearly_all_statements_and_take_no_write_for_a_read() {
    let told = READS.iter().filter(|sql| words::tell(sql, &functions()).is_some()).count();
    println!("{told} of {} reads are told by their words", READS.len());
    assert!(told * 20 >= READS.len() * 19, "{told} of {}", READS.len());
    for sql in WRITES {
        assert_ne!(words::tell(sql, &functions()), Some(Kind::Read), "{sql}");
    }
    let told = WRITES.iter().filter(|sql| words::tell(sql, &functions()).is_some()).count();
    println!("{told} of {} writes are told by their words", WRITES.len());
    assert!(told * 20 >= WRITES.len() * 19, "{told} of {}", WRITES.len());
}

#[test]
fn what_may_be_a_call_is_no_read_by_words() {
    // All of these name a function that is not known before a bracket, in places where a
    // keyword, a type or an alias could stand as well, or in a notation of its own.
    for call in [
        "over(1)",
        "filter (1)",
        "by(1)",
        "recursive(1)",
        "join(1)",
        "(1) + over(1)",
        "DISTINCT ON (a) over(b)",
        "DISTINCT ON (a) /* x */ filter -- y\n (b)",
        "app.lower(a)",
        "app . lower (a)",
        "\"Lower\"(a)",
        "other(VALUES)",
        "other ( /* select */ 1)",
        "a OPERATOR(app.+) b",
        "löwer(a)",
        "E'\\'' || other(1)",
        "'\\' || other(1) || '",
        "U&\"lower\"(a)",
        "$a$ $a$, other(1)",
        "1other(1)",
        "$1other(1)",
        "1; SELECT 1",
        "'open",
        "/* open",
        "(1",
        "1)",
    ] {
        let sql = format!("SELECT {call}");
        assert_ne!(words::tell(&sql, &functions()), Some(Kind::Read), "{sql}");
    }
}

proptest! {
    /// What the parser finds to write is no read by its words either, whatever is put where.
    #[test]
    fn words_are_never_more_permissive_than_the_parser(
        one in 0..READS.len() + WRITES.len(),
        other in 0..READS.len() + WRITES.len(),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        heap in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..6),
    ) {
        let statement = |at: usize| {
            READS.get(at).or_else(|| WRITES.get(at - READS.len())).copied().unwrap_or_default()
        };
        let parts = |sql: &'static str| sql.split_inclusive(' ').collect::<Vec<_>>();
        let (one, other) = (parts(statement(one)), parts(statement(other)));
        let (from, to) = (from.index(one.len() + 1), to.index(other.len() + 1));
        let sql = format!("{} {} {}", one[..from].concat(), heap.join(" "), other[to..].concat());
        // The parser takes reserved words for functions where PostgreSQL finds no statement at all.
        let parsed = is_read(&sql, &functions().and(&words::reserved()));
        // The parser finds statements in what PostgreSQL does not explain; it runs neither.
        let explained = sql.trim_start().starts_with("EXPLAIN") && !sql.contains("ANALY");
        if !explained && words::tell(&sql, &functions()) == Some(Kind::Read) {
            // What cannot be parsed is no statement.
            prop_assert_ne!(parsed, Some(false), "{}", sql);
        }
    }

    /// Any text is a read or a write, and none a read twice in a row with a write between.
    #[test]
    fn no_text_panics(text: String) {
        let _ = kind(&text);
    }

    /// Words and signs that statements are made of, in any order.
    #[test]
    fn no_heap_of_words_panics(words in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..60)) {
        let _ = kind(&words.join(" "));
        let _ = kind(&words.concat());
    }

    /// Wherever a write is put into a statement that is a read, it is a write.
    #[test]
    fn a_volatile_function_is_found_wherever_a_value_stands(
        index in 0..READS.len(),
        at in any::<prop::sample::Index>(),
    ) {
        let sql = READS[index];
        let values: Vec<_> = sql.match_indices("$1").chain(sql.match_indices('1')).collect();
        prop_assume!(!values.is_empty() && !sql.contains("{") && !sql.starts_with("EXPLAIN"));
        prop_assume!(!sql.contains("interval") && !sql.contains("E'") && !sql.contains("numeric"));
        prop_assume!(!sql.contains("varchar"));
        let (from, value) = values[at.index(values.len())];
        let changed = format!("{}nextval('s'){}", &sql[..from], &sql[from + value.len()..]);
        prop_assert_eq!(kind(&changed), Kind::Write, "{}", changed);
    }
}

const WORDS: [&str; 60] = [
    "SELECT",
    "FROM",
    "WHERE",
    "WITH",
    "AS",
    "(",
    ")",
    ",",
    ";",
    "*",
    "1",
    "'x'",
    "$1",
    "a",
    "b",
    "t.a",
    "INSERT",
    "INTO",
    "VALUES",
    "UPDATE",
    "SET",
    "DELETE",
    "RETURNING",
    "FOR",
    "SHARE",
    "JOIN",
    "ON",
    "LEFT",
    "LATERAL",
    "UNION",
    "ALL",
    "ORDER",
    "BY",
    "GROUP",
    "HAVING",
    "LIMIT",
    "CASE",
    "WHEN",
    "THEN",
    "END",
    "AND",
    "NOT",
    "IN",
    "EXISTS",
    "::",
    "int",
    "[",
    "]",
    "->",
    "||",
    "EXPLAIN",
    "ANALYZE",
    "COPY",
    "$$",
    "/*",
    "*/",
    "--",
    "\"",
    "E'",
    "CAST",
];
