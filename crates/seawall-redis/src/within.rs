//! A deadline that a busy runtime does not miss on another's behalf.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::poll_fn;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

/// What `future` answers within `deadline`, or `None`.
///
/// Where the process was stopped for longer than the deadline, or tasks that never wait keep the
/// runtime busy, the deadline passes while the answer is in the socket or on its way from task to task. So once it has
/// passed, the runtime gets a few turns to bring what is there: no time if it has nothing else to do, and
/// where it is busy no more than three once as much time again has passed.
///
/// Cancel safety: that of `future`.
pub async fn within<F: Future>(deadline: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    if let Ok(answer) = timeout(deadline, &mut future).await {
        return Some(answer);
    }
    let late = Instant::now();
    for turn in 0..TURNS {
        if turn >= HOPS && late.elapsed() >= deadline {
            break;
        }
        // It comes back after what is ready has run and sockets have been looked at.
        yield_now().await;
        let answer = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        if let Poll::Ready(answer) = answer {
            return Some(answer);
        }
    }
    None
}

/// From the socket to who asked: fred's task, that which carries many questions, those who wait for it.
const TURNS: u32 = 8;

/// Where turns are long, so many bring what is there.
const HOPS: u32 = 3;

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use tokio::time::sleep;

    use super::*;

    const DEADLINE: Duration = Duration::from_millis(50);

    #[tokio::test(start_paused = true)]
    async fn who_never_answers_costs_the_deadline_and_no_more() {
        let start = Instant::now();
        assert_eq!(within(DEADLINE, std::future::pending::<()>()).await, None);
        // The timer's millisecond.
        assert!(start.elapsed() <= DEADLINE + Duration::from_millis(1), "{:?}", start.elapsed());
        assert_eq!(within(DEADLINE, async { 7 }).await, Some(7));
        let late = async { sleep(DEADLINE * 2).await };
        assert_eq!(within(DEADLINE, late).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_runtime_whose_turns_are_long_makes_nobody_wait_for_all_of_them() {
        let busy = tokio::spawn(async {
            loop {
                // A turn takes this long.
                tokio::time::advance(DEADLINE).await;
            }
        });
        let start = Instant::now();
        assert_eq!(within(DEADLINE, std::future::pending::<()>()).await, None);
        assert!(start.elapsed() <= 5 * DEADLINE, "{:?}", start.elapsed());
        busy.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_on_its_way_from_task_to_task_is_not_late() {
        let (sender, receiver) = oneshot::channel();
        // It hops on when the deadline has passed already.
        let hops = tokio::spawn(async move {
            sleep(DEADLINE).await;
            for _ in 0..TURNS - 2 {
                yield_now().await;
            }
            let _ = sender.send(7);
        });
        assert_eq!(within(DEADLINE, receiver).await, Some(Ok(7)));
        hops.await.expect("no panic");
    }
}
