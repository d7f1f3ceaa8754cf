//! Active probes: when they are due, and the task that runs them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use seawall_balance::{BalanceConfig, PickOptions, Policy, Prober, Standing};
use tokio::time::{Instant, sleep};

use crate::support::{SECOND, balancer, config, spread};

fn eager() -> BalanceConfig {
    let mut config = config(Policy::RoundRobin);
    config.probe.required = true;
    config
}

#[test]
fn a_node_has_one_probe_at_a_time() {
    let now = Instant::now();
    let balancer = balancer(eager(), 3, now);
    let probes: Vec<_> = std::iter::from_fn(|| balancer.due(now)).collect();
    assert_eq!(probes.len(), 3);
    let later = now + 60 * SECOND;
    assert!(balancer.due(later).is_none() && balancer.next_due().is_none());
    drop(probes);
    assert!(balancer.due(later).is_some());
}

#[test]
fn probes_close_and_open_a_node_and_opening_is_slow() {
    let now = Instant::now();
    let mut config = config(Policy::RoundRobin);
    config.probe.jitter = 0.0;
    let balancer = balancer(config, 4, now);
    let mut at = now + 5 * SECOND;
    let mut round = |good: bool| {
        while let Some(probe) = balancer.due(at) {
            let good = good || *probe.id() != 2;
            probe.finish(good, at);
        }
        at += 5 * SECOND;
        at
    };
    round(false);
    round(false);
    let at = round(false);
    assert_eq!(balancer.status(at).nodes[2].standing, Standing::Unhealthy);
    assert_eq!(spread(&balancer, 4, 90, at)[2], 0);
    round(true);
    let at = round(true) - 5 * SECOND;
    let node = &balancer.status(at).nodes[2];
    assert_eq!((node.standing, node.ramp), (Standing::Open, 0.1));
}

#[test]
fn a_good_probe_does_not_end_an_ejection() {
    // A node may answer pings and fail requests.
    let now = Instant::now();
    let balancer = balancer(config(Policy::RoundRobin), 4, now);
    crate::support::fail(&balancer, 1, 5, now);
    let at = now + 6 * SECOND;
    while let Some(probe) = balancer.due(at) {
        probe.finish(true, at);
    }
    assert_eq!(balancer.status(at).nodes[1].standing, Standing::Ejected);
}

#[test]
fn a_probe_of_a_node_that_is_gone_means_nothing() {
    let now = Instant::now();
    let balancer = balancer(eager(), 1, now);
    let probe = balancer.due(now).unwrap();
    balancer.update([5], now).unwrap();
    probe.finish(true, now);
    assert_eq!(balancer.status(now).nodes[0].standing, Standing::Unhealthy);
}

/// Waits, in paused time, until `what` holds.
async fn until(what: impl Fn() -> bool) {
    let deadline = Instant::now() + 600 * SECOND;
    while !what() {
        assert!(Instant::now() < deadline, "it never happens");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_prober_keeps_one_probe_a_node_and_gives_up_a_hung_one() {
    let balancer = balancer(eager(), 2, Instant::now());
    let (running, most, begun) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
    );
    let probe = {
        let (running, most, begun) = (running.clone(), most.clone(), begun.clone());
        move |id: usize| {
            let (running, most, begun) = (running.clone(), most.clone(), begun.clone());
            async move {
                if id == 1 {
                    return true;
                }
                begun.fetch_add(1, Ordering::Relaxed);
                most.fetch_max(running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                let _left = scopeguard(&running);
                std::future::pending().await
            }
        }
    };
    let prober = Prober::spawn(balancer.clone(), probe);
    sleep(21 * SECOND).await;
    let now = Instant::now();
    let status = balancer.status(now);
    assert_eq!(status.nodes[0].standing, Standing::Unhealthy);
    assert_eq!(status.nodes[1].standing, Standing::Open);
    assert_eq!(most.load(Ordering::Relaxed), 1);
    // Each takes its second of patience and then an interval of about a second.
    let begun = begun.load(Ordering::Relaxed);
    assert!((9..=12).contains(&begun), "{begun}");
    prober.shutdown().await;
    assert_eq!(running.load(Ordering::Relaxed), 0);
}

/// Counts down when dropped.
fn scopeguard(count: &Arc<AtomicUsize>) -> impl Drop + use<> {
    struct Left(Arc<AtomicUsize>);
    impl Drop for Left {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    Left(Arc::clone(count))
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_has_failed_and_probing_goes_on() {
    let balancer = balancer(eager(), 1, Instant::now());
    let well = Arc::new(AtomicBool::new(false));
    let asked = well.clone();
    let _prober = Prober::spawn(balancer.clone(), move |_| {
        // Once in making the future, once in it.
        let well = asked.load(Ordering::Relaxed);
        async move {
            assert!(well, "the probe panics, as this test wants it");
            true
        }
    });
    sleep(5 * SECOND).await;
    assert_eq!(balancer.status(Instant::now()).nodes[0].standing, Standing::Unhealthy);
    well.store(true, Ordering::Relaxed);
    until(|| balancer.status(Instant::now()).nodes[0].standing == Standing::Open).await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_prober_probes_no_more_and_new_nodes_are_seen_at_once() {
    let balancer = balancer(eager(), 1, Instant::now());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let prober = Prober::spawn(balancer.clone(), move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { true }
    });
    until(|| balancer.status(Instant::now()).nodes[0].standing == Standing::Open).await;
    let before = Instant::now();
    balancer.insert(1, before).unwrap();
    until(|| balancer.status(Instant::now()).nodes[1].standing == Standing::Open).await;
    assert!(before.elapsed() < SECOND);
    drop(prober);
    // Let the abort be seen.
    sleep(Duration::from_millis(1)).await;
    let probes = count.load(Ordering::Relaxed);
    sleep(60 * SECOND).await;
    assert_eq!(count.load(Ordering::Relaxed), probes);
}

#[tokio::test(start_paused = true)]
async fn a_prober_ends_ejections_that_no_pick_would() {
    let balancer = balancer(config(Policy::RoundRobin), 2, Instant::now());
    let _prober = Prober::spawn(balancer.clone(), |_| async { true });
    crate::support::fail(&balancer, 0, 5, Instant::now());
    sleep(40 * SECOND).await;
    // Its own clock is not asked: status at a time before the end would not tick.
    assert_eq!(balancer.status(Instant::now() - 30 * SECOND).nodes[0].standing, Standing::Open);
}

#[test]
fn a_node_that_comes_back_while_it_is_probed_is_not_probed_a_second_time() {
    let now = Instant::now();
    let later = now + 60 * SECOND;
    for busy in [false, true] {
        let balancer = balancer(eager(), 2, now);
        balancer.set_healthy(&0, true, now).unwrap();
        let work = busy.then(|| balancer.pick(&PickOptions::new(), now).unwrap());
        let all: Vec<_> = std::iter::from_fn(|| balancer.due(now)).collect();
        assert_eq!(all.len(), 2);
        for at in [now, now + SECOND] {
            balancer.remove(&0, at);
            balancer.insert(0, at).unwrap();
        }
        assert!(balancer.due(later).is_none(), "busy: {busy}");
        // What it finds is about a node that was removed.
        all.into_iter().for_each(|probe| probe.finish(true, later));
        let standing =
            |id| balancer.status(later).nodes.iter().find(|node| node.id == id).unwrap().standing;
        assert_eq!(standing(0), Standing::Unhealthy, "busy: {busy}");
        assert_eq!(balancer.due(later).map(|probe| *probe.id()), Some(0), "then it has its own");
        drop(work);
    }
}
