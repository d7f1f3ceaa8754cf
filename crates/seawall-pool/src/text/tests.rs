use proptest::prelude::*;

use super::{leaves_traces, may_leave_traces, session_keyword};

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
fn only_what_stays_in_the_session_needs_a_reset() {
    for sql in [
        "SET LOCAL x = 1",
        "set transaction read only",
        "SAVEPOINT a",
        "ROLLBACK TO a",
        "BEGIN",
        "COMMIT",
        "FETCH 1 FROM a",
        "SELECT 1",
    ] {
        assert!(!leaves_traces(sql), "{sql:?}");
    }
    for sql in ["SET x = 1", "SET SESSION x = 1", "LISTEN a", "PREPARE a AS SELECT 1", "RESET x"] {
        assert!(leaves_traces(sql), "{sql:?}");
    }
}

#[test]
fn a_text_that_names_something_lasting_is_suspected() {
    for sql in [
        "DO $$ BEGIN END $$",
        "call vacuum_all()",
        "SELECT Set_Config('a', 'b', false)",
        "SELECT pg_try_advisory_lock($1)",
        "SELECT 1 INTO temp a",
        "SELECT 1 into /* a */ TEMPORARY TABLE a",
        "INSERT INTO pg_temp.a VALUES (1)",
    ] {
        assert!(may_leave_traces(sql), "{sql:?}");
    }
    for sql in [
        "SELECT 1",
        "INSERT INTO temperature VALUES (1)",
        "SELECT pg_advisory_xact_lock(1)",
        "INSERT INTO a SELECT 'INTO'",
        "",
    ] {
        assert!(!may_leave_traces(sql), "{sql:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(sql in "(/\\*|\\*/|--|[\n ;(a-zé]){0,20}") {
        let _ = session_keyword(&sql);
        let _ = leaves_traces(&sql);
        let _ = may_leave_traces(&sql);
    }
}
