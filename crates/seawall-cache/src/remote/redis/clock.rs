//! What the clock of each node reads: bounds on it, learned from replies that carry it.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::remote::per_node::PerNode;

/// A node's clock in microseconds, at some moment of ours: no less than `earliest`, no more than
/// `latest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) earliest: u64,
    pub(super) latest: u64,
}

/// The estimates for all nodes, by index.
#[derive(Debug)]
pub(super) struct Clocks {
    base: Instant,
    nodes: PerNode<Mutex<Estimate>>,
}

impl Clocks {
    pub(super) fn new() -> Self {
        Self { base: Instant::now(), nodes: PerNode::new() }
    }

    /// `node`'s clock read `clock` at some moment between `sent` and `received`.
    pub(super) fn learn(&self, node: u32, clock: u64, sent: Instant, received: Instant) {
        let (sent, received) = (self.ours(sent), self.ours(received));
        self.of(node).lock().learn(clock, sent, received);
    }

    /// What `node`'s clock reads at `moment`, by what is known at `now`. `None` if nothing is, or
    /// what is known is older than a second: ask the node for its `TIME` first.
    pub(super) fn at(&self, node: u32, moment: Instant, now: Instant) -> Option<Bounds> {
        let (moment, now) = (self.ours(moment), self.ours(now));
        self.of(node).lock().at(moment, now)
    }

    /// The earliest that `node`'s clock can have read at `moment`, by what was learned however long
    /// ago. `None` if it is not known to have gone on ever since: nothing had been learned by
    /// then, or replies contradict each other, as when it was set or another server took over.
    pub(super) fn earliest_throughout(&self, node: u32, moment: Instant) -> Option<u64> {
        let moment = self.ours(moment);
        self.of(node).lock().earliest_throughout(moment)
    }

    fn of(&self, node: u32) -> &Mutex<Estimate> {
        self.nodes.get(node, |_| Mutex::default())
    }

    /// Microseconds since the base; negative for moments before it.
    fn ours(&self, moment: Instant) -> i64 {
        match moment.checked_duration_since(self.base) {
            Some(after) => micros(after),
            None => -micros(self.base.saturating_duration_since(moment)),
        }
    }
}

/// The pure core: times are microseconds of our own clock.
///
/// A reply says that the node's clock minus ours is in an interval as wide as its round trip. What
/// earlier ones said, widened by what two clocks may have drifted apart since, narrows it. One
/// that contradicts them shows that a clock was set, and replaces them.
#[derive(Debug, Clone, Copy, Default)]
struct Estimate {
    known: Option<Known>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    /// The node's clock minus ours: no less, no more.
    least: i64,
    most: i64,
    /// What the last reply said, and its round trip.
    clock: i64,
    sent: i64,
    received: i64,
    /// When the first was sent of the replies that have not contradicted each other since.
    steady: i64,
}

impl Estimate {
    fn learn(&mut self, clock: u64, sent: i64, received: i64) {
        let clock = i64::try_from(clock).unwrap_or(i64::MAX);
        let new = Known {
            least: clock.saturating_sub(received) - 1,
            most: clock.saturating_sub(sent) + 1,
            clock,
            sent,
            received,
            steady: sent,
        };
        // Replies may overtake each other.
        let agrees = |old: &Known| {
            let drift = drift(received.max(old.received) - sent.min(old.sent));
            new.least <= old.most + drift && new.most >= old.least - drift
        };
        let steady = self.known.filter(agrees).map_or(sent, |old| old.steady.min(sent));
        let new = Known { steady, ..new };
        let narrowed = self.known.filter(|old| sent >= old.sent).map(|old| {
            let drift = drift(received - old.sent);
            let (least, most) = (old.least - drift, old.most + drift);
            Known { least: new.least.max(least), most: new.most.min(most), ..new }
        });
        // None is left: they contradict each other.
        self.known = Some(narrowed.filter(|it| it.least <= it.most).unwrap_or(new));
    }

    fn earliest_throughout(&self, moment: i64) -> Option<u64> {
        let known = self.known.filter(|known| known.steady <= moment)?;
        Some(known.bounds(moment).earliest)
    }

    fn at(&self, moment: i64, now: i64) -> Option<Bounds> {
        let known = self.known.filter(|known| now - known.received <= TRUSTED)?;
        Some(known.bounds(moment))
    }
}

impl Known {
    fn bounds(&self, moment: i64) -> Bounds {
        let known = self;
        let drift = drift(moment - known.sent);
        let mut earliest = moment.saturating_add(known.least - drift);
        if moment >= known.received {
            earliest = earliest.max(known.clock);
        }
        let latest = moment.saturating_add(known.most + drift);
        let unsigned = |micros: i64| u64::try_from(micros).unwrap_or(0);
        Bounds { earliest: unsigned(earliest), latest: unsigned(latest) }
    }
}

/// Two clocks that NTP slews by 500 ppm in opposite directions.
fn drift(elapsed: i64) -> i64 {
    elapsed.abs() / 1_000
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// For how long a reply counts, in microseconds.
const TRUSTED: i64 = 1_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: i64 = 1_000;

    #[test]
    fn an_unknown_or_old_clock_is_not_guessed() {
        let mut estimate = Estimate::default();
        assert_eq!(estimate.at(0, 0), None);
        estimate.learn(5_000_000, 0, MS);
        assert!(estimate.at(MS, MS).is_some());
        assert_eq!(estimate.at(TRUSTED + 2 * MS, TRUSTED + 2 * MS), None);
    }

    #[test]
    fn a_slow_reply_does_not_widen_what_a_fast_one_told() {
        let mut estimate = Estimate::default();
        estimate.learn(5_000_000, 0, 100);
        estimate.learn(5_000_000 + 60 * MS as u64, 10 * MS, 110 * MS);
        let bounds = estimate.at(110 * MS, 110 * MS).expect("known");
        assert!(bounds.latest - bounds.earliest < 1_000, "{bounds:?}");
    }

    #[test]
    fn a_clock_that_was_set_is_followed_by_the_next_reply() {
        for jump in [-3_600_000_000_i64, -50 * MS, 50 * MS, 3_600_000_000] {
            let mut estimate = Estimate::default();
            let theirs = 10_000_000_000_i64;
            estimate.learn(theirs as u64, 0, 200);
            let now = 500 * MS;
            let theirs = theirs + now + jump;
            estimate.learn(theirs as u64, now, now + 10 * MS);
            let bounds = estimate.at(now + 10 * MS, now + 10 * MS).expect("known");
            assert!(bounds.earliest <= (theirs + 10 * MS) as u64 && bounds.latest >= theirs as u64);
            assert!(bounds.latest.abs_diff(theirs as u64) <= 21 * MS as u64, "{jump}: {bounds:?}");
        }
    }

    #[test]
    fn a_clock_that_was_set_since_says_nothing_of_before() {
        let mut estimate = Estimate::default();
        assert_eq!(estimate.earliest_throughout(0), None, "nothing is known");
        estimate.learn(5_000_000, 10, 200);
        assert_eq!(estimate.earliest_throughout(9), None, "nothing was known then");
        assert!(estimate.earliest_throughout(10).is_some());
        // However long ago.
        let later = 60_000 * MS;
        assert!(estimate.earliest_throughout(later).is_some_and(|it| it < 65_000_000));
        // Replies that overtake each other contradict nothing.
        estimate.learn(5_000_300, 300, 500);
        estimate.learn(5_000_250, 250, 600);
        assert!(estimate.earliest_throughout(100).is_some());
        // Another server, with another clock.
        estimate.learn(3_000_000, 1_000, 1_200);
        assert_eq!(estimate.earliest_throughout(999), None);
        assert!(estimate.earliest_throughout(1_000).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn nodes_have_clocks_of_their_own() {
        let clocks = Clocks::new();
        let now = Instant::now();
        clocks.learn(2, 7_000_000, now, now);
        assert_eq!(clocks.at(0, now, now), None);
        let bounds = clocks.at(2, now, now).expect("known");
        assert_eq!(bounds, Bounds { earliest: 7_000_000, latest: 7_000_001 });
    }

    proptest! {
        /// Whatever the round trips and a drift within 500 ppm, the bounds hold.
        #[test]
        fn the_bounds_hold(
            offset in -1_000_000_000_i64..4_000_000_000_000_000,
            ppm in -500_i64..=500,
            trips in prop::collection::vec((0_i64..200_000, 0_i64..50_000, 0_i64..50_000), 1..40),
            later in 0_i64..TRUSTED,
        ) {
            // Ours runs from 10^9; theirs is ahead by `offset` and drifts.
            let theirs = |ours: i64| ours + offset.max(0) + ours / 1_000 * ppm / 1_000;
            let mut estimate = Estimate::default();
            let mut now = 1_000_000_000_i64;
            for (pause, there, back) in trips {
                let sent = now + pause;
                let clock = theirs(sent + there);
                now = sent + there + back;
                estimate.learn(clock as u64, sent, now);
                let bounds = estimate.at(now, now).expect("just learned");
                prop_assert!(bounds.earliest >= clock as u64, "a reply is never in the future");
                prop_assert!(bounds.earliest as i64 <= theirs(now));
                prop_assert!(bounds.latest as i64 >= theirs(now));
            }
            if let Some(bounds) = estimate.at(now + later, now + later) {
                prop_assert!(bounds.earliest as i64 <= theirs(now + later));
                prop_assert!(bounds.latest as i64 >= theirs(now + later));
            }
        }
    }
}
