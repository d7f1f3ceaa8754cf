//! Removals and writes beat the loads they overtake, here and on other nodes.

use super::*;
use crate::remote::fake::{Fault, Op};
use crate::{L2Write, Layer};

const TAKES: Duration = Duration::from_millis(50);

#[tokio::test(start_paused = true)]
async fn a_removal_during_a_load_keeps_the_old_value_out() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let cache = node(&remote);
    let old = tokio::spawn(origin.read(&cache, 1, Ok(10), TAKES));
    sleep(TAKES / 2).await;
    assert!(!cache.remove(&1).await.is_partial());
    // The origin has changed. Who comes now does not join the load from before.
    let new = origin.read(&cache, 1, Ok(11), TAKES).await.expect("loads");
    assert_eq!(value(&new), Some(11));
    assert_eq!(value(&old.await.expect("no panic").expect("loads")), Some(10), "it came before");
    assert_eq!(origin.loads(), 2);
    assert_eq!(value(&cached(&cache, 1).await), Some(11));
    assert_eq!(value(&cached(&node(&remote), 1).await), Some(11), "L2 has the new one too");
    assert_eq!(cache.stats().refused_fills, 1);
}

#[tokio::test(start_paused = true)]
async fn a_removal_during_a_load_holds_without_l2_too() {
    let origin = Origin::default();
    let cache: Numbers = builder().build().expect("valid");
    let old = tokio::spawn(origin.read(&cache, 1, Ok(10), TAKES));
    sleep(TAKES / 2).await;
    assert_eq!(cache.remove(&1).await.l2, L2Write::NotConfigured);
    old.await.expect("no panic").expect("loads");
    assert!(cache.get(&1).await.expect("no remote").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_removal_on_another_node_refuses_the_fill() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let (a, b) = (node(&remote), node(&remote));
    let old = tokio::spawn(origin.read(&a, 1, Ok(10), TAKES));
    sleep(TAKES / 2).await;
    assert_eq!(b.remove(&1).await.l2, L2Write::Done);
    assert_eq!(value(&old.await.expect("no panic").expect("loads")), Some(10));
    assert!(a.get(&1).await.expect("in reach").is_none(), "neither L1 of a nor L2 has it");
    assert!(b.get(&1).await.expect("in reach").is_none());
    assert_eq!(value(&load(&b, 1, 11).await), Some(11));
    assert_eq!(value(&cached(&a, 1).await), Some(11));
}

#[tokio::test(start_paused = true)]
async fn a_set_during_a_load_survives_it() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let (a, b) = (node(&remote), node(&remote));
    let here = tokio::spawn(origin.read(&a, 1, Ok(10), TAKES));
    let there = tokio::spawn(origin.read(&b, 1, Ok(10), TAKES));
    sleep(TAKES / 2).await;
    let written = a.set(&1, 99).await;
    assert!(written.l1 && written.l2 == L2Write::Done);
    assert_eq!(value(&cached(&a, 1).await), Some(99), "and nobody joins the load from before");
    let _ = (here.await, there.await);
    assert_eq!(value(&cached(&a, 1).await), Some(99));
    assert_eq!(value(&cached(&b, 1).await), Some(99));
}

#[tokio::test(start_paused = true)]
async fn a_removal_while_l2_answers_leaves_l1_empty() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote), node(&remote));
    b.set(&1, 10).await;
    remote.slow_answer(Duration::from_millis(50));
    let reading = a.clone();
    let reader = tokio::spawn(async move { reading.get(&1).await });
    sleep(Duration::from_millis(10)).await;
    a.remove(&1).await;
    reader.await.expect("no panic").expect("in reach");
    remote.heal();
    assert!(a.get(&1).await.expect("in reach").is_none());
    assert_eq!(a.stats().refused_fills, 1);
}

#[tokio::test(start_paused = true)]
async fn a_read_while_the_removal_is_under_way_does_not_bring_it_back() {
    let remote = FakeRemote::default();
    let a = node(&remote);
    a.set(&1, 10).await;
    // The removal reaches L2 after 40 ms; the read finds the old entry there after 10 ms.
    let ms = Duration::from_millis;
    remote.delays(vec![(ms(10), ms(0)), (ms(40), ms(10))]);
    let removing = a.clone();
    let removal = tokio::spawn(async move { removing.remove(&1).await });
    yield_all().await;
    assert_eq!(value(&cached(&a, 1).await), Some(10), "the removal has not returned");
    assert!(!removal.await.expect("no panic").is_partial());
    remote.heal();
    assert!(a.get(&1).await.expect("in reach").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_set_right_after_a_removal_is_not_mistaken_for_an_old_one() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote), node(&remote));
    // Paused time: all of these happen in the same microsecond.
    for round in 0..100 {
        a.remove(&1).await;
        assert!(b.get(&2).await.expect("in reach").is_none());
        b.set(&1, round).await;
        assert_eq!(value(&cached(&a, 1).await), Some(round));
    }
}

#[tokio::test(start_paused = true)]
async fn a_set_that_l2_ordered_first_does_not_end_up_in_l1() {
    let remote = FakeRemote::default();
    let a = node(&remote);
    // The first set takes effect first, and hears of it last.
    let ms = Duration::from_millis;
    remote.fail(Op::Put, Fault::Delays(vec![(ms(20), ms(0)), (ms(0), ms(50))], 0));
    let setting = a.clone();
    let first = tokio::spawn(async move { setting.set(&1, 1).await });
    yield_all().await;
    let second = a.set(&1, 2).await;
    assert!(second.l1);
    assert!(!first.await.expect("no panic").l1);
    assert_eq!(value(&cached(&a, 1).await), Some(2));
    remote.heal();
    assert_eq!(value(&cached(&node(&remote), 1).await), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_removal_whose_caller_left_is_still_made() {
    let remote = FakeRemote::default();
    let a = node(&remote);
    a.set(&1, 10).await;
    remote.delays(vec![(TAKES, TAKES)]);
    let dropped = tokio::time::timeout(TAKES / 2, a.remove(&1)).await;
    dropped.expect_err("dropped half-way");
    a.shutdown().await;
    remote.heal();
    assert!(a.get(&1).await.expect("in reach").is_none());
    assert!(node(&remote).get(&1).await.expect("in reach").is_none());
}

#[tokio::test(start_paused = true)]
async fn fills_tell_other_nodes_nothing() {
    let remote = FakeRemote::default();
    let (a, b) = (node(&remote), node(&remote));
    b.set(&1, 10).await;
    for key in 2..100 {
        load(&a, key, key).await;
    }
    assert_eq!(cached(&b, 1).await.layer, Layer::L1, "its L1 is as it was");
    let [_, fills, puts, removes] = remote.calls.all();
    assert_eq!((fills, puts, removes), (98, 1, 0));
}
