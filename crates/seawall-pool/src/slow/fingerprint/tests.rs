use proptest::prelude::*;

use super::{Fingerprint, normalise};

fn text(sql: &str) -> String {
    normalise(sql).1
}

#[test]
fn values_are_taken_out_and_nothing_else_is() {
    let cases = [
        ("SELECT * FROM Bid WHERE id = 42", "select * from bid where id = ?"),
        ("select a.b1, \"B1\" from t2 where x=$12", "select a.b1, \"B1\" from t2 where x=?"),
        ("SELECT 'it''s', E'a\\'b', $x$ y $ z $x$, B'01'", "select ?, ?, ?, ?"),
        ("SELECT 1.5e-3, .5, 0xff, -7", "select ?, ?, ?, -?"),
        ("SELECT 1 -- said 'so'\n , /* and /* 'again' */ */ 2", "select ?, ?"),
        ("SELECT 1 -- to here\r FROM t", "select ? from t"),
        ("IN () AND b IN (1, a) AND c IN (1", "in () and b in (?, a) and c in (?"),
        ("SELECT count(*), coalesce( a , 0 )", "select count(*), coalesce(a, ?)"),
        ("WHERE id IN (1, 2,3) AND b IN (SELECT 4)", "where id in (?) and b in (select ?)"),
        ("a IN (-1, 2, +3.5,-4) AND b IN ( -1 )", "a in (?) and b in (?)"),
        ("a IN (-b, 1) AND c IN (-, 1)", "a in (-b, ?) and c in (?)"),
        (
            "INSERT INTO t VALUES (1, 'a'), (2, 'b') RETURNING id",
            "insert into t values (?, ?) returning id",
        ),
        ("SELECT d::text->>'k'", "select d::text->>?"),
        ("SELECT 'never closed", "select ?"),
        ("", ""),
    ];
    for (sql, expected) in cases {
        assert_eq!(text(sql), expected, "{sql}");
    }
}

#[test]
fn statements_that_differ_in_more_than_values_have_different_fingerprints() {
    let all = [
        "SELECT a FROM t WHERE b = 1",
        "SELECT a FROM t WHERE b < 1",
        "SELECT a FROM t WHERE b = 1 AND c = 1",
        "SELECT a FROM \"T\" WHERE b = 1",
        "SELECT ab FROM t WHERE b = 1",
        "SELECT a b FROM t WHERE b = 1",
        "SELECT f(1, 2)",
        "SELECT f(1)",
    ];
    for (at, one) in all.iter().enumerate() {
        for other in &all[at + 1..] {
            assert_ne!(Fingerprint::of(one), Fingerprint::of(other), "{one} and {other}");
        }
    }
}

#[test]
fn a_fingerprint_is_the_same_in_every_process_and_version() {
    // Dashboards and files know it by this number.
    assert_eq!(Fingerprint::of("SELECT 1").to_string(), Fingerprint::of("select  $1").to_string());
    assert_eq!(Fingerprint::of("").to_string(), "cbf29ce484222325");
    assert_eq!(Fingerprint::of("SELECT 1").to_string(), PINNED);
}

/// FNV-1a of `select`, 0xff, `?`, 0xff, as another program computed it.
const PINNED: &str = "165e1b1e8e81b5dc";

/// Billions of steps each, were the end of every bracket looked for anew.
#[test]
fn brackets_within_brackets_take_no_longer_than_others() {
    for open in ["x in (", "values (", "in (values ("] {
        let text = open.repeat(50_000);
        let closed = format!("{text}{}", ")".repeat(100_000));
        assert_ne!(Fingerprint::of(&text), Fingerprint::of(&closed));
    }
}

#[test]
fn a_long_statement_is_cut_where_a_letter_ends_and_counts_whole() {
    let long = format!("SELECT {}", "ä".repeat(3_000));
    assert!(text(&long).len() <= 2_000);
    assert_ne!(Fingerprint::of(&long), Fingerprint::of(&format!("{long}b")));
}

proptest! {
    #[test]
    fn any_text_will_do(sql in "\\PC*", odd in "[-/*'\"$a-e0-9., ()\\n\\\\?]{0,60}") {
        for sql in [sql, odd] {
            let (fingerprint, text) = normalise(&sql);
            prop_assert_eq!(normalise(&sql), (fingerprint, text));
        }
    }

    #[test]
    fn neither_values_nor_blanks_nor_case_matter(
        number in any::<u32>(), string in "[a-z '0-9]{0,20}", blanks in "[ \\n\\t]{1,5}",
        list in prop::collection::vec(any::<i32>(), 1..20),
    ) {
        let quoted = string.replace('\'', "''");
        let list: Vec<_> = list.iter().map(ToString::to_string).collect();
        let list = list.join(",");
        let sql = format!("SELECT{blanks}a FROM t WHERE b = {number} AND C{blanks}= '{quoted}' AND d IN ({list})");
        let same = "select a from T where B = $1 and c = $2 and d in ($3)";
        prop_assert_eq!(Fingerprint::of(&sql), Fingerprint::of(same));
        let secret = !string.trim().is_empty() && text(&sql).contains(&format!("'{quoted}'"));
        prop_assert!(!secret);
    }
}
