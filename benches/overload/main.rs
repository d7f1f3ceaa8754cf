//! What does the overload guard cost, per request that it admits and per one that it turns away,
//! and what is it worth to a service of which half is gone under four times its load?
//!
//! In a simulated service, without a clock and with many more weathers: the tests of the crate
//! (`cargo test -p seawall-limit --lib overload::sim -- --nocapture beside`).
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

mod crowd;
mod goodput;
mod service;

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use bench_harness::{Bench, Role, Subject};
use http::{Request, Response};
use http_body_util::Empty;
use seawall_limit::{
    Criticality, Outcome, Overload, OverloadConfig, OverloadLayer, Permit, Pressure, Priority,
};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tower::{Layer as _, Service, ServiceBuilder, service_fn};

type Body = Empty<bytes::Bytes>;

fn main() -> std::io::Result<()> {
    let mut bench = Bench::new("overload");
    admit(&mut bench);
    admit_on_two_threads(&mut bench);
    reject(&mut bench);
    admit_by_layer(&mut bench);
    reject_by_layer(&mut bench);
    goodput::measure(&mut bench)?;
    bench.finish()
}

fn guard(limit: usize, queue: usize) -> Overload {
    let config = OverloadConfig {
        initial_limit: limit,
        min_limit: limit,
        max_limit: limit,
        max_queue: queue,
        ..OverloadConfig::default()
    };
    Overload::new(&config).unwrap()
}

fn serve(overload: &Overload, priority: Priority) {
    black_box(overload.try_acquire(priority).unwrap()).finish(Outcome::Success);
}

fn floor(slots: &Semaphore) {
    let start = Instant::now();
    let permit = black_box(slots.try_acquire().unwrap());
    drop(permit);
    black_box(start.elapsed());
}

fn admit(bench: &mut Bench) {
    let overload = guard(64, 64);
    let alice = Priority::new(Criticality::Critical).user("alice");
    let slots = Semaphore::new(64);
    let subjects = vec![
        Subject::new("try_acquire, finish", Role::Ours, |times| {
            (0..times).for_each(|_| serve(&overload, Priority::default()));
        }),
        Subject::new("the same with a user", Role::Ours, |times| {
            (0..times).for_each(|_| serve(&overload, alice));
        }),
        Subject::new("tokio semaphore, two clock reads", Role::Floor, |times| {
            (0..times).for_each(|_| floor(&slots));
        }),
    ];
    bench.case("admit and finish, slots are free", subjects);
}

/// Each measured while another thread does the same without a pause.
fn admit_on_two_threads(bench: &mut Bench) {
    let overload = guard(64, 64);
    let slots = Semaphore::new(64);
    let (ours, theirs, done) =
        (AtomicBool::new(false), AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                if ours.load(Ordering::Relaxed) {
                    (0..64).for_each(|_| serve(&overload, Priority::default()));
                } else if theirs.load(Ordering::Relaxed) {
                    (0..64).for_each(|_| floor(&slots));
                } else {
                    std::thread::yield_now();
                }
            }
        });
        let subjects = vec![
            Subject::new("try_acquire, finish", Role::Ours, |times| {
                ours.store(true, Ordering::Relaxed);
                (0..times).for_each(|_| serve(&overload, Priority::default()));
                ours.store(false, Ordering::Relaxed);
            }),
            Subject::new("tokio semaphore, two clock reads", Role::Floor, |times| {
                theirs.store(true, Ordering::Relaxed);
                (0..times).for_each(|_| floor(&slots));
                theirs.store(false, Ordering::Relaxed);
            }),
        ];
        bench.case("admit and finish, beside a second thread", subjects);
        done.store(true, Ordering::Relaxed);
    });
}

/// A guard that sheds all that may be shed, and is told so again whenever it is measured.
fn press(overload: &Overload) {
    overload.set_pressure(Pressure { cpu: Some(1.0), ..Pressure::default() });
    let _ = overload.status();
}

/// A guard without a free slot and without a queue.
fn full() -> (Overload, Permit) {
    let overload = guard(1, 0);
    let permit = overload.try_acquire(Criticality::Critical).unwrap();
    (overload, permit)
}

fn reject(bench: &mut Bench) {
    let pressed = guard(64, 64);
    let (crammed, _permit) = full();
    let subjects = vec![
        Subject::new("for its priority", Role::Ours, |times| {
            press(&pressed);
            for _ in 0..times {
                assert!(black_box(pressed.try_acquire(Criticality::Sheddable)).is_err());
            }
        }),
        Subject::new("for a full queue", Role::Ours, |times| {
            for _ in 0..times {
                drop(black_box(crammed.acquire(Criticality::Critical)));
            }
        }),
    ];
    bench.case("turn away", subjects);
}

async fn hello(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::new()))
}

fn call<S: Service<Request<Body>>>(service: &mut S) -> Option<Result<S::Response, S::Error>> {
    let mut cx = Context::from_waker(Waker::noop());
    if let Poll::Ready(Err(error)) = service.poll_ready(&mut cx) {
        return Some(Err(error));
    }
    let mut call = std::pin::pin!(service.call(Request::new(Body::new())));
    match call.as_mut().poll(&mut cx) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

fn admit_by_layer(bench: &mut Bench) {
    let mut ours = OverloadLayer::new(guard(64, 64)).layer(service_fn(hello));
    let mut tower =
        ServiceBuilder::new().load_shed().concurrency_limit(64).service(service_fn(hello));
    let mut bare = service_fn(hello);
    let subjects = vec![
        Subject::new("OverloadLayer", Role::Ours, move |times| {
            (0..times).for_each(|_| assert!(black_box(call(&mut ours)).unwrap().is_ok()));
        }),
        Subject::new("no layer", Role::Floor, move |times| {
            (0..times).for_each(|_| assert!(black_box(call(&mut bare)).unwrap().is_ok()));
        }),
        Subject::new("tower load shed + concurrency limit", Role::Peer, move |times| {
            (0..times).for_each(|_| assert!(black_box(call(&mut tower)).unwrap().is_ok()));
        }),
    ];
    bench.case("a request and its response, slots are free", subjects);
}

/// Never answers.
#[derive(Clone)]
struct Stuck;

impl Service<Request<Body>> for Stuck {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Pending<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        std::future::pending()
    }
}

/// As an application would have to: the error of load shed is not an answer yet.
fn answer(error: &tower::BoxError) -> Response<Body> {
    black_box(error);
    let mut response = Response::new(Body::new());
    *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
    response
}

fn reject_by_layer(bench: &mut Bench) {
    let overload = guard(64, 64);
    let mut pressed = OverloadLayer::new(overload.clone()).layer(Stuck);
    let (guard, _permit) = full();
    let mut crammed = OverloadLayer::new(guard).layer(Stuck);
    let mut tower = ServiceBuilder::new().load_shed().concurrency_limit(1).service(Stuck);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(tower.poll_ready(&mut cx).is_ready());
    let _taken = tower.call(Request::new(Body::new()));
    let subjects = vec![
        Subject::new("OverloadLayer, for its priority", Role::Ours, move |times| {
            press(&overload);
            (0..times).for_each(|_| assert!(black_box(call(&mut pressed)).is_some()));
        }),
        Subject::new("OverloadLayer, for a full queue", Role::Ours, move |times| {
            (0..times).for_each(|_| assert!(black_box(call(&mut crammed)).is_some()));
        }),
        Subject::new("tower load shed, bare 503", Role::Peer, move |times| {
            for _ in 0..times {
                let error = call(&mut tower).unwrap().unwrap_err();
                black_box(answer(&error));
            }
        }),
    ];
    bench.case("a 503 with problem document, no-store and Retry-After", subjects);
}
