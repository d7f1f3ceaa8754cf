use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tower_layer::Layer as _;
use tower_service::Service;

use super::*;
use crate::{Cache, Loaded};

#[derive(Debug, Clone, thiserror::Error)]
#[error("broken")]
struct Broken;

/// Doubles, counts, and can be full or broken.
#[derive(Clone, Default)]
struct Doubler {
    calls: Arc<AtomicUsize>,
    room: Option<Arc<Semaphore>>,
    broken: bool,
    addend: Arc<AtomicU64>,
}

impl Service<u64> for Doubler {
    type Response = u64;
    type Error = Broken;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<u64, Broken>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        match &self.room {
            Some(room) if room.available_permits() == 0 => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, number: u64) -> Self::Future {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let answer = 2 * number + self.addend.load(Ordering::Relaxed);
        let broken = self.broken;
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if broken { Err(Broken) } else { Ok(answer) }
        })
    }
}

fn layer() -> CacheLayer<u64, u64, fn(&u64) -> Option<u64>> {
    let cache = Cache::local("doubled").build().expect("in bounds");
    CacheLayer::new(cache, |number| (*number < 100).then_some(*number))
}

#[tokio::test(start_paused = true)]
async fn many_requests_of_one_key_are_one_call() {
    let doubler = Doubler::default();
    let service = layer().layer(doubler.clone());
    let answers = join_all((0..100).map(|_| service.clone().call(7))).await;
    assert!(answers.into_iter().all(|answer| answer.is_ok_and(|doubled| doubled == 14)));
    assert_eq!(doubler.calls.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_key_passes_each_time() {
    let doubler = Doubler::default();
    let mut service = layer().layer(doubler.clone());
    for _ in 0..3 {
        assert_eq!(service.call(100).await.expect("passes"), 200);
    }
    assert_eq!(doubler.calls.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn a_hit_does_not_wait_for_a_service_that_is_full() {
    let room = Arc::new(Semaphore::new(1));
    let doubler = Doubler { room: Some(Arc::clone(&room)), ..Doubler::default() };
    let mut service = layer().layer(doubler);
    service.call(7).await.expect("there is room");
    let _full = room.acquire().await.expect("open");
    std::future::poll_fn(|cx| service.poll_ready(cx)).await.expect("ready");
    assert_eq!(service.call(7).await.expect("a hit"), 14);
    let miss = tokio::time::timeout(Duration::from_secs(1), service.call(8)).await;
    miss.expect_err("a miss waits for room");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_to_be_kept_is_asked_for_each_time() {
    let doubler = Doubler::default();
    let mut service = layer().keep(|doubled| Loaded::new(doubled).uncached()).layer(doubler.clone());
    for _ in 0..3 {
        assert_eq!(service.call(7).await.expect("answers"), 14);
    }
    assert_eq!(doubler.calls.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn the_error_of_the_service_reaches_all_who_wait_and_is_not_kept() {
    let doubler = Doubler { broken: true, ..Doubler::default() };
    let service = layer().layer(doubler.clone());
    let answers = join_all((0..10).map(|_| service.clone().call(7))).await;
    for answer in answers {
        match answer {
            Err(CachedError::Load(error)) => assert!(error.loader_error().is_some()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(doubler.calls.load(Ordering::Relaxed), 1);
    service.clone().call(7).await.expect_err("still broken");
    assert_eq!(doubler.calls.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_response_does_not_stop_the_load() {
    let doubler = Doubler::default();
    let mut service = layer().layer(doubler.clone());
    let first = tokio::time::timeout(Duration::from_millis(5), service.call(7)).await;
    first.expect_err("left early");
    assert_eq!(service.call(7).await.expect("answers"), 14);
    assert_eq!(doubler.calls.load(Ordering::Relaxed), 1);
}
