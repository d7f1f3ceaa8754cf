//! Marks: made once, advanced in order, and never less than what was asked for.

use std::time::Duration;

use seawall_cache::{Guarded, Mark, MarkChange, MarkRead};
use tokio::time::Instant;

use super::{put, version};
use crate::until;

pub(super) async fn all(remote: &Guarded) {
    a_missing_mark_is_made_once_and_some_time_ago(remote).await;
    many_marks_are_read_in_order(remote).await;
    it_is_known_whether_a_mark_moved(remote).await;
    a_mark_that_had_to_be_made_refuses_no_load_but_old_ones(remote).await;
    every_change_is_what_the_mark_itself_would_do(remote).await;
    a_missing_mark_that_is_advanced_forgets_all_entries_from_before(remote).await;
    advances_at_once_are_all_different(remote).await;
}

async fn mark(remote: &Guarded, text: &str, since: Instant) -> MarkRead {
    crate::all(remote.marks(&[text.into()], since).await).expect("in reach").remove(0)
}

fn clear(pattern: &str, hard: bool) -> MarkChange {
    MarkChange::Clear { pattern: pattern.into(), hard }
}

async fn a_missing_mark_is_made_once_and_some_time_ago(remote: &Guarded) {
    let text = "it#t:made";
    let now = remote.read("it:made").await.expect("in reach").now;
    let asking = (0..8).map(|_| mark(remote, text, Instant::now()));
    let made = futures_util::future::join_all(asking).await;
    assert!(made.iter().all(|read| read.mark == made[0].mark), "{made:?}");
    let age = Duration::from_micros(now.saturating_sub(made[0].mark.version()));
    let second = Duration::from_secs(1);
    assert!(age > Mark::GRACE - second * 20 && age < Mark::GRACE + second, "{age:?}");
    assert_eq!(made[0].mark, Mark::new(made[0].mark.version()));
    put(remote, "it:made", 0).await;
    let entry = remote.read("it:made").await.expect("in reach");
    assert!(version(&entry) > made[0].mark.version());
}

async fn many_marks_are_read_in_order(remote: &Guarded) {
    let texts: Vec<String> = (0..64).map(|tag| format!("it#t:many{tag}")).collect();
    let mut advanced = Vec::new();
    for text in texts.iter().step_by(2) {
        advanced.push(remote.advance(text, MarkChange::Hard).await.expect("in reach"));
    }
    let read = crate::all(remote.marks(&texts, Instant::now()).await).expect("in reach");
    assert_eq!(read.len(), texts.len());
    assert!(read.iter().step_by(2).map(|read| &read.mark).eq(&advanced));
    assert!(
        crate::all(remote.marks(&[], Instant::now()).await).expect("nothing to ask").is_empty()
    );
}

async fn it_is_known_whether_a_mark_moved(remote: &Guarded) {
    let text = "it#t:moved";
    mark(remote, text, Instant::now()).await;
    let before = Instant::now();
    for change in [MarkChange::Hard, MarkChange::Soft, clear("a*", false)] {
        remote.advance(text, change).await.expect("in reach");
        let after = Instant::now();
        assert!(!mark(remote, text, before).await.unmoved);
        // In doubt it has moved; but doubt must end.
        until("it is sure", || async {
            let since = Instant::now();
            mark(remote, text, since).await.unmoved
        })
        .await;
        assert!(after.elapsed() < Duration::from_secs(20), "{:?}", after.elapsed());
        assert!(!mark(remote, text, before).await.unmoved, "also when read later");
    }
}

async fn a_mark_that_had_to_be_made_refuses_no_load_but_old_ones(remote: &Guarded) {
    let now = Instant::now();
    assert!(mark(remote, "it#t:fresh", now).await.unmoved);
    if let Some(long_ago) = now.checked_sub(Mark::GRACE * 2) {
        assert!(!mark(remote, "it#t:long ago", long_ago).await.unmoved);
    }
}

async fn every_change_is_what_the_mark_itself_would_do(remote: &Guarded) {
    let text = "it#ns";
    let mut expected = mark(remote, text, Instant::now()).await.mark;
    // Enough of them to fall into one another, as any bytes would choose them.
    let mut state = 1_u64;
    for round in 0..400 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let hard = state >> 40 & 1 == 0;
        let change = match state >> 50 & 127 {
            0 => MarkChange::Hard,
            1 => MarkChange::Soft,
            2 => clear(&"é".repeat(Mark::MAX_PATTERN / 2 + round % 2), hard),
            3 => clear("", hard),
            other => clear(&format!("*{other}\u{0}\\"), hard),
        };
        let advanced = remote.advance(text, change.clone()).await.expect("in reach");
        let version = expected.advance(change.clone(), advanced.version());
        assert_eq!(version, advanced.version());
        assert_eq!(advanced, expected, "round {round}: {change:?}");
        assert_eq!(mark(remote, text, Instant::now()).await.mark, expected);
    }
    assert!(expected.clears.len() > Mark::MAX_CLEARS / 4, "it was a test of something");
}

async fn a_missing_mark_that_is_advanced_forgets_all_entries_from_before(remote: &Guarded) {
    for (number, change) in [MarkChange::Soft, clear("a*", false)].into_iter().enumerate() {
        let before = remote.read("it:missing").await.expect("in reach").now;
        let text = format!("it#t:missing{number}");
        let mark = remote.advance(&text, change).await.expect("in reach");
        assert!(mark.hard >= before && mark.hard < mark.version(), "{mark:?}");
    }
}

async fn advances_at_once_are_all_different(remote: &Guarded) {
    let text = "it#t:at once";
    let asking = (0..32).map(|_| remote.advance(text, MarkChange::Hard));
    let advanced = futures_util::future::join_all(asking).await;
    let mut versions: Vec<u64> =
        advanced.into_iter().map(|mark| mark.expect("in reach").version()).collect();
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions.len(), 32);
    assert_eq!(versions.last(), Some(&mark(remote, text, Instant::now()).await.mark.version()));
}
