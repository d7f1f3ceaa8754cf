//! Whether Redis is worth asking.
//!
//! One breaker for each master, so that one that hangs or is gone takes its own keys with it and no
//! others; a single server has one. Closed, it counts failures in a row; those of questions that were
//! asked before the last one was noticed are one with it, since many share a command, and a stall.
//! Open, nobody asks: a probe in the background does, and closes it when it is answered.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use seawall_redis::PerNode;
use tokio::time::Instant;

use super::law::micros;

pub(crate) struct Breakers {
    nodes: PerNode<Breaker>,
    failures_to_open: u32,
    base: Instant,
}

#[derive(Default)]
struct Breaker {
    failures: AtomicU32,
    /// When the last was noticed, in microseconds; 0: never.
    noticed: AtomicU64,
    open: AtomicBool,
}

impl Breakers {
    pub(crate) fn new(failures_to_open: u32) -> Self {
        Self { nodes: PerNode::new(), failures_to_open, base: Instant::now() }
    }

    pub(crate) fn is_open(&self, node: u32) -> bool {
        self.of(node).open.load(Ordering::Acquire)
    }

    /// An answer; whether that closed it.
    pub(crate) fn success(&self, node: u32) -> bool {
        let breaker = self.of(node);
        // A read first: the word is shared by all threads and seldom changes.
        if breaker.failures.load(Ordering::Relaxed) != 0 {
            breaker.failures.store(0, Ordering::Relaxed);
        }
        breaker.open.load(Ordering::Relaxed) && breaker.open.swap(false, Ordering::AcqRel)
    }

    /// No answer to what was asked at `asked`; whether that opened it.
    pub(crate) fn failure(&self, node: u32, asked: Instant, now: Instant) -> bool {
        let breaker = self.of(node);
        let at = |moment: Instant| micros(moment.saturating_duration_since(self.base)) + 1;
        let counted = breaker.noticed.load(Ordering::Relaxed);
        if at(asked) < counted {
            return false;
        }
        let moved = breaker.noticed.compare_exchange(
            counted,
            at(now),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if moved.is_err() {
            // Another of the same burst was quicker.
            return false;
        }
        let failures = breaker.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        failures >= self.failures_to_open && !breaker.open.swap(true, Ordering::AcqRel)
    }

    fn of(&self, node: u32) -> &Breaker {
        self.nodes.get(node, |_| Breaker::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_once(breakers: &Breakers, node: u32) -> bool {
        let now = Instant::now();
        breakers.failure(node, now, now)
    }

    #[test]
    fn failures_in_a_row_open_one_node_once_and_a_success_closes_it() {
        let breakers = Breakers::new(3);
        assert!(!at_once(&breakers, 2));
        assert!(!at_once(&breakers, 2));
        assert!(!breakers.success(2));
        let three = [(); 3].map(|()| at_once(&breakers, 2));
        assert_eq!(three, [false, false, true]);
        assert!(!at_once(&breakers, 2), "told once");
        assert_eq!([1, 2, 3].map(|node| breakers.is_open(node)), [false, true, false]);
        assert!(breakers.success(2));
        assert!(!breakers.is_open(2));
    }

    #[test]
    fn what_was_late_together_is_one_failure() {
        let breakers = Breakers::new(3);
        let ms = std::time::Duration::from_millis(1);
        let start = Instant::now();
        let at = |late: u32| start + late * ms;
        for _ in 0..100 {
            assert!(!breakers.failure(0, at(0), at(50)));
        }
        for asked in 1..50 {
            assert!(
                !breakers.failure(0, at(asked), at(asked + 50)),
                "asked before that was noticed"
            );
        }
        assert!(!breakers.failure(0, at(51), at(101)));
        assert!(breakers.failure(0, at(102), at(152)), "it did not answer three times in a row");
    }
}
