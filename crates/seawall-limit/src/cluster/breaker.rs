//! Whether Redis is worth asking.
//!
//! One breaker for each master, so that one that hangs or is gone takes its own keys with it and no
//! others; a single server has one. Closed, it counts failures in a row. Open, nobody asks: a probe in
//! the background does, and closes it when it is answered.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use seawall_redis::PerNode;

pub(crate) struct Breakers {
    nodes: PerNode<Breaker>,
    failures_to_open: u32,
}

#[derive(Default)]
struct Breaker {
    failures: AtomicU32,
    open: AtomicBool,
}

impl Breakers {
    pub(crate) fn new(failures_to_open: u32) -> Self {
        Self { nodes: PerNode::new(), failures_to_open }
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

    /// No answer; whether that opened it.
    pub(crate) fn failure(&self, node: u32) -> bool {
        let breaker = self.of(node);
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

    #[test]
    fn failures_in_a_row_open_one_node_once_and_a_success_closes_it() {
        let breakers = Breakers::new(3);
        assert!(!breakers.failure(2));
        assert!(!breakers.failure(2));
        assert!(!breakers.success(2));
        assert_eq!(
            [breakers.failure(2), breakers.failure(2), breakers.failure(2)],
            [false, false, true]
        );
        assert!(!breakers.failure(2), "told once");
        assert_eq!([1, 2, 3].map(|node| breakers.is_open(node)), [false, true, false]);
        assert!(breakers.success(2));
        assert!(!breakers.is_open(2));
    }
}
