//! What a thread has of its own, for hot paths that must not meet other threads.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    static DRAWN: Cell<u64> = const { Cell::new(0) };
}

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Threads in the order in which they first asked: neighbours in time are neighbours in number, so
/// the low bits spread them well. No two threads have the same, ever, but those that are ending:
/// they are `usize::MAX`.
pub(crate) fn number() -> usize {
    NUMBER.try_with(|number| *number).unwrap_or(usize::MAX)
}

/// A random draw: xorshift64*, one a thread, so it costs a few instructions and meets nobody. Good
/// for sampling, where a counter would run in phase with what it samples; for nothing secret.
pub(crate) fn draw() -> u64 {
    let drawn = DRAWN.try_with(|drawn| {
        let mut state = drawn.get();
        if state == 0 {
            // Threads must not draw alike.
            state = (number() as u64 | 1 << 40).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        drawn.set(state);
        state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    });
    drawn.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_hit_one_in_sixteen_and_differ_between_threads() {
        let hits = || (0..160_000).filter(|_| draw() >> 60 == 0).count();
        assert!((9_500..10_500).contains(&hits()), "the high bits are not random");
        let first: Vec<u64> = (0..4).map(|_| draw()).collect();
        let there = std::thread::spawn(|| (0..4).map(|_| draw()).collect::<Vec<u64>>());
        assert_ne!(first, there.join().expect("draws"));
    }
}
