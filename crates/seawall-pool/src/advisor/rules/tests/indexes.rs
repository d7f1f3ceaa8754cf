use super::{WEEK, dropped, evidence, found, index, judged, unused};
use crate::advisor::evidence::{Evidence, Index};
use crate::advisor::report::{Note, Report};
use crate::advisor::suggestion::Finding;

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
    let protect: [fn(&mut Index); 6] = [
        |index| index.constraint = true,
        |index| index.unique = true,
        |index| index.replica_identity = true,
        |index| index.partition = true,
        |index| index.building = true,
        |index| index.clustered = true,
    ];
    for protect in protect {
        let mut evidence = evidence();
        let mut index = unused("idle", 11, &["status"]);
        protect(&mut index);
        evidence.indexes.push(index.clone());
        // Nor when a longer one begins with it.
        evidence.indexes.push(super::index("longer", 12, &["status", "created_at"]));
        assert_eq!(judged(&evidence).suggestions, [], "{index:?}");
    }
}

/// Each would be told to go for the other's sake, and a hot statement have none.
#[test]
fn an_index_in_use_is_not_given_up_for_a_longer_one_that_is_to_go_as_unused() {
    let mut all = evidence();
    all.indexes.push(index("in_use", 11, &["status"]));
    all.indexes.push(unused("longer", 12, &["status", "created_at"]));
    let wider =
        Index { included: vec!["created_at".to_owned()], ..unused("wider", 13, &["status"]) };
    all.indexes.push(wider);
    let report = judged(&all);
    let gone = |report: &Report| {
        let all = [Finding::UnusedIndex, Finding::RedundantIndex, Finding::DuplicateIndex];
        all.map(|finding| dropped(report, finding)).concat()
    };
    let all_gone = gone(&report);
    assert!(!all_gone.contains(&"in_use".to_owned()) && all_gone.len() == 2, "{report}");

    // Where nothing can be called unused, the longer one stays and does for both.
    all.nodes[1].statistics_age = WEEK - 1.0;
    let report = judged(&all);
    assert_eq!(dropped(&report, Finding::UnusedIndex), Vec::<String>::new(), "{report}");
    assert_eq!(gone(&report).len(), 2, "{report}");
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
    with_key.indexes.push(Index {
        unique: true,
        immediate: true,
        ..index("unique_again", 12, &["id"])
    });
    let names = dropped(&judged(&with_key), Finding::DuplicateIndex);
    assert_eq!(names, ["again", "unique_again"], "the primary key stays");
}

/// Replay would drop it there, and end the queries that scan it.
#[test]
fn a_duplicate_that_a_replica_uses_is_never_dropped() {
    let used_by = |name: &str, oid: i64, node: &str, scans: u64| Index {
        scans: [(node.to_owned(), scans)].into(),
        ..index(name, oid, &["status", "created_at"])
    };
    let mut all = evidence();
    // Much in use on the primary, little on a replica: that one stays all the same.
    all.indexes.push(used_by("of_primary", 11, "primary", 1_000));
    all.indexes.push(used_by("of_replica", 12, "replica-2", 1));
    let report = judged(&all);
    assert_eq!(dropped(&report, Finding::DuplicateIndex), ["of_primary"], "{report}");

    // Each used by one: both stay, and it is said why.
    all.indexes[1] = used_by("of_another", 11, "replica-1", 2);
    let report = judged(&all);
    assert_eq!(report.suggestions, [], "{report}");
    let [Note::DuplicateInUse { index: name, twin, node }] = report.notes.as_slice() else {
        panic!("{report}")
    };
    assert_eq!([&**name, twin, node], ["of_replica", "of_another", "replica-2"]);
    assert!(report.to_string().contains("stays as long as replica-2 scans it"), "{report}");

    // Nor for a key's sake.
    let mut all = evidence();
    let again = index("again", 11, &["id"]);
    all.indexes.push(Index { scans: [("replica-1".to_owned(), 3)].into(), ..again });
    assert_eq!(judged(&all).suggestions, []);
}

#[test]
fn a_unique_index_goes_only_if_another_keeps_the_same_rule() {
    let weaker: [fn(&mut Index); 3] = [
        |key| key.unique = false,
        |key| key.immediate = false,
        |key| key.definition = "CREATE UNIQUE INDEX x ON y (id) NULLS NOT DISTINCT".to_owned(),
    ];
    for weaken in weaker {
        let mut evidence = evidence();
        weaken(&mut evidence.indexes[0]);
        let own = Index { unique: true, immediate: true, ..index("own", 12, &["id"]) };
        evidence.indexes.push(own);
        let report = judged(&evidence);
        assert!(!dropped(&report, Finding::DuplicateIndex).contains(&"own".to_owned()), "{report}");
    }
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
    assert!(dropped(&report, Finding::RedundantIndex).is_empty(), "{report}");
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
