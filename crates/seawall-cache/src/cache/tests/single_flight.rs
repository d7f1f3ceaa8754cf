//! One load, whatever happens to those who wait for it.

use super::*;

const TAKES: Duration = Duration::from_millis(200);

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_of_a_cold_key_run_one_load() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let cache = node(&remote);
    let callers: Vec<_> =
        (0..1_000).map(|_| tokio::spawn(origin.read(&cache, 1, Ok(10), TAKES))).collect();
    for caller in callers {
        let got = caller.await.expect("no panic").expect("loads");
        assert_eq!(value(&got), Some(10));
    }
    assert_eq!(origin.loads(), 1);
    let [reads, fills, ..] = remote.calls.all();
    assert_eq!((reads, fills), (1, 1), "L2 was asked and filled once");
    assert_eq!(cache.stats().loads, 1);
    assert_eq!(cache.inner.local.leased(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_on_many_threads_run_one_load() {
    let cache: Numbers = builder().build().expect("valid");
    for key in 0..200 {
        let origin = Origin::default();
        let callers: Vec<_> = (0..16)
            .map(|_| tokio::spawn(origin.read(&cache, key, Ok(key), Duration::ZERO)))
            .collect();
        for caller in callers {
            assert_eq!(value(&caller.await.expect("no panic").expect("loads")), Some(key));
        }
        assert_eq!(origin.loads(), 1, "key {key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_calls_after_a_failure_does_not_get_that_failure() {
    let cache: Numbers = builder().build().expect("valid");
    for key in 0..500 {
        let origin = Origin::default();
        for loads in 1..=3 {
            let failed = origin.read(&cache, key, Err(OriginDown), Duration::ZERO).await;
            failed.expect_err("the origin is down");
            assert_eq!(origin.loads(), loads, "key {key}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_leader_does_not_restart_the_load() {
    let origin = Origin::default();
    let cache: Numbers = builder().build().expect("valid");
    let leader = tokio::spawn(origin.read(&cache, 1, Ok(10), TAKES));
    yield_all().await;
    let waiters: Vec<_> =
        (0..50).map(|_| tokio::spawn(origin.read(&cache, 1, Ok(11), TAKES))).collect();
    sleep(TAKES / 2).await;
    leader.abort();
    for waiter in waiters {
        assert_eq!(value(&waiter.await.expect("no panic").expect("loads")), Some(10));
    }
    assert_eq!(origin.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_load_whose_callers_all_left_still_fills_the_cache() {
    let (remote, origin) = (FakeRemote::default(), Origin::default());
    let cache = node(&remote);
    let callers: Vec<_> =
        (0..5).map(|_| tokio::spawn(origin.read(&cache, 1, Ok(10), TAKES))).collect();
    sleep(TAKES / 2).await;
    for caller in &callers {
        caller.abort();
    }
    cache.shutdown().await;
    assert_eq!(cache.inner.local.leased(), 0);
    assert_eq!(value(&cached(&cache, 1).await), Some(10));
    assert_eq!(origin.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failing_loader_runs_once_for_all_and_is_not_cached() {
    let origin = Origin::default();
    let cache: Numbers = builder().build().expect("valid");
    let callers: Vec<_> =
        (0..50).map(|_| tokio::spawn(origin.read(&cache, 1, Err(OriginDown), TAKES))).collect();
    for caller in callers {
        let error = caller.await.expect("no panic").expect_err("the origin is down");
        assert_eq!(error.loader_error(), Some(&OriginDown));
    }
    assert_eq!(origin.loads(), 1);
    let again = origin.read(&cache, 1, Ok(10), Duration::ZERO).await.expect("loads");
    assert_eq!((value(&again), origin.loads()), (Some(10), 2));
    assert_eq!(cache.stats().load_errors, 1);
}

#[tokio::test(start_paused = true)]
async fn a_panicking_loader_is_an_error_for_all_and_the_next_call_loads() {
    let cache: Numbers = builder().build().expect("valid");
    let panicking = || {
        let cache = cache.clone();
        tokio::spawn(async move {
            let loader = |_| async {
                sleep(TAKES).await;
                assert!(std::hint::black_box(false), "the loader's own bug");
                Ok::<_, OriginDown>(0)
            };
            cache.get_or_load(&1, loader).await
        })
    };
    let callers: Vec<_> = (0..20).map(|_| panicking()).collect();
    for caller in callers {
        let error = caller.await.expect("the panic stays inside").expect_err("no value");
        assert!(matches!(error, LoadError::Panicked), "{error:?}");
    }
    assert_eq!(cache.inner.local.leased(), 0);
    assert_eq!(value(&load(&cache, 1, 10).await), Some(10));
}

#[tokio::test]
async fn a_loader_that_panics_before_its_first_await_is_caught_too() {
    let cache: Numbers = builder().build().expect("valid");
    let loader =
        |_: Load<u64>| -> std::future::Ready<Result<u64, OriginDown>> { panic!("at once") };
    let error = cache.get_or_load(&1, loader).await.expect_err("no value");
    assert!(matches!(error, LoadError::Panicked), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_loader_past_its_timeout_is_dropped_and_said_so() {
    let origin = Origin::default();
    let limit = Duration::from_secs(2);
    let cache: Numbers = builder().load_timeout(limit).build().expect("valid");
    let hours = Duration::from_secs(3600);
    let error = origin.read(&cache, 1, Ok(10), hours).await.expect_err("too slow");
    assert!(matches!(error, LoadError::TimedOut { after } if after == limit), "{error:?}");
    sleep(hours * 2).await;
    assert!(cache.get(&1).await.expect("no remote").is_none());
    assert_eq!(cache.inner.local.leased(), 0);
}

#[derive(Debug, thiserror::Error)]
#[error("another type")]
struct OtherError;

#[tokio::test(start_paused = true)]
async fn callers_with_different_error_types_share_one_load() {
    let origin = Origin::default();
    let cache: Numbers = builder().build().expect("valid");
    let first = tokio::spawn(origin.read(&cache, 1, Err(OriginDown), TAKES));
    yield_all().await;
    let other = cache.get_or_load(&1, |_| async { Err::<u64, _>(OtherError) }).await;
    assert!(
        matches!(other, Err(LoadError::Joined(error)) if error.to_string() == "the origin said no")
    );
    assert!(matches!(first.await.expect("no panic"), Err(LoadError::Failed(_))));
    assert_eq!(origin.loads(), 1);
}

#[tokio::test]
async fn waiters_do_not_hang_when_the_runtime_that_loads_shuts_down() {
    let cache: Numbers = builder().build().expect("valid");
    let other = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .expect("a runtime");
    let (started, loading) = tokio::sync::oneshot::channel();
    let loader = move |_: Load<u64>| async move {
        let _ = started.send(());
        std::future::pending::<Result<u64, OriginDown>>().await
    };
    let leading = cache.clone();
    other.spawn(async move { leading.get_or_load(&1, loader).await });
    loading.await.expect("the load has begun");
    let waiting = cache.clone();
    let waiter =
        tokio::spawn(
            async move { waiting.get_or_load(&1, |_| async { Ok::<_, OriginDown>(1) }).await },
        );
    yield_all().await;
    other.shutdown_background();
    assert!(matches!(waiter.await.expect("no panic"), Err(LoadError::Aborted)));
}
