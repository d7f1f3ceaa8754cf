//! What nodes hear of each other, and what happens when they do not.

use tokio::time::Instant;

use super::*;
use crate::remote::fake::{Fault, Op};
use crate::{Coherence, L2Write, Layer};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_write_is_seen_at_once_on_nodes_that_are_told() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote), node(&remote));
    a.set(&1, 10).await;
    assert_eq!(value(&cached(&b, 1).await), Some(10));
    a.set(&1, 11).await;
    assert_eq!(value(&cached(&b, 1).await), Some(11));
    a.remove(&1).await;
    assert!(b.get(&1).await.expect("in reach").is_none());
    assert_eq!(a.status().coherence, Coherence::Watching);
    assert_eq!(a.status().staleness, Some(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_nodes_own_messages_do_not_evict_what_it_wrote() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote), node(&remote));
    for key in 0..50 {
        a.set(&key, key).await;
        load(&b, key + 100, key).await;
    }
    for key in 0..50 {
        assert_eq!(cached(&a, key).await.layer, Layer::L1);
        assert_eq!(cached(&b, key + 100).await.layer, Layer::L1);
    }
    // Two caches of one process are two nodes.
    a.set(&100, 7).await;
    assert_eq!(value(&cached(&b, 100).await), Some(7));
}

#[tokio::test(start_paused = true)]
async fn one_write_with_fifty_holders_reads_nothing_until_they_are_asked() {
    let remote = FakeRemote::default();
    let nodes: Vec<_> = (0..50).map(|_| node(&remote)).collect();
    nodes[0].set(&1, 10).await;
    for node in &nodes {
        assert_eq!(value(&cached(node, 1).await), Some(10));
    }
    let reads = || remote.calls.of(Op::Read) + remote.calls.of(Op::Versions);
    let before = reads();
    nodes[0].set(&1, 11).await;
    sleep(SECOND).await;
    assert_eq!(reads(), before);
    assert_eq!(value(&cached(&nodes[7], 1).await), Some(11));
    assert_eq!(reads(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn lost_messages_are_made_up_for_by_version_and_not_by_forgetting() {
    let remote = FakeRemote::default();
    let way = remote.another();
    let (a, b) = (node(&way), node(&remote.another()));
    for key in 0..1_000 {
        b.set(&key, key).await;
        assert_eq!(value(&cached(&a, key).await), Some(key));
    }
    way.lose_messages();
    for key in 0..100 {
        b.set(&key, key + 5_000).await;
    }
    b.invalidate_tag("unused").await;
    let reads = way.calls.of(Op::Read);
    way.tell_lost();
    // At once: nothing is trusted before it was compared.
    assert_eq!(value(&cached(&a, 7).await), Some(5_007));
    sleep(SECOND).await;
    for key in 0..1_000 {
        let expected = if key < 100 { key + 5_000 } else { key };
        assert_eq!(value(&cached(&a, key).await), Some(expected));
    }
    assert_eq!(way.calls.of(Op::Read) - reads, 100, "only what had changed was read again");
    assert!(way.calls.of(Op::Versions) <= 5, "in few commands");
    assert!((99..=100).contains(&a.stats().dropped), "{}", a.stats().dropped);
}

#[tokio::test(start_paused = true)]
async fn clears_that_were_missed_hold_after_the_messages_are_back() {
    let remote = FakeRemote::default();
    let way = remote.another();
    let (a, b) = (node(&way), node(&remote.another()));
    for key in 0..10 {
        b.set(&key, Loaded::new(key).tags([if key < 5 { "low" } else { "high" }])).await;
        cached(&a, key).await;
    }
    way.lose_messages();
    b.invalidate_tag("low").await;
    b.remove_prefix("7").await;
    way.tell_lost();
    for key in 0..10 {
        let there = a.get(&key).await.expect("in reach").is_some();
        assert_eq!(there, key >= 5 && key != 7, "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_link_is_down_l1_answers_and_says_so() {
    let remote = FakeRemote::default();
    let way = remote.another();
    let (a, b) = (node(&way), node(&remote.another()));
    b.set(&1, 10).await;
    assert!(!cached(&a, 1).await.degraded);
    way.tell_link(false);
    way.lose_messages();
    b.set(&1, 11).await;
    let got = cached(&a, 1).await;
    assert_eq!((value(&got), got.degraded, got.layer), (Some(10), true, Layer::L1));
    assert!(a.peek(&1).is_some_and(|got| got.degraded));
    assert_eq!(a.status().coherence, Coherence::Interrupted);
    way.tell_link(true);
    way.tell_lost();
    let got = cached(&a, 1).await;
    assert_eq!((value(&got), got.degraded), (Some(11), false));
}

#[tokio::test(start_paused = true)]
async fn a_bound_on_staleness_is_kept_when_nothing_is_proved() {
    let remote = FakeRemote::default();
    let way = Unproved(remote.another());
    let bounded = {
        let guarded = Guarded::new(way.clone(), "fake", DEADLINE, &OutageConfig::default());
        builder().max_staleness(SECOND).remote(guarded).build().expect("valid")
    };
    let b = node(&remote.another());
    b.set(&1, 10).await;
    assert_eq!(cached(&bounded, 1).await.layer, Layer::L2);
    assert_eq!(cached(&bounded, 1).await.layer, Layer::L1);
    way.0.lose_messages();
    b.set(&1, 11).await;
    sleep(SECOND).await;
    assert_eq!(value(&cached(&bounded, 1).await), Some(11), "not trusted any more");
    way.0.tell_proved(Instant::now() + 10 * SECOND);
    sleep(5 * SECOND).await;
    assert_eq!(cached(&bounded, 1).await.layer, Layer::L1, "proved for longer");
}

/// A remote that does not prove anything by itself.
#[derive(Clone)]
struct Unproved(FakeRemote);

#[tokio::test(start_paused = true)]
async fn two_writes_told_in_one_message_leave_the_newer_one() {
    let remote = FakeRemote::default();
    let (ours, theirs) = (remote.another(), remote.another());
    let (a, b) = (node(&ours), node(&theirs));
    a.set(&1, 10).await;
    ours.hold_messages();
    a.set(&1, 11).await;
    b.set(&1, 12).await;
    assert_eq!(value(&cached(&b, 1).await), Some(12));
    ours.tell_held();
    sleep(SECOND).await;
    assert_eq!(value(&cached(&a, 1).await), Some(12));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_l2_did_not_take_is_announced_to_nobody_and_the_newest_wins() {
    let remote = FakeRemote::default();
    let (way_a, way_b) = (remote.another(), remote.another());
    let (a, b) = (node(&way_a), node(&way_b));
    a.set(&1, 10).await;
    assert_eq!(value(&cached(&b, 1).await), Some(10));
    way_a.disconnect();
    assert_eq!(a.set(&1, 11).await.l2, L2Write::Pending);
    assert_eq!(value(&cached(&a, 1).await), Some(11), "it reads its own write");
    assert_eq!(value(&cached(&b, 1).await), Some(10), "which nobody else can know of");
    b.set(&1, 12).await;
    way_a.heal();
    sleep(3 * SECOND).await;
    // The removal of what was there stands for the write that was not made: neither node keeps
    // what the other does not know of.
    for cache in [&a, &b] {
        let got = cache.get(&1).await.expect("in reach");
        assert!(got.is_none_or(|got| value(&got) == Some(12)));
    }
    assert_eq!(value(&load(&a, 1, 13).await), value(&load(&b, 1, 13).await));
}

#[tokio::test(start_paused = true)]
async fn nodes_converge_whatever_comes_back_first() {
    for messages_first in [false, true] {
        let remote = FakeRemote::default();
        let ways: Vec<_> = (0..3).map(|_| remote.another()).collect();
        let nodes: Vec<_> = ways.iter().map(node).collect();
        nodes[0].set(&1, 1).await;
        for cache in &nodes {
            assert_eq!(value(&cached(cache, 1).await), Some(1));
        }
        for way in &ways[..2] {
            way.tell_link(false);
            way.lose_messages();
            way.disconnect();
        }
        for (cache, value) in nodes.iter().zip([10, 20, 30]) {
            cache.set(&1, value).await;
        }
        for way in &ways[..2] {
            if messages_first {
                way.tell_link(true);
                way.tell_lost();
                sleep(SECOND).await;
                way.heal();
            } else {
                way.heal();
                sleep(SECOND).await;
                way.tell_link(true);
                way.tell_lost();
            }
        }
        sleep(5 * SECOND).await;
        let mut seen = Vec::new();
        for cache in &nodes {
            seen.push(value(&load(cache, 1, 99).await));
        }
        assert!(seen.iter().all(|value| *value == seen[0]), "{seen:?}");
        assert!(matches!(seen[0], Some(30 | 99)), "{seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_reads_its_own_writes_and_those_acknowledged_before() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote.another()), node(&remote.another()));
    for round in 0..100 {
        let (writer, reader) = if round % 2 == 0 { (&a, &b) } else { (&b, &a) };
        assert!(!writer.set(&1, round).await.is_partial());
        assert_eq!(value(&cached(writer, 1).await), Some(round));
        assert_eq!(value(&cached(reader, 1).await), Some(round));
        writer.remove(&1).await;
        assert!(writer.get(&1).await.expect("in reach").is_none());
        assert!(reader.get(&1).await.expect("in reach").is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_remote_that_tells_nothing_is_bounded_by_the_l1_ttl() {
    let store = crate::MemoryRemote::default();
    let quiet = |ttl| {
        let builder = builder().l1_ttl(ttl);
        builder.remote(Quiet(store.clone())).build().expect("valid")
    };
    let (a, b) = (quiet(SECOND), quiet(SECOND));
    a.set(&1, Loaded::new(10).tags(["lamps"])).await;
    assert_eq!(value(&cached(&b, 1).await), Some(10));
    assert_eq!(b.status().coherence, Coherence::Unwatched);
    assert_eq!(b.status().staleness, None);
    a.set(&1, Loaded::new(11).tags(["lamps"])).await;
    assert_eq!(value(&cached(&b, 1).await), Some(10), "the stated bound");
    sleep(SECOND).await;
    assert_eq!(value(&cached(&b, 1).await), Some(11));
    a.invalidate_tag("lamps").await;
    sleep(SECOND).await;
    assert!(b.get(&1).await.expect("in reach").is_none(), "marks are bounded alike");
    // The lease works without being told of its end: by asking.
    let origin = Origin::default();
    let first = tokio::spawn(origin.read(&a, 2, Ok(20), SECOND));
    yield_all().await;
    let second = origin.read(&b, 2, Ok(21), SECOND).await.expect("waits");
    assert_eq!(value(&second), Some(20));
    assert_eq!(origin.loads(), 1);
    first.await.expect("no panic").expect("loads");
}

/// A remote that tells nothing.
struct Quiet(crate::MemoryRemote);

#[tokio::test(start_paused = true)]
async fn what_l2_could_not_be_asked_about_in_time_is_not_trusted() {
    let remote = FakeRemote::default();
    let way = remote.another();
    let (a, b) = (node(&way), node(&remote.another()));
    a.set(&1, 10).await;
    way.lose_messages();
    b.set(&1, 11).await;
    way.fail(Op::Versions, Fault::Refusing);
    way.tell_lost();
    sleep(SECOND).await;
    assert_eq!(value(&cached(&a, 1).await), Some(11));
}

#[tokio::test(start_paused = true)]
async fn the_cache_ends_when_its_last_clone_is_dropped() {
    let remote = FakeRemote::default();
    let cache = node(&remote);
    load(&cache, 1, 10).await;
    let local = Arc::downgrade(&cache.inner.local);
    drop(cache);
    yield_all().await;
    assert!(local.upgrade().is_none(), "nothing in the background holds it");
    // And the remote goes on without it.
    node(&remote).set(&1, 11).await;
}

/// Passes everything on to `.0` but what the body says.
macro_rules! passing {
    ($remote:ty, { $($own:item)* }) => {
        impl crate::Remote for $remote {
            fn read<'a>(&'a self, text: &'a str) -> crate::RemoteFuture<'a, crate::Fetched> {
                self.0.read(text)
            }
            fn versions<'a>(&'a self, texts: &'a [String]) -> crate::RemoteFuture<'a, Vec<u64>> {
                self.0.versions(texts)
            }
            fn lease<'a>(&'a self, text: &'a str, seen: crate::Seen, token: u64, hold: Duration) -> crate::RemoteFuture<'a, crate::Leased> {
                self.0.lease(text, seen, token, hold)
            }
            fn renew<'a>(&'a self, text: &'a str, token: u64, hold: Duration) -> crate::RemoteFuture<'a, bool> {
                self.0.renew(text, token, hold)
            }
            fn release<'a>(&'a self, text: &'a str, token: u64) -> crate::RemoteFuture<'a, ()> {
                self.0.release(text, token)
            }
            fn fill<'a>(&'a self, text: &'a str, ticket: crate::Ticket, record: bytes::Bytes, ttl: Duration) -> crate::RemoteFuture<'a, crate::Fill> {
                self.0.fill(text, ticket, record, ttl)
            }
            fn put<'a>(&'a self, text: &'a str, record: bytes::Bytes, ttl: Duration, keep: Duration) -> crate::RemoteFuture<'a, crate::Put> {
                self.0.put(text, record, ttl, keep)
            }
            fn remove<'a>(&'a self, text: &'a str, source: u64, keep: Duration) -> crate::RemoteFuture<'a, u64> {
                self.0.remove(text, source, keep)
            }
            fn marks<'a>(&'a self, texts: &'a [String], since: Instant) -> crate::RemoteFuture<'a, Vec<crate::MarkRead>> {
                self.0.marks(texts, since)
            }
            fn advance<'a>(&'a self, text: &'a str, change: crate::MarkChange) -> crate::RemoteFuture<'a, crate::Mark> {
                self.0.advance(text, change)
            }
            fn sweep<'a>(&'a self, pattern: &'a str, before: u64, keep: Duration, progress: &'a (dyn Fn(crate::Swept) + Send + Sync)) -> crate::RemoteFuture<'a, crate::Swept> {
                self.0.sweep(pattern, before, keep, progress)
            }
            $($own)*
        }
    };
}

passing!(Quiet, {});
passing!(Split, {
    fn node(&self, text: &str) -> u32 {
        u32::from(text.ends_with('2'))
    }
    fn watch(&self, namespace: &str, watcher: std::sync::Weak<dyn crate::Watcher>) -> bool {
        self.0.watch(namespace, watcher)
    }
});
passing!(Unproved, {
    fn watch(&self, namespace: &str, watcher: std::sync::Weak<dyn crate::Watcher>) -> bool {
        let told = Arc::new(NeverProved(watcher));
        // Kept for the test's life: the remote holds it weakly.
        std::mem::forget(Arc::clone(&told));
        let told: Arc<dyn crate::Watcher> = told;
        self.0.watch(namespace, Arc::downgrade(&told))
    }
});

struct NeverProved(std::sync::Weak<dyn crate::Watcher>);

impl crate::Watcher for NeverProved {
    fn changed(&self, text: &str, version: Option<u64>) {
        self.tell(|watcher| watcher.changed(text, version));
    }
    fn landed(&self, text: &str) {
        self.tell(|watcher| watcher.landed(text));
    }
    fn lost(&self, node: Option<u32>) {
        self.tell(|watcher| watcher.lost(node));
    }
    fn link(&self, node: u32, up: bool) {
        self.tell(|watcher| watcher.link(node, up));
    }
    fn proved(&self, at: Instant) {
        // The store says "for ever".
        if at < Instant::now() + Duration::from_secs(3_600) {
            self.tell(|watcher| watcher.proved(at));
        }
    }
}

impl NeverProved {
    fn tell(&self, tell: impl Fn(&dyn crate::Watcher)) {
        if let Some(watcher) = self.0.upgrade() {
            tell(&*watcher);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_served_while_it_is_checked_does_not_wait_for_all_of_l1_to_be_compared() {
    let remote = FakeRemote::default();
    let way = remote.another();
    let (a, b) = (node(&way), node(&remote.another()));
    for key in 10..5_000 {
        a.set(&key, key).await;
    }
    let takes = DEADLINE / 2;
    way.fail(Op::Versions, Fault::SlowAnswer(takes));
    way.tell_lost();
    sleep(takes / 10).await;
    way.hold_messages();
    a.set(&1, 11).await;
    b.set(&1, 12).await;
    // Our echo and b's write, in one message.
    crate::remote::Watcher::changed(&*a.inner.local, "numbers:1", None);
    assert_eq!(value(&cached(&a, 1).await), Some(11), "it may be the echo alone");
    sleep(takes + takes / 10).await;
    assert_eq!(value(&cached(&a, 1).await), Some(12), "one round trip later");
}

/// A remote of two nodes: the second has the keys that end with 2.
struct Split(FakeRemote);

#[tokio::test(start_paused = true)]
async fn a_node_out_of_reach_fails_the_checks_of_its_own_entries_only() {
    let way = FakeRemote::default();
    let guarded = Guarded::new(Split(way.clone()), "split", DEADLINE, &OutageConfig::default());
    let a = builder().remote(guarded.clone()).build().expect("valid");
    way.hold_messages();
    a.set(&1, 11).await;
    a.set(&2, 12).await;
    way.fail(Op::Read, Fault::Gone);
    while !guarded.status().breaker_open {
        guarded.read("numbers:2").await.expect_err("gone");
    }
    way.heal();
    for text in ["numbers:1", "numbers:2"] {
        crate::remote::Watcher::changed(&*a.inner.local, text, None);
    }
    sleep(Duration::from_millis(1)).await;
    assert!(a.peek(&1).is_some(), "compared");
    assert!(a.peek(&2).is_none(), "its node could not say");
}

#[tokio::test(start_paused = true)]
async fn where_nobody_tells_any_more_entries_are_good_for_their_l1_time_until_somebody_does() {
    let remote = FakeRemote::default();
    let a = node_of(builder().ttl(SECOND * 60).l1_ttl(SECOND * 5), &remote);
    let b = node(&remote);
    for key in 1..=3 {
        b.set(&key, 10).await;
        assert_eq!(value(&cached(&a, key).await), Some(10));
    }
    remote.tell_link(false);
    assert!(cached(&a, 1).await.degraded, "as long as it may come back");
    assert_eq!(a.status().coherence, Coherence::Interrupted);
    // Untold.
    remote.lose_messages();
    b.set(&2, 11).await;
    remote.tell_tells(false);
    assert_eq!(a.status().coherence, Coherence::Unwatched);
    assert_eq!(a.status().staleness, None);
    yield_all().await;
    let got = cached(&a, 2).await;
    assert_eq!((value(&got), got.degraded), (Some(11), false), "what was missed is compared");
    let before = remote.calls.of(Op::Versions) + remote.calls.of(Op::Read);
    let got = cached(&a, 1).await;
    assert_eq!((value(&got), got.layer, got.degraded), (Some(10), Layer::L1, false));
    assert_eq!(remote.calls.of(Op::Versions) + remote.calls.of(Op::Read), before);
    // For their L1 time, and no longer.
    let switched = Instant::now();
    b.set(&2, 12).await;
    sleep(SECOND * 2).await;
    assert_eq!(value(&cached(&a, 2).await), Some(11));
    while value(&cached(&a, 2).await) == Some(11) {
        assert!(switched.elapsed() <= SECOND * 5);
        sleep(SECOND / 10).await;
    }
    assert_eq!(value(&cached(&a, 2).await), Some(12));

    assert_eq!(value(&cached(&a, 3).await), Some(10));
    b.set(&3, 11).await;
    remote.tell_lost();
    remote.tell_tells(true);
    remote.tell_link(true);
    assert_eq!(a.status().coherence, Coherence::Watching);
    yield_all().await;
    assert_eq!(value(&cached(&a, 3).await), Some(11), "what was not told is compared");
    b.set(&3, 12).await;
    assert_eq!(value(&cached(&a, 3).await), Some(12), "and from here on it is told");
}
