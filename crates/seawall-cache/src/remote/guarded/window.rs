//! How the calls of the last while ended. Pure: time comes in as an argument.

use std::time::Duration;

use tokio::time::Instant;

/// Counts of calls over a sliding window, forgotten a tenth of it at a time.
#[derive(Debug)]
pub(crate) struct Window {
    slices: [Counts; SLICES],
    /// Of all slices.
    sum: Counts,
    slice: Duration,
    /// The slice that is being filled, and when it began.
    current: usize,
    since: Instant,
}

/// Calls, and how many of them failed or were slow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) calls: u32,
    pub(crate) errors: u32,
    pub(crate) slow: u32,
}

impl Window {
    pub(crate) fn new(length: Duration, now: Instant) -> Self {
        let slice = (length / SLICES as u32).max(Duration::from_micros(1));
        let none = Counts::default();
        Self { slices: [none; SLICES], sum: none, slice, current: 0, since: now }
    }

    pub(crate) fn add(&mut self, failed: bool, slow: bool, now: Instant) {
        self.turn(now);
        for counts in [&mut self.slices[self.current], &mut self.sum] {
            counts.calls += 1;
            counts.errors += u32::from(failed);
            counts.slow += u32::from(slow);
        }
    }

    pub(crate) fn counts(&mut self, now: Instant) -> Counts {
        self.turn(now);
        self.sum
    }

    /// Forgets the slices that are older than the window.
    fn turn(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.since);
        if age < self.slice {
            return;
        }
        let passed = age.as_nanos() / self.slice.as_nanos();
        let Some(passed) = u32::try_from(passed).ok().filter(|passed| *passed < SLICES as u32)
        else {
            self.slices = [Counts::default(); SLICES];
            self.sum = Counts::default();
            self.since = now;
            return;
        };
        for _ in 0..passed {
            self.current = (self.current + 1) % SLICES;
            let old = std::mem::take(&mut self.slices[self.current]);
            self.sum.calls -= old.calls;
            self.sum.errors -= old.errors;
            self.sum.slow -= old.slow;
        }
        self.since += self.slice * passed;
    }
}

impl Counts {
    pub(crate) fn error_ratio(&self) -> f64 {
        f64::from(self.errors) / f64::from(self.calls.max(1))
    }

    pub(crate) fn slow_ratio(&self) -> f64 {
        f64::from(self.slow) / f64::from(self.calls.max(1))
    }
}

const SLICES: usize = 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn what_is_older_than_the_window_does_not_count() {
        let start = Instant::now();
        let mut window = Window::new(10 * SECOND, start);
        window.add(true, false, start);
        window.add(false, true, start + 5 * SECOND);
        let all = Counts { calls: 2, errors: 1, slow: 1 };
        assert_eq!(window.counts(start + 9 * SECOND), all);
        let late = Counts { calls: 1, errors: 0, slow: 1 };
        assert_eq!(window.counts(start + 10 * SECOND), late);
        assert_eq!(window.counts(start + 15 * SECOND), Counts::default());
        window.add(true, true, start + 3600 * SECOND);
        assert_eq!(window.counts(start + 3600 * SECOND).calls, 1, "after a long pause");
    }

    proptest! {
        /// Every call counts for at least nine tenths of the window, none for longer than all.
        #[test]
        fn calls_count_for_about_the_window(
            pauses in prop::collection::vec(0_u64..4_000, 1..60),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let _entered = runtime.enter();
            let start = Instant::now();
            let mut window = Window::new(10 * SECOND, start);
            let (mut now, mut calls) = (start, Vec::new());
            for pause in pauses {
                now += Duration::from_millis(pause);
                window.add(false, false, now);
                calls.push(now);
                let younger = |age: Duration| {
                    calls.iter().filter(|call| now.duration_since(**call) < age).count()
                };
                let counted = window.counts(now).calls as usize;
                prop_assert!(counted >= younger(9 * SECOND) && counted <= younger(10 * SECOND));
            }
        }
    }
}
