//! Whether Redis is worth asking.
//!
//! One breaker for each sixteenth of the slots, so that in a cluster a master that hangs takes its
//! own keys with it and no others (one that is gone takes them all: fred then has no connection);
//! a single server has one. Closed, it counts failures in a row.
//! Open, nobody asks: a probe in the background does, and closes it when it is answered.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The sixteenths of the slots.
pub(crate) const SECTIONS: usize = 16;

pub(crate) struct Breakers {
    sections: [Breaker; SECTIONS],
    failures_to_open: u32,
}

#[derive(Default)]
struct Breaker {
    failures: AtomicU32,
    open: AtomicBool,
}

impl Breakers {
    pub(crate) fn new(failures_to_open: u32) -> Self {
        Self { sections: Default::default(), failures_to_open }
    }

    pub(crate) fn is_open(&self, section: usize) -> bool {
        self.sections[section].open.load(Ordering::Acquire)
    }

    /// Those that are open.
    pub(crate) fn open(&self) -> impl Iterator<Item = usize> + '_ {
        (0..SECTIONS).filter(|section| self.is_open(*section))
    }

    /// An answer; whether that closed it.
    pub(crate) fn success(&self, section: usize) -> bool {
        let breaker = &self.sections[section];
        // A read first: the word is shared by all threads and seldom changes.
        if breaker.failures.load(Ordering::Relaxed) != 0 {
            breaker.failures.store(0, Ordering::Relaxed);
        }
        breaker.open.load(Ordering::Relaxed) && breaker.open.swap(false, Ordering::AcqRel)
    }

    /// No answer; whether that opened it.
    pub(crate) fn failure(&self, section: usize) -> bool {
        let breaker = &self.sections[section];
        let failures = breaker.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        failures >= self.failures_to_open && !breaker.open.swap(true, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_open_one_section_once_and_a_success_closes_it() {
        let breakers = Breakers::new(3);
        assert!(!breakers.failure(2));
        assert!(!breakers.failure(2));
        assert!(!breakers.success(2));
        assert_eq!(
            [breakers.failure(2), breakers.failure(2), breakers.failure(2)],
            [false, false, true]
        );
        assert!(!breakers.failure(2), "told once");
        assert_eq!(breakers.open().collect::<Vec<_>>(), [2]);
        assert!(breakers.success(2));
        assert_eq!(breakers.open().count(), 0);
    }
}
