//! Opening a lane, watching that it moves, closing it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use scopeguard::guard;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::dial::Dialer;
use crate::lanes::{ABANDONED, Counted, LEAVING, Lane, OPEN};
use crate::link::Link;
use crate::node::Node;

/// Opens one lane and looks after it to its end.
pub(super) async fn run(counted: Counted) {
    let node = &counted.0;
    let Some(lane) = open(node).await else {
        return;
    };
    let lane = Arc::new(lane);
    if !node.lanes.add(Arc::clone(&lane)) {
        return;
    }
    // A task that is dropped must not leave a lane behind that nobody watches.
    let lane = guard(lane, |lane| {
        lane.state.fetch_max(ABANDONED, Ordering::AcqRel);
        node.lanes.remove(&lane);
        lane.link.abort();
    });
    keep(node, &lane).await;
    let lane = scopeguard::ScopeGuard::into_inner(lane);
    node.lanes.remove(&lane);
    say_goodbye(lane, node.limits.destroy).await;
}

/// Connects; if that fails, waits for a while before it says so.
async fn open(node: &Arc<Node>) -> Option<Lane> {
    let mut dialer = Dialer::clone(&node.dialer);
    dialer.config.options(node.lanes.config.options(dialer.config.get_options()));
    let dialer = Arc::new(dialer);
    let wake = Arc::<Notify>::default();
    let ended = Arc::clone(&wake);
    let turned = Arc::clone(&node.poke);
    let opening = Link::open(&dialer, node.limits.statements, turned, move || ended.notify_one());
    match timeout(node.limits.connect, opening).await {
        Ok(Ok(link)) => return Some(Lane::new(link, wake)),
        Ok(Err(error)) => tracing::debug!(node = %node.name, %error, "no shared connection"),
        Err(_) => tracing::debug!(node = %node.name, "no shared connection in time"),
    }
    node.metrics.failed_connects.increment(1);
    if !node.lanes.is_closed() {
        sleep(node.limits.create_retry).await;
    }
    None
}

/// Returns when the lane is to be closed: it is broken, or nobody is on it and it is
/// old, unused or told to leave; or it is held up.
async fn keep(node: &Node, lane: &Lane) {
    let end = Instant::now() + node.lanes.lifetime;
    loop {
        if lane.link.is_closed() {
            return;
        }
        let state = lane.state.load(Ordering::Acquire);
        if lane.in_flight.load(Ordering::SeqCst) > 0 {
            if is_held_up(node, lane).await {
                abandon(node, lane).await;
                return;
            }
            if state == OPEN && Instant::now() > end {
                node.lanes.retire(lane);
            }
            continue;
        }
        if state != OPEN {
            return;
        }
        lane.asleep.store(true, Ordering::SeqCst);
        let called = lane.wake.notified();
        let idle = if lane.in_flight.load(Ordering::SeqCst) == 0 {
            let until = end.min(Instant::now() + node.lanes.idle);
            timeout_at(until, called).await.is_err()
        } else {
            false
        };
        lane.asleep.store(false, Ordering::SeqCst);
        if idle {
            node.lanes.retire(lane);
        }
    }
}

/// Watches for a while, or until the lane may be closed. What is under way when this begins is still under way at
/// its end if no answer was finished meanwhile: those who leave stay counted.
async fn is_held_up(node: &Node, lane: &Lane) -> bool {
    lane.link.wire.take_ready();
    let hold = node.lanes.config.max_hold;
    let called = async {
        while !lane.link.is_closed() && !lane.is_left() {
            lane.wake.notified().await;
        }
    };
    timeout(hold, called).await.is_err() && !lane.link.wire.take_ready()
}

/// Sends everybody on the lane elsewhere, and stops what is holding it up.
async fn abandon(node: &Node, lane: &Lane) {
    tracing::debug!(node = %node.name, "a shared connection is held up");
    node.lanes.metrics.abandoned.increment(1);
    node.lanes.rest();
    lane.state.store(ABANDONED, Ordering::Release);
    node.lanes.remove(lane);
    lane.link.abort();
    // Nobody waits for anything on it, so the request can hit nothing it should not.
    if !node.is_down() {
        let _ = timeout(node.limits.cancel, lane.link.cancel()).await;
    }
}

/// Closes politely if nobody is on it.
async fn say_goodbye(lane: Arc<Lane>, limit: Duration) {
    let mut lane = lane;
    for _ in 0..GOODBYES {
        match Arc::try_unwrap(lane) {
            Ok(lane) => return lane.link.close(limit).await,
            // Someone is about to let go of it.
            Err(shared) => lane = shared,
        }
        tokio::task::yield_now().await;
    }
    debug_assert!(lane.state.load(Ordering::Acquire) >= LEAVING || lane.link.is_closed());
}

const GOODBYES: usize = 16;
