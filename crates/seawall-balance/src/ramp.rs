//! The share of its weight that a node has while it starts.

use crate::clock::nanos;
use crate::config::SlowStart;
use crate::hash::{mix, unit};

/// Above 0, up to 1; `began` of 0 is long ago.
#[inline]
pub(crate) fn share(began: u64, now: u64, config: &SlowStart) -> f64 {
    let window = nanos(config.window);
    let passed = now.saturating_sub(began);
    if began == 0 || passed >= window {
        return 1.0;
    }
    let line = passed as f64 / window as f64;
    let curve = if config.aggression == 1.0 { line } else { line.powf(1.0 / config.aggression) };
    curve.max(config.min_share)
}

/// Whether a node with this share takes the request of this hash: always the
/// same answer for the same hash and share, and once taken, taken at every
/// greater share. So keys move to a starting node a few at a time, and stay.
#[inline]
pub(crate) fn takes(hash: u64, node: u64, share: f64) -> bool {
    unit(mix(hash ^ node.rotate_left(32))) < share
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_tenth_at_first_then_a_line_to_all() {
        let config = SlowStart::default();
        for (passed, expected) in [(0, 0.1), (1, 0.1), (5, 0.5), (9, 0.9), (10, 1.0), (99, 1.0)] {
            assert_eq!(share(SECOND, SECOND + passed * SECOND, &config), expected);
        }
        assert_eq!(share(0, 0, &config), 1.0);
        assert_eq!(share(2 * SECOND, SECOND, &config), 0.1); // a clock that went back
    }

    #[test]
    fn aggression_bends_the_line_and_a_window_of_nothing_is_off() {
        let config = SlowStart { aggression: 2.0, ..SlowStart::default() };
        let half = share(1, 1 + 5 * SECOND, &config);
        assert!((half - 0.5_f64.sqrt()).abs() < 1e-9);
        let off = SlowStart { window: Duration::ZERO, ..SlowStart::default() };
        assert_eq!(share(1, 1, &off), 1.0);
    }

    #[test]
    fn keys_move_to_a_starting_node_in_proportion_and_stay() {
        let taken = |share: f64| (0..10_000).filter(move |key| takes(*key, 7, share));
        let few: Vec<u64> = taken(0.1).collect();
        assert!((900..1_100).contains(&few.len()), "{}", few.len());
        assert!(few.into_iter().all(|key| takes(key, 7, 0.2)));
        assert_eq!(taken(1.0).count(), 10_000);
    }
}
