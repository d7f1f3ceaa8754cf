use proptest::prelude::*;

use super::{outlives_transaction, session_keyword};

#[test]
fn session_statements_are_seen_through_blanks_comments_and_case() {
    for (sql, keyword) in [
        ("BEGIN", "BEGIN"),
        ("  begin;", "BEGIN"),
        ("start transaction read only", "START"),
        (";;BEGIN", "BEGIN"),
        ("-- note\nBEGIN", "BEGIN"),
        ("-- note\r\n/* a /* nested */ b */ Set x = 1", "SET"),
        ("/**/ROLLBACK", "ROLLBACK"),
        ("LISTEN channel", "LISTEN"),
        ("DISCARD ALL", "DISCARD"),
        ("CREATE TEMP TABLE a ()", "CREATE TEMP"),
        ("create or replace temporary view a as select 1", "CREATE TEMP"),
        ("CREATE LOCAL /**/ TEMP TABLE a ()", "CREATE TEMP"),
    ] {
        assert_eq!(session_keyword(sql), Some(keyword), "{sql:?}");
    }
}

#[test]
fn ordinary_statements_are_left_alone() {
    for sql in [
        "SELECT 1",
        "(SELECT 1)",
        "/* BEGIN */ SELECT 1",
        "-- BEGIN\nSELECT 1",
        "-- BEGIN",
        "/* BEGIN",
        "INSERT INTO set VALUES (1)",
        "WITH begin AS (SELECT 1) SELECT * FROM begin",
        "SETTLE",
        "CREATE TABLE temp ()",
        "CREATE OR REPLACE VIEW temp AS SELECT 1",
        "CREATE",
        "UPDATE a SET b = 1",
        "",
    ] {
        assert_eq!(session_keyword(sql), None, "{sql:?}");
    }
}

#[test]
fn only_what_outlives_its_transaction_needs_a_reset() {
    for sql in
        ["SET LOCAL x = 1", "set transaction read only", "SAVEPOINT a", "ROLLBACK TO a", "SELECT 1"]
    {
        assert!(!outlives_transaction(sql), "{sql:?}");
    }
    for sql in
        ["SET x = 1", "SET SESSION x = 1", "LISTEN a", "COMMIT", "ROLLBACK", "ROLLBACK AND CHAIN"]
    {
        assert!(outlives_transaction(sql), "{sql:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(sql in "(/\\*|\\*/|--|[\n ;(a-zé]){0,20}") {
        let _ = session_keyword(&sql);
        let _ = outlives_transaction(&sql);
    }
}
