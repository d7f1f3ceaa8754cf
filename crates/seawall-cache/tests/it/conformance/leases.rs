//! Leases: one node loads, the others wait, and who lost it writes nothing.

use std::time::Duration;

use seawall_cache::{Fill, Guarded, Leased, Put, Seen, Ticket};
use tokio::time::{Instant, sleep_until};

use super::{KEEP, TTL, fill, lease, put, record, remove, seen};

/// The tokens of three nodes. As text, as floats or as halves some would be equal.
const A: u64 = 1 << 53;
const B: u64 = (1 << 53) + 1;
const C: u64 = u64::MAX;

pub(super) async fn all(remote: &Guarded) {
    one_of_many_gets_the_lease(remote).await;
    the_same_token_gets_it_again(remote).await;
    a_lease_on_what_has_moved_is_refused(remote).await;
    a_dead_holder_is_taken_over_from_when_its_time_is_up_and_not_before(remote).await;
    a_zombie_is_fenced_out(remote).await;
    a_holder_that_was_late_but_alone_may_still_fill(remote).await;
    a_renewed_lease_does_not_end(remote).await;
    a_lease_that_was_given_back_is_free(remote).await;
    every_end_of_a_fill_ends_its_lease(remote).await;
    a_fill_without_a_lease_waits_its_turn(remote).await;
    a_put_or_a_removal_ends_the_lease(remote).await;
    a_put_that_stored_nothing_leaves_the_lease(remote).await;
    no_hold_is_too_odd(remote).await;
}

async fn one_of_many_gets_the_lease(remote: &Guarded) {
    for round in 0..10 {
        let key = &format!("it:lease race {round}");
        let seen = seen(remote, key).await;
        let asking = (0..16).map(|token| lease(remote, key, seen, token));
        let answers = futures_util::future::join_all(asking).await;
        let granted = answers.iter().filter(|leased| **leased == Leased::Granted).count();
        assert_eq!(granted, 1, "{answers:?}");
        for leased in answers {
            if let Leased::Held { for_at_most } = leased {
                assert!(!for_at_most.is_zero() && for_at_most <= KEEP + MS, "{for_at_most:?}");
            }
        }
    }
}

async fn the_same_token_gets_it_again(remote: &Guarded) {
    let key = "it:lease again";
    let seen = seen(remote, key).await;
    assert_eq!(lease(remote, key, seen, A).await, Leased::Granted);
    assert!(matches!(lease(remote, key, seen, B).await, Leased::Held { .. }));
    assert_eq!(lease(remote, key, seen, A).await, Leased::Granted, "the answer was lost, say");
    assert!(matches!(lease(remote, key, seen, B).await, Leased::Held { .. }));
}

async fn a_lease_on_what_has_moved_is_refused(remote: &Guarded) {
    let key = "it:lease moved";
    let before = seen(remote, key).await;
    put(remote, key, 0).await;
    assert_eq!(lease(remote, key, before, A).await, Leased::Moved);
    let after = seen(remote, key).await;
    assert_eq!(lease(remote, key, after, A).await, Leased::Granted, "a refresh of what is there");
    remove(remote, key, 0).await;
    assert_eq!(lease(remote, key, after, A).await, Leased::Moved);
    let after = seen(remote, key).await;
    assert_eq!(lease(remote, key, after, B).await, Leased::Granted, "over a tombstone");
}

async fn a_dead_holder_is_taken_over_from_when_its_time_is_up_and_not_before(remote: &Guarded) {
    let key = "it:lease dead";
    let seen = seen(remote, key).await;
    let hold = Duration::from_millis(200);
    let asked = Instant::now();
    remote.lease(key, seen, A, hold).await.expect("in reach");
    loop {
        match lease(remote, key, seen, B).await {
            Leased::Held { for_at_most } => {
                assert!(for_at_most <= hold + MS);
                sleep_until(Instant::now() + for_at_most / 2 + MS).await;
            }
            Leased::Granted => break,
            Leased::Moved => panic!("nobody wrote"),
        }
    }
    assert!(asked.elapsed() >= hold - MS, "{:?}", asked.elapsed());
    assert!(asked.elapsed() < hold * 150, "{:?}", asked.elapsed());
}

async fn a_zombie_is_fenced_out(remote: &Guarded) {
    let key = "it:lease zombie";
    let before = seen(remote, key).await;
    remote.lease(key, before, A, MS * 10).await.expect("in reach");
    sleep_until(Instant::now() + MS * 30).await;
    assert_eq!(lease(remote, key, before, B).await, Leased::Granted);
    assert!(!remote.renew(key, A, KEEP).await.expect("in reach"));
    assert_eq!(fill(remote, key, before, Some(A), 0).await, Fill::Fenced);
    remote.release(key, A).await.expect("in reach");
    assert!(matches!(lease(remote, key, before, C).await, Leased::Held { .. }), "B's, untouched");
    assert!(matches!(fill(remote, key, before, Some(B), 0).await, Fill::Stored(_)));
    assert_eq!(fill(remote, key, before, Some(A), 0).await, Fill::Moved);
}

async fn a_holder_that_was_late_but_alone_may_still_fill(remote: &Guarded) {
    let key = "it:lease alone";
    let before = seen(remote, key).await;
    remote.lease(key, before, A, MS).await.expect("in reach");
    sleep_until(Instant::now() + MS * 20).await;
    assert!(!remote.renew(key, A, KEEP).await.expect("in reach"), "it has ended");
    assert!(matches!(fill(remote, key, before, Some(A), 0).await, Fill::Stored(_)));
}

async fn a_renewed_lease_does_not_end(remote: &Guarded) {
    let key = "it:lease renewed";
    let seen = seen(remote, key).await;
    let hold = Duration::from_secs(2);
    let asked = Instant::now();
    remote.lease(key, seen, A, hold).await.expect("in reach");
    while asked.elapsed() < hold * 2 {
        assert!(remote.renew(key, A, hold).await.expect("in reach"));
        assert!(!remote.renew(key, B, hold).await.expect("in reach"), "not its own");
        assert!(matches!(lease(remote, key, seen, B).await, Leased::Held { .. }));
        sleep_until(Instant::now() + MS * 20).await;
    }
    assert!(!remote.renew("it:lease nobody", A, hold).await.expect("in reach"));
}

async fn a_lease_that_was_given_back_is_free(remote: &Guarded) {
    let key = "it:lease released";
    let seen = seen(remote, key).await;
    assert_eq!(lease(remote, key, seen, A).await, Leased::Granted);
    remote.release(key, B).await.expect("in reach");
    assert!(matches!(lease(remote, key, seen, B).await, Leased::Held { .. }));
    remote.release(key, A).await.expect("in reach");
    assert_eq!(lease(remote, key, seen, B).await, Leased::Granted);
    remote.release("it:lease nobody", A).await.expect("nothing to give back");
}

async fn every_end_of_a_fill_ends_its_lease(remote: &Guarded) {
    for end in ["stored", "moved", "late", "old source"] {
        let key = &format!("it:lease {end}");
        remove(remote, key, if end == "old source" { 9 } else { 0 }).await;
        let before = seen(remote, key).await;
        assert_eq!(lease(remote, key, before, A).await, Leased::Granted);
        let mut ticket = Ticket { seen: before, keep: KEEP, token: Some(A) };
        match end {
            // As if the entry had been lost and filled by a node that knows no leases.
            "moved" => ticket.seen = Seen { version: before.version + 1, ..before },
            "late" => ticket = Ticket { seen: Seen { at: 1, ..before }, ..ticket },
            _ => {}
        }
        let filled = remote.fill(key, ticket, record(0), TTL).await.expect("in reach");
        let expected = match end {
            "moved" => Fill::Moved,
            "late" => Fill::Late,
            "old source" => Fill::OldSource,
            _ => filled,
        };
        assert_eq!(filled, expected);
        assert_eq!(matches!(filled, Fill::Stored(_)), end == "stored");
        let after = seen(remote, key).await;
        assert_eq!(lease(remote, key, after, B).await, Leased::Granted, "{end}");
    }
}

async fn a_fill_without_a_lease_waits_its_turn(remote: &Guarded) {
    let key = "it:lease none";
    let before = seen(remote, key).await;
    assert_eq!(lease(remote, key, before, A).await, Leased::Granted);
    assert_eq!(fill(remote, key, before, None, 0).await, Fill::Fenced);
    assert!(matches!(lease(remote, key, before, B).await, Leased::Held { .. }), "untouched");
    assert!(matches!(fill(remote, key, before, Some(A), 0).await, Fill::Stored(_)));
    let after = seen(remote, key).await;
    assert!(matches!(fill(remote, key, after, None, 0).await, Fill::Stored(_)));
}

async fn a_put_or_a_removal_ends_the_lease(remote: &Guarded) {
    let key = "it:lease overtaken";
    for write in ["put", "removal"] {
        let before = seen(remote, key).await;
        assert_eq!(lease(remote, key, before, A).await, Leased::Granted);
        assert!(matches!(lease(remote, key, before, B).await, Leased::Held { .. }));
        if write == "put" {
            put(remote, key, 0).await;
        } else {
            remove(remote, key, 0).await;
        }
        assert!(!remote.renew(key, A, KEEP).await.expect("in reach"), "{write}");
        assert_eq!(fill(remote, key, before, Some(A), 0).await, Fill::Moved);
        let after = seen(remote, key).await;
        assert_eq!(lease(remote, key, after, B).await, Leased::Granted, "{write}");
        assert_eq!(fill(remote, key, before, Some(A), 0).await, Fill::Fenced);
        remote.release(key, B).await.expect("in reach");
    }
}

async fn a_put_that_stored_nothing_leaves_the_lease(remote: &Guarded) {
    let key = "it:lease superseded";
    put(remote, key, 20).await;
    let before = seen(remote, key).await;
    assert_eq!(lease(remote, key, before, A).await, Leased::Granted);
    assert_eq!(put(remote, key, 10).await, Put::Superseded);
    assert!(remote.renew(key, A, KEEP).await.expect("in reach"));
}

async fn no_hold_is_too_odd(remote: &Guarded) {
    let key = "it:lease odd";
    let seen = seen(remote, key).await;
    for hold in [Duration::ZERO, Duration::from_nanos(1)] {
        assert_eq!(remote.lease(key, seen, A, hold).await.expect("in reach"), Leased::Granted);
        sleep_until(Instant::now() + MS * 10).await;
        assert_eq!(remote.lease(key, seen, B, hold).await.expect("in reach"), Leased::Granted);
        sleep_until(Instant::now() + MS * 10).await;
    }
    let leased = remote.lease(key, seen, A, Duration::MAX).await;
    assert_eq!(leased.expect("in reach"), Leased::Granted);
    assert!(remote.renew(key, A, Duration::MAX).await.expect("in reach"));
    remote.release(key, A).await.expect("in reach");
}

const MS: Duration = Duration::from_millis(1);
