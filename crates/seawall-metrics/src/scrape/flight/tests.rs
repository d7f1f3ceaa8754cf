use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};
use std::task::Poll;

use futures_util::future::join_all;

use super::*;
use crate::Recorder;

const TEXT: Wanted = Wanted { format: Format::Text, gzip: false };

fn handle() -> (Recorder, Handle) {
    Recorder::builder().build().unwrap()
}

/// Runs `test` where no render begins before the sender is dropped.
fn with_renders_held<F: Future<Output = ()>>(test: impl FnOnce(Sender<()>) -> F) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(1).build().unwrap();
    let (hold, held) = channel::<()>();
    runtime.block_on(async {
        // Takes the only thread that renders.
        tokio::task::spawn_blocking(move || held.recv());
        test(hold).await;
    });
}

async fn poll_once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

#[test]
fn eight_scrapes_at_once_are_one_render() {
    with_renders_held(|hold| async move {
        let (_recorder, handle) = handle();
        let flights = Arc::new(Flights::default());
        let mut answers =
            Box::pin(join_all((0..8).map(|_| flights.clone().answer(handle.clone(), TEXT))));
        assert!(poll_once(answers.as_mut()).await.is_pending());
        drop(hold);
        let answers = answers.await;
        // Not equal copies: the same bytes in memory.
        assert!(answers.iter().all(|answer| answer.as_ptr() == answers[0].as_ptr()));
        assert!(!answers[0].is_empty());
    });
}

#[tokio::test]
async fn a_scrape_after_the_render_gets_a_new_one() {
    let (recorder, handle) = handle();
    let flights = Arc::new(Flights::default());
    let before = flights.clone().answer(handle.clone(), TEXT).await;
    metrics::with_local_recorder(&recorder, || metrics::counter!("late_total").increment(1));
    let after = flights.clone().answer(handle, TEXT).await;
    assert!(!before.windows(10).any(|at| at == b"late_total"));
    assert!(after.windows(10).any(|at| at == b"late_total"));
    assert!(flights.open.lock().is_empty());
}

#[tokio::test]
async fn scrapes_in_two_formats_do_not_share_a_render() {
    let (_recorder, handle) = handle();
    let flights = Arc::new(Flights::default());
    let open = Wanted { format: Format::OpenMetrics, gzip: false };
    let (text, open) = tokio::join!(
        flights.clone().answer(handle.clone(), TEXT),
        flights.clone().answer(handle, open)
    );
    assert!(open.ends_with(b"# EOF\n") && !text.ends_with(b"# EOF\n"));
}

#[test]
fn a_scrape_whose_leader_went_away_is_still_answered() {
    with_renders_held(|hold| async move {
        let (_recorder, handle) = handle();
        let flights = Arc::new(Flights::default());
        let mut leader = Box::pin(flights.clone().answer(handle.clone(), TEXT));
        let mut follower = Box::pin(flights.clone().answer(handle, TEXT));
        assert!(poll_once(leader.as_mut()).await.is_pending());
        assert!(poll_once(follower.as_mut()).await.is_pending());
        drop(leader);
        drop(hold);
        assert!(!follower.await.is_empty());
    });
}

#[test]
fn clients_that_ask_and_go_away_start_one_render_and_not_one_each() {
    with_renders_held(|hold| async move {
        let (recorder, handle) = handle();
        let flights = Arc::new(Flights::default());
        for _ in 0..100 {
            let mut gone = Box::pin(flights.clone().answer(handle.clone(), TEXT));
            assert!(poll_once(gone.as_mut()).await.is_pending());
        }
        // Behind the first render, in front of any that starts from here on.
        let late = recorder.clone();
        tokio::task::spawn_blocking(move || {
            metrics::with_local_recorder(&late, || metrics::counter!("late_total").increment(1));
        });
        let answer = flights.clone().answer(handle, TEXT);
        drop(hold);
        assert!(!answer.await.windows(10).any(|at| at == b"late_total"));
    });
}
