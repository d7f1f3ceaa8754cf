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
    /// Those of the threads with the lowest numbers, which nobody else writes to: a load and a
    /// store, where a stripe that threads share takes an atomic addition, which on x86 waits for
    /// all loads and stores before it. Numbers are not used again.
    own: Box<[CachePadded<Stripe<N>>]>,
    shared: Box<[CachePadded<Stripe<N>>]>,
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
        let shared = cores.next_power_of_two().min(MOST_SHARED);
        Self::with(recorded, sum, (4 * shared).min(MOST_OWN), shared)
    }

    /// `shared` must be a power of two.
    fn with(recorded: [Counter; N], sum: Option<Counter>, own: usize, shared: usize) -> Self {
        let stripes = |count| {
            std::iter::repeat_with(|| CachePadded::new(Stripe::new())).take(count).collect()
        };
        Self { own: stripes(own), shared: stripes(shared), recorded, sum }
    }

    /// Counts one of `counter`. The hot path: a cache line that other threads seldom touch.
    #[inline]
    pub(super) fn add(&self, counter: usize, now: Tick) {
        let stripe = self.count(counter);
        if now.nanos_since(Tick::from_bits(stripe.at.load(Ordering::Relaxed))) >= LAG {
            stripe.at.store(now.to_bits(), Ordering::Relaxed);
            self.pass_on(stripe);
        }
    }

    /// Counts one of `counter` and passes it on.
    pub(super) fn add_at_once(&self, counter: usize) {
        self.pass_on(self.count(counter));
    }

    pub(super) fn get(&self, counter: usize) -> u64 {
        let counted =
            |stripe: &CachePadded<Stripe<N>>| stripe.counted[counter].load(Ordering::Relaxed);
        self.stripes().map(counted).sum()
    }

    /// Passes on everything.
    pub(super) fn flush(&self) {
        self.stripes().for_each(|stripe| self.pass_on(stripe));
    }

    fn stripes(&self) -> impl Iterator<Item = &CachePadded<Stripe<N>>> {
        self.own.iter().chain(&self.shared)
    }

    #[inline]
    fn count(&self, counter: usize) -> &Stripe<N> {
        let number = thread::number();
        if let Some(stripe) = self.own.get(number) {
            let counted = &stripe.counted[counter];
            counted.store(counted.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            stripe
        } else {
            let stripe = &self.shared[number & (self.shared.len() - 1)];
            stripe.counted[counter].fetch_add(1, Ordering::Relaxed);
            stripe
        }
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

/// 128 bytes each.
const MOST_OWN: usize = 64;

const MOST_SHARED: usize = 32;

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

    fn striped(recorder: &DebuggingRecorder, own: usize) -> Striped<2> {
        metrics::with_local_recorder(recorder, || {
            let both = Some(metrics::counter!("both"));
            Striped::with([metrics::counter!("hits"), metrics::counter!("absent")], both, own, 2)
        })
    }

    #[tokio::test(start_paused = true)]
    async fn counts_arrive_at_once_when_they_are_rare_and_later_when_they_are_many() {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        let (striped, clock) = (striped(&recorder, 1 << 16), Clock::exact());
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
        // Whatever numbers the threads of this test have: all share, or none does.
        for own in [0, 1 << 16] {
            count_everywhere(own);
        }
    }

    fn count_everywhere(own: usize) {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        let (striped, clock) = (striped(&recorder, own), Clock::exact());
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
