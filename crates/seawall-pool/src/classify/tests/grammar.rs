//! Statements made by a grammar, of which it is known whether they write.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::{Functions, Kind, functions, is_read, parse, words};

#[derive(Clone, Debug)]
struct Text {
    sql: String,
    writes: bool,
}

/// What a statement is made of, of up to so many parts within parts.
#[derive(Clone)]
struct Level {
    expr: BoxedStrategy<Text>,
    query: BoxedStrategy<Text>,
    source: BoxedStrategy<Text>,
}

impl Level {
    fn leaves() -> Self {
        let plain = |all: &'static [&'static str]| {
            select(all).prop_map(|sql| Text { sql: sql.to_owned(), writes: false }).boxed()
        };
        Self {
            expr: plain(VALUES),
            query: plain(&["SELECT 1", "VALUES (1, 'a')", "TABLE item", "SELECT a FROM item"]),
            source: plain(&["item", "app.item AS i", "item i", "\"for\" AS \"update\""]),
        }
    }

    /// Of these parts. Reads are likelier, or next to nothing large would be one.
    fn above(&self) -> Self {
        let made = |reads: &'static [&'static str], writes: &'static [&'static str]| {
            prop_oneof![
                40 => self.fill(reads, false),
                1 => self.fill(writes, true),
            ]
            .boxed()
        };
        Self {
            expr: prop_oneof![2 => self.expr.clone(), 5 => made(READING, WRITING)].boxed(),
            query: made(QUERIES, WRITING_QUERIES),
            source: prop_oneof![1 => self.source.clone(), 3 => made(SOURCES, WRITING_SOURCES)]
                .boxed(),
        }
    }

    /// One of `templates` with `{e}`, `{q}` and `{f}` replaced by expressions, queries and what stands
    /// behind `FROM`.
    fn fill(
        &self,
        templates: &'static [&'static str],
        writes: bool,
    ) -> impl Strategy<Value = Text> + use<> {
        let parts =
            (vec(self.expr.clone(), 3), vec(self.query.clone(), 2), vec(self.source.clone(), 2));
        (select(templates), parts).prop_map(move |(template, (mut e, mut q, mut f))| {
            let mut text = Text { sql: String::new(), writes };
            let mut pieces = template.split('{');
            text.sql.push_str(pieces.next().unwrap());
            for piece in pieces {
                let (hole, rest) = piece.split_once('}').unwrap();
                let parts = match hole {
                    "e" => &mut e,
                    "q" => &mut q,
                    _ => &mut f,
                };
                let part = parts.pop().unwrap();
                text.writes |= part.writes;
                text.sql.push_str(&part.sql);
                text.sql.push_str(rest);
            }
            text
        })
    }
}

fn statements() -> BoxedStrategy<Text> {
    let level = Level::leaves().above().above();
    let plans = level.fill(PLANS, false).prop_map(|text| Text { writes: false, ..text });
    prop_oneof![
        6 => level.query.clone(),
        3 => level.fill(READS, false),
        1 => level.fill(WRITES, true),
        1 => plans,
    ]
    .boxed()
}

proptest! {
    /// The grammar knows what it has put in.
    #[test]
    fn no_statement_that_writes_passes_for_a_read_however_it_is_put_together(
        text in statements(),
        space in select(&[" ", "\n", "\t/* /* ' */ ; */", " -- \" (\n"][..]),
        capitals in any::<bool>(),
    ) {
        let spaced = text.sql.replace(' ', space);
        // In capitals, what has quotes is another name, and no better known.
        let sql = if capitals { spaced.to_ascii_uppercase() } else { spaced };
        let told = words::tell(&sql, &functions());
        if text.writes {
            prop_assert_ne!(told, Some(Kind::Read), "{}", sql);
            prop_assert_eq!(parse(&sql, &functions()), Kind::Write, "{}", sql);
        }
        if told == Some(Kind::Read) {
            let parsed = is_read(&sql, &functions().and(&words::reserved()));
            prop_assert_ne!(parsed, Some(false), "{}", sql);
        }
        // Of functions that are not known nothing is a read that calls any.
        let none = Functions::of(Vec::<&str>::new());
        if words::tell(&sql, &none) == Some(Kind::Read) {
            prop_assert_ne!(is_read(&sql, &none.and(&words::reserved())), Some(false), "{}", sql);
        }
    }
}

#[test]
fn nearly_all_reads_are_told_without_the_parser() {
    let (mut reads, mut told, mut parsed) = (0, 0, 0);
    let mut runner = TestRunner::deterministic();
    let statements = statements();
    let mut missed = Vec::new();
    for _ in 0..500 {
        let text = statements.new_tree(&mut runner).unwrap().current();
        if text.writes {
            continue;
        }
        reads += 1;
        match words::tell(&text.sql, &functions()) {
            Some(Kind::Read) => told += 1,
            None if is_read(&text.sql, &functions()) == Some(true) => parsed += 1,
            _ => missed.push(text.sql),
        }
    }
    println!("{reads} reads: {told} told by their words, {parsed} more by the parser");
    assert!(reads > 250, "{reads}");
    assert!(told * 100 >= reads * 95, "{told} of {reads}; {missed:#?}");
}

const VALUES: &[&str] = &[
    "1",
    "$1",
    "1.5e3",
    "'x'",
    "'it''s'",
    "'nextval('",
    r"'^\d+ FOR UPDATE'",
    r"E'\'nextval('",
    "$$nextval('s') ; $$",
    "$t$ $$ INTO $t$",
    "B'01'",
    "NULL",
    "a",
    "t.b",
    "updated_at",
    "\"select\"",
    "t.\"into\"",
    "t.update",
    "current_date",
    "interval '1 day'",
    "straße",
];

const READING: &[&str] = &[
    "({e})",
    "{e} + {e}",
    "{e} || {e}",
    "-{e}",
    "{e} AND NOT {e} OR {e}",
    "{e} = ANY({e})",
    "{e} IN ({e}, {e})",
    "{e} IN ({q})",
    "{e} BETWEEN {e} AND {e}",
    "{e} IS NOT NULL",
    "{e} LIKE {e} ESCAPE '!'",
    "{e} ->> 'a'",
    "a ILIKE ({e})",
    "t.b NOT LIKE ({e})",
    "({e}, 1) OVERLAPS ({e}, {e})",
    "EXISTS ({q})",
    "({q})",
    "ARRAY({q})",
    "ARRAY[{e}, {e}]",
    "ROW({e}, {e})",
    "({e}, {e}) > ({e}, 1)",
    "CASE WHEN {e} THEN {e} ELSE {e} END",
    "CASE {e} WHEN {e} THEN 1 END",
    "CAST({e} AS numeric(10, 2))",
    "CAST({e} AS app.kind)",
    "({e})::varchar(10)",
    "({e})::character varying(10)[]",
    "({e})::app.kind(3)",
    "lower({e})",
    "pg_catalog.lower({e})",
    "\"lower\"({e})",
    "pg_catalog . \"lower\" ({e})",
    "COALESCE({e}, {e})",
    "count(*) FILTER (WHERE {e})",
    "count(DISTINCT {e})",
    "string_agg({e}, ',' ORDER BY {e})",
    "sum({e}) OVER (PARTITION BY {e} ORDER BY {e} ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
    "percentile_cont(0.5) WITHIN GROUP (ORDER BY {e})",
    "extract(epoch FROM {e})",
    "substring({e} FROM 1 FOR {e})",
    "position({e} IN {e})",
    "trim(both ' ' FROM {e})",
    "{e} AT TIME ZONE 'UTC'",
    "{e} OPERATOR(pg_catalog.+) {e}",
    "({e})[{e}]",
    "left({e}, 2)",
    "({e}) COLLATE \"C\"",
];

const WRITING: &[&str] = &[
    "nextval('s')",
    "NextVal ('s')",
    "pg_catalog.nextval('s')",
    "\"nextval\"('s')",
    "\"lower \"({e})",
    "app.lower({e})",
    "app.\"lower\"({e})",
    "\"App\".my_function({e})",
    "my_function({e})",
    "treat({e} AS nextval)",
    "operator()",
    "set_config('a', {e}, false)",
    "pg_advisory_lock({e})",
    "over({e})",
    "filter({e})",
    "next({e})",
    "by({e})",
    "rollup({e})",
    "recursive({e})",
    "materialized({e})",
    "join({e})",
    "straße({e})",
    "\"coalesce\"({e}, {e})",
    "app.exists({e})",
    "({e}) OPERATOR(app.+) {e}",
    "({e}) OPERATOR(pg_catalog.+) my_function({e})",
    "count(*) FILTER (WHERE my_function({e}))",
    "(SELECT DISTINCT ON (a) my_function({e}) FROM item)",
    "(SELECT DISTINCT ON (a) over({e}) FROM item)",
    "a LIKE next({e})",
    "xmlparse(document next({e}))",
    "json_object('a' VALUE filter({e}))",
    "(SELECT a FROM item FETCH FIRST next({e}) ROWS ONLY)",
    "(SELECT a FROM item FOR UPDATE)",
    "EXISTS (SELECT 1 FROM item FOR KEY SHARE)",
    "ARRAY(WITH gone AS (DELETE FROM item RETURNING a) SELECT a FROM gone)",
];

const QUERIES: &[&str] = &[
    "SELECT {e}",
    "SELECT {e} AS x, {e} y FROM {f}",
    "SELECT * FROM {f} WHERE {e}",
    "SELECT DISTINCT {e} FROM {f} WHERE {e} ORDER BY {e} DESC NULLS LAST LIMIT 10 OFFSET 5",
    "SELECT DISTINCT ON ({e}) t.*, {e} FROM {f} ORDER BY ({e})",
    "SELECT {e}, {e} FROM {f} GROUP BY a, b HAVING {e}",
    "SELECT a FROM {f} GROUP BY ROLLUP ({e}, b)",
    "SELECT a FROM {f} GROUP BY GROUPING SETS (({e}), ())",
    "SELECT sum(a) OVER w FROM {f} WINDOW w AS (PARTITION BY {e} ORDER BY {e})",
    "SELECT {e} FETCH FIRST 5 ROWS ONLY",
    "SELECT {e} FROM {f} FOR READ ONLY",
    "VALUES ({e}, {e}), (1, {e})",
    "({q}) UNION ALL ({q})",
    "({q}) EXCEPT ({q}) ORDER BY 1",
    "WITH a AS ({q}) SELECT {e} FROM a",
    "WITH a AS ({q}), b(x, y) AS ({q}) SELECT {e} FROM b ORDER BY {e}",
    "WITH a AS MATERIALIZED ({q}) SELECT {e} FROM a",
    "WITH a AS NOT MATERIALIZED ({q}), \"b\" (x) AS MATERIALIZED ({q}) SELECT 1 FROM \"b\"",
    "WITH RECURSIVE up(n) AS (({q}) UNION ALL SELECT n FROM up), b(x) AS (SELECT 1) SELECT {e} FROM up",
    "WITH a AS ({q}) ({q}) ORDER BY a, ({e})",
];

const WRITING_QUERIES: &[&str] = &[
    "SELECT {e} FROM {f} FOR UPDATE",
    "SELECT {e} FROM {f} WHERE {e} FOR NO KEY UPDATE OF item NOWAIT",
    "SELECT {e} FROM item FOR SHARE SKIP LOCKED",
    "SELECT {e} FROM item FOR READ ONLY FOR KEY SHARE",
    "WITH gone AS (DELETE FROM item WHERE {e} RETURNING *) SELECT * FROM gone",
    "WITH a AS ({q}), new(x) AS (INSERT INTO item {q} RETURNING a) SELECT {e} FROM new",
    "WITH a AS MATERIALIZED (UPDATE item SET a = {e} RETURNING *) SELECT 1 FROM a",
    "WITH a AS (MERGE INTO item USING b ON true WHEN MATCHED THEN DELETE RETURNING *) TABLE a",
    "WITH a AS ({q}), b AS (SELECT my_function({e})) SELECT 1",
    "WITH a AS ({q}) (SELECT a FROM item) ORDER BY a, my_function({e})",
    "WITH a AS ({q}) SELECT b, my_function({e}) FROM a",
    "WITH a AS ({q}) SELECT 1 FROM b(1) AS (x int), c(2)",
    "SELECT a FROM item LIMIT my_function({e})",
    "SELECT a FROM item WINDOW w AS (ORDER BY nextval('s'))",
    "VALUES (1), (nextval('s'))",
];

const SOURCES: &[&str] = &[
    "({q}) AS s",
    "({q}) s(x, y)",
    "({q}) \"S\" (x)",
    "{f} JOIN app.bid AS b ON {e}",
    "{f} LEFT OUTER JOIN ({q}) r ON {e}",
    "{f} NATURAL JOIN (VALUES (1)) v(x)",
    "{f} JOIN ({q}) v(x) USING (x)",
    "{f} CROSS JOIN LATERAL ({q}) l",
    "{f}, LATERAL ({q}) AS l(x)",
    "generate_series(1, {e}) AS g(n)",
    "pg_catalog.generate_series(1, 9) WITH ORDINALITY AS g(n, at)",
    "unnest({e}, {e}) u(x, y)",
    "ROWS FROM (unnest({e}), generate_series(1, 2)) AS r",
    "json_to_recordset({e}) AS j(a int, b varchar(10))",
    "item JOIN (app.bid CROSS JOIN kind) ON {e}",
    "item i(x, y)",
    "item TABLESAMPLE system (10)",
    "ONLY (item)",
];

const WRITING_SOURCES: &[&str] = &[
    "my_set({e}) AS m(x)",
    "app.generate_series(1, 2) g(n)",
    "my_records({e}) AS (a int, b text)",
    "ROWS FROM (unnest({e}), nextval('s')) AS r",
    "({q}) s(x), my_set({e})",
    "{f} JOIN my_set({e}) m ON true",
    "{f} CROSS JOIN next({e}) m",
    "item TABLESAMPLE mine (10)",
    "(SELECT * FROM item FOR SHARE) AS l(x)",
];

const READS: &[&str] = &[
    "{q};",
    "({q})",
    "/* app='x' */ {q} -- end",
    "EXPLAIN ANALYZE {q}",
    "EXPLAIN (ANALYZE, BUFFERS off) {q}",
    "EXPLAIN ANALYSE VERBOSE {q}",
];

/// Whatever is in them, nothing is run.
const PLANS: &[&str] = &[
    "EXPLAIN {q}",
    "EXPLAIN VERBOSE {q}",
    "EXPLAIN ({q})",
    "EXPLAIN (FORMAT json, COSTS off) {q}",
    "EXPLAIN DELETE FROM item WHERE {e}",
    "EXPLAIN (VERBOSE) INSERT INTO item {q}",
];

const WRITES: &[&str] = &[
    "{q}; {q}",
    "{q}; DELETE FROM item",
    "SELECT {e} INTO copy FROM {f}",
    "SELECT {e}, {e} INTO TEMP copy FROM {f} WHERE {e}",
    "SELECT INTO copy FROM {f}",
    "WITH a AS ({q}) INSERT INTO item SELECT * FROM a",
    "WITH a AS ({q}) DELETE FROM item USING a WHERE {e}",
    "WITH a AS ({q}), b(x) AS ({q}) UPDATE item SET a = {e}",
    "INSERT INTO item {q}",
    "EXPLAIN ANALYZE DELETE FROM item WHERE {e}",
    "EXPLAIN (COSTS off, ANALYZE) WITH a AS (DELETE FROM item RETURNING a) SELECT a FROM a",
    "EXPLAIN {q}; DELETE FROM item",
    "COPY ({q}) TO PROGRAM 'x'",
    "PREPARE p AS {q}",
    "DECLARE c CURSOR FOR {q}",
    "EXECUTE p({e})",
    "EXPLAIN EXECUTE p({e})",
    "DO $$ {q} $$",
    "CREATE TABLE copy AS {q}",
];
