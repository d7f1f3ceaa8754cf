//! Counters for the hot path: each thread counts on a cache line of its own.
//!
//! A handle of the `metrics` facade is one atomic that all threads share, about 200 ns a count
//! when two of them do. So hits are counted in stripes, and each stripe passes on what it counted
//! when that was last done [`LAG`] ago. Every count is passed on once. What a thread counted less
//! than `LAG` before its last hit reaches the recorder with the next hit in its stripe, or when
//! someone calls [`flush`](Striped::flush).

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use metrics::Counter;

use crate::local::Tick;
use crate::thread;

/// `N` counters. Each passes on to one counter of the facade, and all of them to one more.
pub(super) struct Striped<const N: usize> {
    stripes: Box<[CachePadded<Stripe<N>>]>,
    recorded: [Counter; N],
    /// Of all `N` together.
    sum: Option<Counter>,
}

struct Stripe<const N: usize> {
    counted: [AtomicU64; N],
    passed_on: [AtomicU64; N],
    /// When it last passed on.
    at: AtomicU64,
}

impl<const N: usize> Striped<N> {
    pub(super) fn new(recorded: [Counter; N], sum: Option<Counter>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let stripe = || CachePadded::new(Stripe::new());
        let stripes = cores.next_power_of_two().min(MOST_STRIPES);
        Self { stripes: std::iter::repeat_with(stripe).take(stripes).collect(), recorded, sum }
    }

    /// Counts one of `counter`. The hot path: one atomic that other threads seldom touch.
    #[inline]
    pub(super) fn add(&self, counter: usize, now: Tick) {
        let stripe = self.stripe();
        stripe.counted[counter].fetch_add(1, Ordering::Relaxed);
        if now.nanos_since(Tick::from_bits(stripe.at.load(Ordering::Relaxed))) >= LAG {
            stripe.at.store(now.to_bits(), Ordering::Relaxed);
            self.pass_on(stripe);
        }
    }

    /// Counts one of `counter` and passes it on.
    pub(super) fn add_at_once(&self, counter: usize) {
        let stripe = self.stripe();
        stripe.counted[counter].fetch_add(1, Ordering::Relaxed);
        self.pass_on(stripe);
    }

    pub(super) fn get(&self, counter: usize) -> u64 {
        let counted =
            |stripe: &CachePadded<Stripe<N>>| stripe.counted[counter].load(Ordering::Relaxed);
        self.stripes.iter().map(counted).sum()
    }

    /// Passes on everything.
    pub(super) fn flush(&self) {
        self.stripes.iter().for_each(|stripe| self.pass_on(stripe));
    }

    fn stripe(&self) -> &Stripe<N> {
        &self.stripes[thread::number() & (self.stripes.len() - 1)]
    }

    #[cold]
    fn pass_on(&self, stripe: &Stripe<N>) {
        let mut all = 0;
        for (counter, recorded) in self.recorded.iter().enumerate() {
            let counted = stripe.counted[counter].load(Ordering::Relaxed);
            // Whoever raises it passes on the difference; no other does.
            let before = stripe.passed_on[counter].fetch_max(counted, Ordering::Relaxed);
            let more = counted.saturating_sub(before);
            if more > 0 {
                recorded.increment(more);
                all += more;
            }
        }
        if let Some(sum) = &self.sum
            && all > 0
        {
            sum.increment(all);
        }
    }
}

impl<const N: usize> Drop for Striped<N> {
    fn drop(&mut self) {
        self.flush();
    }
}

impl<const N: usize> Stripe<N> {
    fn new() -> Self {
        let zeros = || std::array::from_fn(|_| AtomicU64::new(0));
        Self { counted: zeros(), passed_on: zeros(), at: AtomicU64::new(0) }
    }
}

/// How long a stripe may keep what it counted, in nanoseconds, while it goes on counting.
const LAG: u64 = 100_000_000;

const MOST_STRIPES: usize = 32;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use metrics_util::MetricKind;
    use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

    use super::*;
    use crate::local::Clock;

    fn recorded(snapshotter: &Snapshotter, name: &str) -> u64 {
        let all = snapshotter.snapshot().into_vec().into_iter();
        let counts =
            all.filter(|(key, ..)| key.kind() == MetricKind::Counter && key.key().name() == name);
        counts
            .map(|(.., value)| match value {
                DebugValue::Counter(count) => count,
                _ => 0,
            })
            .sum()
    }

    fn striped(recorder: &DebuggingRecorder) -> Striped<2> {
        metrics::with_local_recorder(recorder, || {
            Striped::new(
                [metrics::counter!("hits"), metrics::counter!("absent")],
                Some(metrics::counter!("both")),
            )
        })
    }

    #[tokio::test(start_paused = true)]
    async fn counts_arrive_at_once_when_they_are_rare_and_later_when_they_are_many() {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        let (striped, clock) = (striped(&recorder), Clock::new());
        // Each snapshot takes what was recorded since the last.
        striped.add(0, clock.now());
        assert_eq!(recorded(&snapshotter, "hits"), 1);
        for _ in 0..10 {
            striped.add(0, clock.now());
        }
        assert_eq!((recorded(&snapshotter, "hits"), striped.get(0)), (0, 11));
        tokio::time::advance(Duration::from_nanos(LAG)).await;
        striped.add(1, clock.now());
        let snapshot = snapshotter.snapshot().into_vec();
        assert_eq!(snapshot.len(), 3);
        striped.add(1, clock.now());
        striped.flush();
        striped.flush();
        assert_eq!(recorded(&snapshotter, "absent"), 1);
        striped.add(0, clock.now());
        drop(striped);
        assert_eq!(recorded(&snapshotter, "both"), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn every_count_of_every_thread_arrives_once() {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        let (striped, clock) = (striped(&recorder), Clock::new());
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (striped, clock) = (&striped, &clock);
                scope.spawn(move || {
                    let start = clock.tick(tokio::time::Instant::now());
                    for count in 0..20_000_u64 {
                        // Time passes, so that stripes pass on while others count and flush.
                        let now = start.plus(Duration::from_millis(count));
                        striped.add(thread % 2, now);
                        if count % 1_000 == 0 {
                            striped.flush();
                        }
                    }
                });
            }
        });
        assert_eq!((striped.get(0), striped.get(1)), (80_000, 80_000));
        striped.flush();
        let snapshot = snapshotter.snapshot().into_vec();
        let mut counts: Vec<_> = snapshot
            .into_iter()
            .map(|(key, _, _, value)| (key.key().name().to_owned(), value))
            .collect();
        counts.sort_by(|a, b| a.0.cmp(&b.0));
        let expected = [("absent", 80_000), ("both", 160_000), ("hits", 80_000)];
        let expected = expected.map(|(name, count)| (name.to_owned(), DebugValue::Counter(count)));
        assert_eq!(counts, expected);
    }
}
