//! What does one pick cost, its end included: by policy, and by the size of the set?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::future::{Ready, ready};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bench_harness::{Bench, Role, Subject};
use seawall_balance::{BalanceConfig, Balancer, Outcome, PickOptions, Policy};
use tokio::time::Instant;
use tower::Service;
use tower::balance::p2c::Balance;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, PeakEwmaDiscover};

fn main() -> std::io::Result<()> {
    let mut bench = Bench::new("balance_pick");
    for nodes in [3, 10, 1_000] {
        one_thread(&mut bench, nodes);
    }
    two_threads(&mut bench);
    bench.finish()
}

fn balancer(policy: Policy, nodes: usize) -> Balancer<usize> {
    let balancer = Balancer::new(BalanceConfig::new("bench", policy), Instant::now()).unwrap();
    balancer.update(0..nodes, Instant::now()).unwrap();
    balancer
}

/// As a caller does it: the clock is read before and after.
fn serve(balancer: &Balancer<usize>, key: u64) {
    let options = PickOptions::new().key_hash(key);
    let pick = balancer.pick(&options, Instant::now()).unwrap();
    black_box(pick.id());
    pick.finish(Outcome::Success, Instant::now());
}

fn one_thread(bench: &mut Bench, nodes: usize) {
    // The default first, which the ratios are to.
    let mut policies = Policy::ALL.to_vec();
    policies.sort_by_key(|policy| *policy != Policy::PeakEwma);
    let balancers: Vec<_> =
        policies.iter().map(|policy| (policy.as_str(), balancer(*policy, nodes))).collect();
    let mut subjects: Vec<Subject<'_>> = balancers
        .iter()
        .map(|(name, balancer)| {
            Subject::new(name, Role::Ours, |times| {
                for turn in 0..times {
                    serve(balancer, turn);
                }
            })
        })
        .collect();
    let turn = AtomicUsize::new(0);
    subjects.push(Subject::new("atomic round robin, two clock reads", Role::Floor, |times| {
        for _ in 0..times {
            black_box(Instant::now());
            black_box(turn.fetch_add(1, Ordering::Relaxed) % nodes);
            black_box(Instant::now());
        }
    }));
    let mut tower = peer(nodes);
    subjects.push(Subject::new("tower p2c + PeakEwma", Role::Peer, move |times| {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..times {
            while tower.poll_ready(&mut cx).is_pending() {}
            let mut call = std::pin::pin!(tower.call(()));
            assert!(black_box(call.as_mut().poll(&mut cx)).is_ready());
        }
    }));
    bench.case(&format!("pick and finish, {nodes} nodes, 1 thread"), subjects);
}

/// Each measured while another thread does the same without a pause.
fn two_threads(bench: &mut Bench) {
    let balancers: Vec<_> = [Policy::PeakEwma, Policy::RoundRobin, Policy::SmoothWeighted]
        .map(|policy| (policy.as_str(), balancer(policy, 10)))
        .into();
    let turn = AtomicUsize::new(0);
    let floor = || {
        black_box(Instant::now());
        black_box(turn.fetch_add(1, Ordering::Relaxed) % 10);
        black_box(Instant::now());
    };
    // Which subject the other thread is at; past the last it waits.
    let (at, done) = (AtomicUsize::new(IDLE), AtomicBool::new(false));
    let (at, done, floor) = (&at, &done, &floor);
    std::thread::scope(|scope| {
        let others = &balancers;
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                match at.load(Ordering::Relaxed) {
                    IDLE => std::thread::yield_now(),
                    index => match others.get(index) {
                        Some((_, balancer)) => (0..64).for_each(|key| serve(balancer, key)),
                        None => (0..64).for_each(|_| floor()),
                    },
                }
            }
        });
        let mut subjects: Vec<Subject<'_>> = balancers
            .iter()
            .enumerate()
            .map(|(index, (name, balancer))| {
                Subject::new(name, Role::Ours, move |times| {
                    at.store(index, Ordering::Relaxed);
                    (0..times).for_each(|key| serve(balancer, key));
                    at.store(IDLE, Ordering::Relaxed);
                })
            })
            .collect();
        subjects.push(Subject::new("atomic round robin, two clock reads", Role::Floor, |times| {
            at.store(balancers.len(), Ordering::Relaxed);
            (0..times).for_each(|_| floor());
            at.store(IDLE, Ordering::Relaxed);
        }));
        bench.case("pick and finish, 10 nodes, beside a second thread", subjects);
        done.store(true, Ordering::Relaxed);
    });
}

const IDLE: usize = usize::MAX;

struct Node;

impl Service<()> for Node {
    type Response = ();
    type Error = tower::BoxError;
    type Future = Ready<Result<(), Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(()))
    }
}

/// It is a service, so its cost includes readiness and the call of one.
fn peer(nodes: usize) -> Balance<PeakEwmaDiscover<ServiceList<Vec<Node>>>, ()> {
    let list: Vec<Node> = (0..nodes).map(|_| Node).collect();
    let (rtt, decay) = (Duration::from_millis(30), Duration::from_secs(10));
    let done = CompleteOnResponse::default();
    Balance::new(PeakEwmaDiscover::new::<()>(ServiceList::new::<()>(list), rtt, decay, done))
}
