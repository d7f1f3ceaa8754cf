//! Entries: read, filled, put, removed.

use std::time::Duration;

use seawall_cache::{Fill, Guarded, MAX_TTL, Put, Seen, Ticket};
use tokio::time::Instant;

use super::{KEEP, TTL, fill, is_tombstone, put, read, record, remove, seen, source, version};
use crate::until;

pub(super) async fn all(remote: &Guarded) {
    what_is_put_is_read(remote).await;
    a_fill_over_absence_is_stored_once(remote).await;
    a_fill_is_refused_after_a_put_or_a_removal(remote).await;
    a_fill_that_took_too_long_is_refused(remote).await;
    a_fill_after_the_tombstone_expired_is_refused(remote).await;
    a_fill_reaches_the_source_the_tombstone_asks_for(remote).await;
    a_put_does_not_replace_a_newer_source(remote).await;
    a_removal_asks_for_no_less_than_the_one_before(remote).await;
    a_tombstone_reports_its_version(remote).await;
    versions_only_grow(remote).await;
    entries_expire(remote).await;
    an_expired_put_still_refuses_loads_from_before_it(remote).await;
    a_fill_does_not_cut_short_the_trace_it_replaces(remote).await;
    what_remains_is_never_more_than_what_is_left(remote).await;
    many_are_read_in_order(remote).await;
    other_formats_are_ordered_alike(remote).await;
}

async fn what_is_put_is_read(remote: &Guarded) {
    let key = "it:read";
    assert_eq!(read(remote, key).await.bytes, None);
    let Put::Stored(stored) = put(remote, key, 7).await else { panic!("nothing was there") };
    let fetched = read(remote, key).await;
    assert_eq!((version(&fetched), source(&fetched)), (stored, 7));
    assert!(fetched.remaining <= TTL && fetched.remaining > TTL / 2);
    assert!(fetched.now >= stored, "a version is a moment");
    let bytes = fetched.bytes.expect("there");
    let as_put = record(7);
    for part in [0..8, 16..36, 44..as_put.len()] {
        assert_eq!(bytes[part.clone()], as_put[part], "the rest as is");
    }
}

async fn a_fill_over_absence_is_stored_once(remote: &Guarded) {
    let key = "it:fill";
    let before = seen(remote, key).await;
    assert!(matches!(fill(remote, key, before, None, 0).await, Fill::Stored(_)));
    assert_eq!(fill(remote, key, before, None, 0).await, Fill::Moved);
}

async fn a_fill_is_refused_after_a_put_or_a_removal(remote: &Guarded) {
    let key = "it:moved";
    let before = seen(remote, key).await;
    put(remote, key, 0).await;
    assert_eq!(fill(remote, key, before, None, 0).await, Fill::Moved);
    let before = seen(remote, key).await;
    remove(remote, key, 0).await;
    assert_eq!(fill(remote, key, before, None, 0).await, Fill::Moved);
    assert!(is_tombstone(&read(remote, key).await));
    let after = seen(remote, key).await;
    assert!(matches!(fill(remote, key, after, None, 0).await, Fill::Stored(_)));
}

async fn a_fill_that_took_too_long_is_refused(remote: &Guarded) {
    let key = "it:late";
    let before = seen(remote, key).await;
    let long_ago = Seen { at: before.at.saturating_sub(31_000_000), ..before };
    if long_ago.at > 0 {
        assert_eq!(fill(remote, key, long_ago, None, 0).await, Fill::Late);
    }
    let ticket = Ticket { seen: before, keep: Duration::ZERO, token: None };
    until("the clock moved on", || async { read(remote, key).await.now > before.at + 1 }).await;
    let late = remote.fill(key, ticket, record(0), TTL).await;
    assert_eq!(late.expect("in reach"), Fill::Late);
    assert_eq!(read(remote, key).await.bytes, None);
}

async fn a_fill_after_the_tombstone_expired_is_refused(remote: &Guarded) {
    let key = "it:expired";
    let before = loop {
        remote.remove(key, 0, Duration::from_millis(200)).await.expect("in reach");
        let before = seen(remote, key).await;
        // Or it was too late to see it.
        if before.version > 0 {
            break before;
        }
    };
    until("it expired", || async { read(remote, key).await.bytes.is_none() }).await;
    assert_eq!(fill(remote, key, before, None, 0).await, Fill::Moved);
}

async fn a_fill_reaches_the_source_the_tombstone_asks_for(remote: &Guarded) {
    // Where a comparison as text, as floats or as halves would go wrong.
    let edges = [9, 10, 255, 256, (1 << 32) - 1, 1 << 32, (1 << 53) + 1, u64::MAX - 1, u64::MAX];
    for edge in edges {
        let key = format!("it:source{edge}");
        remove(remote, &key, edge).await;
        let before = seen(remote, &key).await;
        assert_eq!(fill(remote, &key, before, None, edge - 1).await, Fill::OldSource, "{edge}");
        assert_eq!(fill(remote, &key, before, None, 0).await, Fill::OldSource, "{edge}");
        assert!(matches!(fill(remote, &key, before, None, edge).await, Fill::Stored(_)), "{edge}");
        assert_eq!(source(&read(remote, &key).await), edge);
    }
}

async fn a_put_does_not_replace_a_newer_source(remote: &Guarded) {
    let key = "it:put";
    put(remote, key, 20).await;
    assert_eq!(put(remote, key, 19).await, Put::Superseded);
    assert_eq!(source(&read(remote, key).await), 20);
    assert!(matches!(put(remote, key, 20).await, Put::Stored(_)));
    remove(remote, key, 30).await;
    assert_eq!(put(remote, key, 29).await, Put::Superseded);
    assert!(matches!(put(remote, key, 0).await, Put::Stored(_)), "without a source: as told");
}

async fn a_removal_asks_for_no_less_than_the_one_before(remote: &Guarded) {
    let key = "it:removed";
    for (asked, expected) in [(0, 0), (40, 40), (30, 40), (0, 40), (50, 50)] {
        remove(remote, key, asked).await;
        assert_eq!(source(&read(remote, key).await), expected, "after {asked}");
    }
    let key = "it:removed value";
    put(remote, key, 60).await;
    remove(remote, key, 50).await;
    assert_eq!(source(&read(remote, key).await), 60, "a newer write was there");
    put(remote, key, 70).await;
    remove(remote, key, 0).await;
    assert_eq!(source(&read(remote, key).await), 0, "no source was named");
}

async fn versions_only_grow(remote: &Guarded) {
    let key = "it:versions";
    let mut last = 0;
    for round in 0..200 {
        if round % 2 == 0 {
            put(remote, key, 0).await;
        } else {
            remove(remote, key, 0).await;
        }
        let now = version(&read(remote, key).await);
        assert!(now > last);
        last = now;
    }
}

async fn entries_expire(remote: &Guarded) {
    let key = "it:ttl";
    for ttl in [Duration::ZERO, Duration::from_nanos(1), Duration::from_millis(30)] {
        remote.put(key, record(0), ttl, Duration::ZERO).await.expect("in reach");
        until("it expired", || async { read(remote, key).await.bytes.is_none() }).await;
    }
    for ttl in [Duration::MAX, Duration::from_secs(u64::MAX / 1_000)] {
        remote.put(key, record(0), ttl, ttl).await.expect("in reach");
        let remaining = read(remote, key).await.remaining;
        assert!(remaining <= MAX_TTL && remaining > MAX_TTL / 2, "{remaining:?}");
        remote.remove(key, 0, ttl).await.expect("in reach");
    }
}

async fn a_tombstone_reports_its_version(remote: &Guarded) {
    let key = "it:tombstone";
    put(remote, key, 0).await;
    let buried = remove(remote, key, 0).await;
    assert_eq!(version(&read(remote, key).await), buried);
}

async fn an_expired_put_still_refuses_loads_from_before_it(remote: &Guarded) {
    let key = "it:short";
    let before = seen(remote, key).await;
    let short = Duration::from_millis(20);
    let Put::Stored(stored) = remote.put(key, record(40), short, KEEP).await.expect("in reach")
    else {
        panic!("nothing was there")
    };
    until("it expired", || async { is_tombstone(&read(remote, key).await) }).await;
    assert_eq!(fill(remote, key, before, None, 0).await, Fill::Moved);
    let fetched = read(remote, key).await;
    assert_eq!((version(&fetched), source(&fetched)), (stored, 40), "its trace");
    assert!(fetched.remaining.is_zero());
    assert_eq!(crate::all(remote.versions(&[key.into()]).await).expect("in reach"), [stored]);
    let after = seen(remote, key).await;
    assert_eq!(fill(remote, key, after, None, 39).await, Fill::OldSource);
    assert_eq!(put(remote, key, 39).await, Put::Superseded);
    assert!(matches!(fill(remote, key, after, None, 40).await, Fill::Stored(_)));

    let key = "it:short removed";
    remote.put(key, record(40), short, KEEP).await.expect("in reach");
    until("it expired", || async { is_tombstone(&read(remote, key).await) }).await;
    assert_eq!(remote.sweep(key, u64::MAX, KEEP, &|_| {}).await.expect("in reach").removed, 0);
    remove(remote, key, 0).await;
    assert_eq!(source(&read(remote, key).await), 40, "as after a removal that asks for it");

    let key = "it:trace";
    remote.put(key, record(0), short, short * 4).await.expect("in reach");
    until("the trace went", || async { read(remote, key).await.bytes.is_none() }).await;
}

async fn a_fill_does_not_cut_short_the_trace_it_replaces(remote: &Guarded) {
    for write in ["removal", "put", "two fills"] {
        let key = &format!("it:trace after {write}");
        let old_load = seen(remote, key).await;
        let short = Duration::from_millis(20);
        match write {
            "put" => drop(remote.put(key, record(0), short, KEEP).await.expect("in reach")),
            _ => drop(remove(remote, key, 0).await),
        }
        for _ in 0..if write == "two fills" { 2 } else { 1 } {
            let ticket = Ticket { seen: seen(remote, key).await, keep: KEEP, token: None };
            let filled = remote.fill(key, ticket, record(0), short).await.expect("in reach");
            assert!(matches!(filled, Fill::Stored(_)), "{filled:?}");
        }
        until("it expired", || async { read(remote, key).await.remaining.is_zero() }).await;
        assert_eq!(fill(remote, key, old_load, None, 0).await, Fill::Moved, "{write}");
    }
    let key = "it:no trace";
    let ticket = Ticket { seen: seen(remote, key).await, keep: KEEP, token: None };
    let ttl = Duration::from_millis(20);
    remote.fill(key, ticket, record(0), ttl).await.expect("in reach");
    until("nothing is left of it", || async { read(remote, key).await.bytes.is_none() }).await;
}

async fn what_remains_is_never_more_than_what_is_left(remote: &Guarded) {
    let key = "it:remaining";
    let ttl = Duration::from_millis(300);
    let before = Instant::now();
    remote.put(key, record(0), ttl, KEEP).await.expect("in reach");
    let after = Instant::now();
    loop {
        let asked = Instant::now();
        let fetched = read(remote, key).await;
        if is_tombstone(&fetched) {
            // By as much as answers take, since Redis's clock is known no better.
            assert!(before.elapsed() >= ttl / 2, "gone too early: {:?}", before.elapsed());
            break;
        }
        let ends = asked + fetched.remaining;
        assert!(ends <= after + ttl + MS, "{:?} too long", ends - (after + ttl));
        assert!(ends + Duration::from_secs(1) > before + ttl, "far too short");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn many_are_read_in_order(remote: &Guarded) {
    let texts: Vec<String> = (0..500).map(|key| format!("it:many{key}")).collect();
    for text in texts.iter().step_by(3) {
        put(remote, text, 5).await;
    }
    remove(remote, &texts[1], 9).await;
    let fetched = remote.read_many(&texts).await;
    let versions = crate::all(remote.versions(&texts).await).expect("in reach");
    assert_eq!((fetched.len(), versions.len()), (texts.len(), texts.len()));
    for (at, (fetched, seen)) in fetched.iter().zip(versions).enumerate() {
        let fetched = fetched.as_ref().expect("in reach");
        assert_eq!(version(fetched), seen, "{at}");
        assert_eq!(fetched.bytes.is_some(), at % 3 == 0 || at == 1, "{at}");
        if at % 3 == 0 {
            assert_eq!(source(fetched), 5);
            assert!(fetched.remaining > TTL / 2 && fetched.now >= seen);
        }
    }
    assert_eq!(remote.read_many(&[]).await.len(), 0);
    assert_eq!(crate::all(remote.versions(&[]).await).expect("nothing to ask"), Vec::<u64>::new());
    let twice = [texts[0].clone(), texts[0].clone()];
    let versions = crate::all(remote.versions(&twice).await).expect("in reach");
    assert!(versions[0] > 0 && versions[0] == versions[1]);
    let fetched = remote.read_many(&twice).await;
    assert!(fetched.iter().all(|fetched| fetched.as_ref().is_ok_and(|f| f.bytes.is_some())));
}

/// Records as nodes of the last release write them, and headers nobody writes.
async fn other_formats_are_ordered_alike(remote: &Guarded) {
    let key = "it:formats";
    let mut format_1 = record(7)[..36].to_vec();
    format_1[3] = 1;
    for bytes in [format_1.clone(), format_1[..24].to_vec()] {
        let Put::Stored(stored) =
            remote.put(key, bytes.clone().into(), TTL, KEEP).await.expect("up")
        else {
            panic!("stored")
        };
        let fetched = read(remote, key).await;
        assert_eq!((version(&fetched), source(&fetched)), (stored, 7));
        assert_eq!(fetched.bytes.expect("there")[24..], bytes[24..], "it has no expiry to write");
        remove(remote, key, 0).await;
    }
}

const MS: Duration = Duration::from_millis(1);
