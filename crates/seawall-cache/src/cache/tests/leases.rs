//! One load on all nodes: the lease in L2.

use tokio::time::Instant;

use super::*;
use crate::remote::fake::{Fault, Op};
use crate::remote::{Fill, Leased, Remote, Seen, Ticket};
use crate::{Freshness, Layer};

const TAKES: Duration = Duration::from_millis(500);
const LEASE: Duration = Duration::from_secs(3);

/// A node with faults and messages of its own.
fn own(remote: &FakeRemote) -> Numbers {
    node(&remote.another())
}

async fn seen(remote: &FakeRemote, text: &str) -> Seen {
    let fetched = remote.store.read(text).await.expect("in reach");
    let version = fetched.bytes.map_or(0, |bytes| crate::record::peek(&bytes).version);
    Seen { version, at: fetched.now }
}

#[tokio::test(start_paused = true)]
async fn eight_nodes_with_a_hundred_callers_each_run_one_load() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let nodes: Vec<_> = (0..8).map(|_| own(&remote)).collect();
    let asked = Instant::now();
    let callers: Vec<_> = (0..800)
        .map(|caller| tokio::spawn(origin.read(&nodes[caller % 8], 1, Ok(10), TAKES)))
        .collect();
    for caller in callers {
        assert_eq!(value(&caller.await.expect("no panic").expect("loads")), Some(10));
    }
    assert_eq!(origin.loads(), 1);
    assert!(asked.elapsed() <= TAKES + Duration::from_millis(2), "{:?}", asked.elapsed());
    let waits: u64 = nodes.iter().map(|node| node.stats().lease_waits).sum();
    assert_eq!(waits, 7, "told, not polled");
}

#[tokio::test(start_paused = true)]
async fn a_load_that_outlasts_its_lease_keeps_it() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let (a, b) = (own(&remote), own(&remote));
    let first = tokio::spawn(origin.read(&a, 1, Ok(10), 5 * LEASE));
    yield_all().await;
    let second = tokio::spawn(origin.read(&b, 1, Ok(11), TAKES));
    assert_eq!(value(&first.await.expect("no panic").expect("loads")), Some(10));
    assert_eq!(value(&second.await.expect("no panic").expect("waits")), Some(10));
    assert_eq!(origin.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn another_node_takes_over_when_the_holder_dies_and_not_before() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let nodes: Vec<_> = (0..4).map(|_| own(&remote)).collect();
    // A node that takes the lease and is never heard of again.
    let before = seen(&remote, "numbers:1").await;
    let granted = remote.store.lease("numbers:1", before, 77, LEASE).await.expect("in reach");
    assert_eq!(granted, Leased::Granted);
    let asked = Instant::now();
    let callers: Vec<_> =
        nodes.iter().map(|node| tokio::spawn(origin.read(node, 1, Ok(10), TAKES))).collect();
    sleep(LEASE - Duration::from_millis(10)).await;
    assert_eq!(origin.loads(), 0, "not before its lease has ended");
    for caller in callers {
        assert_eq!(value(&caller.await.expect("no panic").expect("loads")), Some(10));
    }
    assert_eq!(origin.loads(), 1);
    assert!(asked.elapsed() <= LEASE + TAKES + Duration::from_millis(10), "{:?}", asked.elapsed());
    // The dead one wakes up with what it loaded long ago.
    let ticket = Ticket { seen: before, keep: Duration::from_secs(60), token: Some(77) };
    let zombie = crate::record::tests::plain("numbers:1", 0, &99_u64);
    let fill = remote.store.fill("numbers:1", ticket, zombie, LEASE).await.expect("in reach");
    assert_ne!(fill, Fill::Stored(0));
    assert!(!matches!(fill, Fill::Stored(_)), "{fill:?}");
    assert_eq!(value(&cached(&own(&remote), 1).await), Some(10));
}

#[tokio::test(start_paused = true)]
async fn a_zombie_is_fenced_while_another_loads() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    // Its lease cannot be renewed, so it ends while its loader runs.
    let zombies_way = remote.another();
    let (zombie, other) = (node(&zombies_way), own(&remote));
    zombies_way.fail(Op::Renew, Fault::Refusing);
    let first = tokio::spawn(origin.read(&zombie, 1, Ok(10), LEASE + TAKES));
    yield_all().await;
    let second = tokio::spawn(origin.read(&other, 1, Ok(11), 2 * TAKES));
    assert_eq!(value(&first.await.expect("no panic").expect("loads")), Some(10));
    assert!(zombie.peek(&1).is_none(), "its answer was kept nowhere");
    assert_eq!(zombie.stats().refused_fills, 1);
    assert_eq!(value(&second.await.expect("no panic").expect("loads")), Some(11));
    assert_eq!(value(&cached(&zombie, 1).await), Some(11));
}

#[tokio::test(start_paused = true)]
async fn who_waits_goes_on_at_once_when_the_holder_fails() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let (a, b) = (own(&remote), own(&remote));
    let failing = tokio::spawn(origin.read(&a, 1, Err(OriginDown), TAKES));
    yield_all().await;
    let asked = Instant::now();
    let waiting = tokio::spawn(origin.read(&b, 1, Ok(10), TAKES));
    failing.await.expect("no panic").expect_err("its own failure");
    assert_eq!(value(&waiting.await.expect("no panic").expect("loads")), Some(10));
    assert_eq!(asked.elapsed(), 2 * TAKES, "the lease was given back");
    assert_eq!(origin.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_waits_gets_what_is_set_or_loads_after_a_removal() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let (a, b, c) = (own(&remote), own(&remote), own(&remote));
    let loading = tokio::spawn(origin.read(&a, 1, Ok(10), TAKES));
    yield_all().await;
    let waiting = tokio::spawn(origin.read(&b, 1, Ok(11), TAKES));
    sleep(TAKES / 2).await;
    c.set(&1, 99).await;
    assert_eq!(value(&waiting.await.expect("no panic").expect("set")), Some(99));
    loading.await.expect("no panic").expect("loads");
    assert_eq!(value(&cached(&a, 1).await), Some(99));

    let loading = tokio::spawn(origin.read(&a, 2, Ok(20), TAKES));
    yield_all().await;
    let waiting = tokio::spawn(origin.read(&b, 2, Ok(21), TAKES));
    sleep(TAKES / 2).await;
    c.remove(&2).await;
    assert_eq!(value(&waiting.await.expect("no panic").expect("loads")), Some(21));
    loading.await.expect("no panic").expect("loads");
    assert_eq!(value(&cached(&a, 2).await), Some(21));
    assert_eq!(value(&cached(&c, 2).await), Some(21));
}

#[tokio::test(start_paused = true)]
async fn a_removal_here_while_waiting_for_another_node_leaves_nothing_old() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let way = remote.another();
    let build = builder().stale_if_error(Duration::from_secs(600));
    let (a, b) = (own(&remote), node_of(build, &way));
    load(&b, 1, 9).await;
    sleep(Duration::from_secs(301)).await;
    let loading = tokio::spawn(origin.read(&a, 1, Ok(10), TAKES));
    yield_all().await;
    let waiting = tokio::spawn(origin.read(&b, 1, Err(OriginDown), TAKES));
    sleep(TAKES / 2).await;
    b.remove(&1).await;
    // Joins the load that waited, which now finds no L2 and no loader: but not the value from
    // before the removal.
    way.disconnect();
    let after = origin.read(&b, 1, Err(OriginDown), TAKES).await;
    after.expect_err("nothing from before the removal");
    let _ = (loading.await, waiting.await);
}

#[tokio::test(start_paused = true)]
async fn a_loser_serves_stale_instead_of_waiting() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let build = || builder().stale_while_revalidate(Duration::from_secs(60));
    let (a, b) = (node_of(build(), &remote.another()), node_of(build(), &remote.another()));
    load(&a, 1, 10).await;
    sleep(Duration::from_secs(301)).await;
    origin.read(&a, 1, Ok(11), TAKES).await.expect("stale");
    yield_all().await;
    let asked = Instant::now();
    for _ in 0..10 {
        let got = origin.read(&b, 1, Ok(12), TAKES).await.expect("stale");
        assert_eq!((value(&got), got.freshness), (Some(10), Freshness::Stale));
    }
    assert_eq!(asked.elapsed(), Duration::ZERO);
    sleep(2 * TAKES).await;
    let got = cached(&b, 1).await;
    assert_eq!((value(&got), got.freshness), (Some(11), Freshness::Fresh));
    assert_eq!(origin.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_notification_costs_at_most_the_lease() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let deaf = remote.another();
    let (a, b) = (own(&remote), node(&deaf));
    let loading = tokio::spawn(origin.read(&a, 1, Ok(10), TAKES));
    yield_all().await;
    deaf.lose_messages();
    let asked = Instant::now();
    let got = origin.read(&b, 1, Ok(11), TAKES).await.expect("waits");
    assert_eq!((value(&got), got.layer), (Some(10), Layer::L2));
    assert!(asked.elapsed() <= LEASE + Duration::from_millis(2), "{:?}", asked.elapsed());
    loading.await.expect("no panic").expect("loads");
    assert_eq!(origin.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_uncached_answer_gives_the_lease_back() {
    let remote = FakeRemote::default();
    let (a, b) = (own(&remote), own(&remote));
    load(&a, 1, Loaded::new(10).uncached()).await;
    yield_all().await;
    let asked = Instant::now();
    assert_eq!(value(&load(&b, 1, 11).await), Some(11));
    assert_eq!(asked.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_l2_granted_without_saying_so_does_not_stop_its_own_fill() {
    let remote = FakeRemote::default();
    let cache = node(&remote);
    remote.fail(Op::Lease, Fault::LostAnswer);
    let got = load(&cache, 1, 10).await;
    assert!(!got.degraded);
    assert_eq!(value(&cached(&own(&remote), 1).await), Some(10));
}

#[tokio::test(start_paused = true)]
async fn a_load_on_another_node_is_not_waited_for_longer_than_a_load_may_take() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let (a, b) = (own(&remote), node_of(builder().load_timeout(LEASE * 2), &remote.another()));
    let loading = tokio::spawn(origin.read(&a, 1, Ok(10), 4 * LEASE));
    yield_all().await;
    let asked = Instant::now();
    let error = origin.read(&b, 1, Ok(11), TAKES).await.expect_err("too long");
    assert!(matches!(error, LoadError::TimedOut { .. }), "{error:?}");
    assert!(asked.elapsed() <= LEASE * 2 + Duration::from_millis(2), "{:?}", asked.elapsed());
    loading.await.expect("no panic").expect("loads");
}
