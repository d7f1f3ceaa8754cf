use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::{Instant, advance, sleep};

use super::*;
use crate::actuate::{Reconciler, ReconcilerConfig, Standing};

fn idle() -> WorkerPool {
    WorkerPool::new(|worker| async move { worker.stopping().await })
}

async fn scale(pool: &WorkerPool, target: u32) -> Outcome {
    pool.apply(target, "test").await.unwrap()
}

/// Lets what is ready run.
async fn settle() {
    for _ in 0..16 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn it_grows_and_shrinks_to_the_size_asked_for_and_says_from_where() {
    let pool = idle();
    assert_eq!(scale(&pool, 3).await, Outcome::Accepted { from: 0 });
    assert_eq!(scale(&pool, 3).await, Outcome::Unchanged);
    assert_eq!(pool.running(), 3);
    assert_eq!(scale(&pool, 1).await, Outcome::Accepted { from: 3 });
    assert_eq!(pool.running(), 1);
    settle().await;
    assert_eq!(pool.stopping(), 0);
    assert_eq!(scale(&pool, 0).await, Outcome::Accepted { from: 1 });
}

#[tokio::test(start_paused = true)]
async fn a_worker_ends_its_job_before_it_stops() {
    let done = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&done);
    let pool = WorkerPool::new(move |worker| {
        let done = Arc::clone(&counter);
        async move {
            while !worker.is_stopping() {
                sleep(Duration::from_secs(10)).await;
                done.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    scale(&pool, 2).await;
    settle().await;
    let began = Instant::now();
    scale(&pool, 0).await;
    settle().await;
    assert_eq!((pool.running(), pool.stopping()), (0, 2));
    pool.shutdown().await;
    assert_eq!((done.load(Ordering::SeqCst), pool.stopping()), (2, 0));
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_listen_is_aborted_after_the_grace() {
    let pool = WorkerPool::with_grace(|_| std::future::pending(), Duration::from_secs(7));
    scale(&pool, 3).await;
    settle().await;
    let began = Instant::now();
    pool.shutdown().await;
    assert_eq!(began.elapsed().as_secs(), 7);
    let refused = pool.apply(2, "late").await.unwrap_err();
    assert!(matches!(refused, ActuateError::ShutDown { .. }) && !refused.is_retryable());
}

#[tokio::test(start_paused = true)]
async fn the_newest_stop_first_and_the_oldest_keep_what_they_have_warm() {
    let (tell, mut stopped) = tokio::sync::mpsc::unbounded_channel();
    let pool = WorkerPool::new(move |worker| {
        let tell = tell.clone();
        async move {
            worker.stopping().await;
            tell.send(worker.id()).unwrap();
        }
    });
    scale(&pool, 4).await;
    scale(&pool, 2).await;
    let mut gone = [stopped.recv().await.unwrap(), stopped.recv().await.unwrap()];
    gone.sort_unstable();
    assert_eq!(gone, [2, 3]);
    settle().await;
    assert!(stopped.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn workers_that_die_at_their_start_are_started_again_with_growing_pauses() {
    let starts = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&starts);
    let pool = WorkerPool::new(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        async {}
    });
    let mut it = Reconciler::new("jobs", pool, ReconcilerConfig::default()).unwrap();
    it.want(2, "queue");
    assert_eq!(it.step().await.standing, Standing::Following);
    for second in 1..600 {
        settle().await;
        advance(Duration::from_secs(1)).await;
        // Also right after a new start: nothing says yet that it helps.
        assert_eq!(it.step().await.standing, Standing::Short, "after {second} s");
    }
    let starts = starts.load(Ordering::SeqCst);
    assert!((20..=54).contains(&starts), "{starts} starts in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_panics_is_replaced_and_the_others_go_on() {
    let pool = WorkerPool::new(|worker| async move {
        if worker.id() == 1 {
            std::panic::resume_unwind(Box::new("a bug"));
        }
        worker.stopping().await;
    });
    let mut it = Reconciler::new("jobs", pool.clone(), ReconcilerConfig::default()).unwrap();
    it.want(3, "queue");
    it.step().await;
    settle().await;
    assert_eq!(pool.running(), 2);
    advance(Duration::from_secs(2)).await;
    it.step().await;
    settle().await;
    assert_eq!(pool.running(), 3);
    assert_eq!(it.step().await.standing, Standing::Settled);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_leaves_no_task_behind() {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let pool = WorkerPool::new(move |_| {
        let held = Arc::clone(&held);
        async move {
            let _held = held;
            std::future::pending::<()>().await;
        }
    });
    scale(&pool, 3).await;
    scale(&pool, 1).await;
    settle().await;
    assert!(Arc::strong_count(&alive) > 2);
    drop(pool);
    settle().await;
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_panics_before_its_first_await_takes_only_itself_along() {
    let pool = WorkerPool::new(|worker| {
        assert!(worker.id() != 0, "the first one has no luck");
        async move { worker.stopping().await }
    });
    assert_eq!(scale(&pool, 2).await, Outcome::Accepted { from: 0 });
    settle().await;
    assert_eq!(pool.running(), 1);
    scale(&pool, 2).await;
    settle().await;
    assert_eq!(pool.running(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_worker_may_ask_its_pool_before_its_first_await() {
    let seen = Arc::new(AtomicUsize::new(0));
    let known: Arc<std::sync::OnceLock<WorkerPool>> = Arc::default();
    let (asked, told) = (Arc::clone(&known), Arc::clone(&seen));
    let pool = WorkerPool::new(move |worker| {
        let running = asked.get().map_or(0, WorkerPool::running);
        told.store(running as usize, Ordering::SeqCst);
        async move { worker.stopping().await }
    });
    known.get_or_init(|| pool.clone());
    scale(&pool, 3).await;
    settle().await;
    assert_eq!(seen.load(Ordering::SeqCst), 3);
    pool.shutdown().await;
}
