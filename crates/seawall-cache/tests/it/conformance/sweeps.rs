//! Sweeps: what is old and matches goes, nothing else does.

use std::sync::Mutex;

use seawall_cache::{Fill, Guarded, Leased, Swept};
use tokio::time::Instant;

use super::{KEEP, TTL, fill, is_tombstone, lease, read, remove, seen, stamped};

pub(super) async fn all(remote: &Guarded) {
    a_sweep_removes_what_is_old_and_matches(remote).await;
    a_sweep_finds_keys_with_odd_characters(remote).await;
    a_sweep_fences_loads_that_are_in_flight(remote).await;
    a_sweep_of_many_goes_in_steps(remote).await;
    a_sweep_of_nothing_ends(remote).await;
}

async fn put(remote: &Guarded, text: &str, stamp: u64) {
    remote.put(text, stamped(0, stamp), TTL, KEEP).await.expect("in reach");
}

async fn sweep(remote: &Guarded, pattern: &str, before: u64) -> Swept {
    remote.sweep(pattern, before, KEEP, &|_| {}).await.expect("in reach")
}

async fn a_sweep_removes_what_is_old_and_matches(remote: &Guarded) {
    put(remote, "sweep:auction:1:bids", 99).await;
    put(remote, "sweep:auction:2:bids", 100).await;
    put(remote, "sweep:auction:3:title", 99).await;
    put(remote, "sweepers:auction:1:bids", 99).await;
    let buried = remove(remote, "sweep:auction:4:bids", 7).await;
    crate::all(remote.marks(&["sweep#ns".into()], Instant::now()).await).expect("in reach");
    let mut format_1 = stamped(0, 0)[..40].to_vec();
    format_1[3] = 1;
    remote.put("sweep:auction:5:bids", format_1.clone().into(), TTL, KEEP).await.expect("in reach");
    format_1[3] = 3;
    remote.put("sweep:auction:6:bids", format_1.into(), TTL, KEEP).await.expect("in reach");

    let swept = sweep(remote, "sweep:auction:*:bids", 100).await;
    assert_eq!((swept.scanned, swept.removed), (5, 2), "{swept:?}");
    assert!(is_tombstone(&read(remote, "sweep:auction:1:bids").await));
    assert!(is_tombstone(&read(remote, "sweep:auction:5:bids").await), "it has no stamp");
    let others = ["sweep:auction:2:bids", "sweep:auction:3:title", "sweepers:auction:1:bids"];
    for other in others.into_iter().chain(["sweep:auction:6:bids"]) {
        assert!(!is_tombstone(&read(remote, other).await), "{other}");
    }
    let versions =
        crate::all(remote.versions(&["sweep:auction:4:bids".into()]).await).expect("in reach");
    assert_eq!(versions, [buried], "a tombstone stays as it is");

    let stamp = u64::MAX - 1;
    put(remote, "sweep:auction:7:bids", stamp).await;
    assert_eq!(sweep(remote, "sweep:auction:7:*", stamp).await.removed, 0);
    assert_eq!(sweep(remote, "sweep:auction:7:*", u64::MAX).await.removed, 1);
}

async fn a_sweep_finds_keys_with_odd_characters(remote: &Guarded) {
    // Keys `a{b}%`, `a*b`, `é`, as their texts.
    for text in ["odd:a%7Bb%7D%25", "odd:a*b", "odd:é"] {
        put(remote, text, 1).await;
    }
    assert_eq!(sweep(remote, "odd:a\\*b", 2).await.removed, 1);
    assert!(!is_tombstone(&read(remote, "odd:a%7Bb%7D%25").await));
    assert_eq!(sweep(remote, "odd:a?b?[%]", 2).await.removed, 1, "one character each");
    assert!(is_tombstone(&read(remote, "odd:a%7Bb%7D%25").await));
    assert_eq!(sweep(remote, "odd:?", 2).await.removed, 0, "two bytes");
    assert_eq!(sweep(remote, "odd:*", 2).await.removed, 1);
}

async fn a_sweep_fences_loads_that_are_in_flight(remote: &Guarded) {
    let text = "flight:1";
    put(remote, text, 1).await;
    let before = seen(remote, text).await;
    assert_eq!(lease(remote, text, before, 7).await, Leased::Granted);
    assert_eq!(sweep(remote, "flight:*", 2).await.removed, 1);
    assert_eq!(fill(remote, text, before, Some(7), 0).await, Fill::Moved);
    let after = seen(remote, text).await;
    assert_eq!(lease(remote, text, after, 8).await, Leased::Granted, "the lease went as well");
}

async fn a_sweep_of_many_goes_in_steps(remote: &Guarded) {
    let texts: Vec<String> = (0..3_000).map(|key| format!("many:{key}")).collect();
    for texts in texts.chunks(500) {
        let putting = texts.iter().map(|text| put(remote, text, 1));
        futures_util::future::join_all(putting).await;
    }
    let steps = Mutex::new(Vec::new());
    let progress = |swept| steps.lock().expect("no panic").push(swept);
    let swept = remote.sweep("many:*", 2, KEEP, &progress).await.expect("in reach");
    assert_eq!((swept.scanned, swept.removed), (3_000, 3_000));
    assert_eq!(swept.nodes_done, swept.nodes);
    let steps = steps.into_inner().expect("no panic");
    assert!(steps.len() >= 4 && steps.last() == Some(&swept), "{steps:?}");
    for pair in steps.windows(2) {
        assert!(pair[0].removed <= pair[1].removed && pair[0].nodes_done <= pair[1].nodes_done);
        assert!(pair[1].scanned - pair[0].scanned <= 1_200, "one page or little more");
    }
    for fetched in remote.read_many(&texts).await {
        assert!(is_tombstone(&fetched.expect("in reach")));
    }
}

async fn a_sweep_of_nothing_ends(remote: &Guarded) {
    let swept = sweep(remote, "nobody:*", u64::MAX).await;
    assert_eq!((swept.scanned, swept.removed), (0, 0));
    assert!(swept.nodes_done == swept.nodes && swept.nodes > 0);
}
