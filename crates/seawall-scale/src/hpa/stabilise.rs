use std::time::Duration;

use super::Moment;

/// What an earlier decision wanted, before it was stabilised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "callers build it from their history")]
pub struct Wish {
    /// How many replicas.
    pub replicas: i32,
    /// When.
    pub at: Moment,
}

/// The largest of `desired` and the wishes of the last `window`, both ends included: how a group
/// without `behavior` shrinks.
#[must_use]
pub fn stabilise_down(wishes: &[Wish], desired: i32, window: Duration, now: Moment) -> i32 {
    let within = wishes.iter().filter(|wish| wish.at.saturating_add(window) >= now);
    within.map(|wish| wish.replicas).fold(desired, i32::max)
}

/// The size nearest to `current` that is no smaller than the smallest wish of the window `up` and
/// no larger than the largest of the window `down`. A wish as old as its window is not counted.
#[must_use]
pub fn stabilise_within(
    wishes: &[Wish],
    (current, desired): (i32, i32),
    up: Duration,
    down: Duration,
    now: Moment,
) -> i32 {
    let within = |window: Duration| {
        wishes
            .iter()
            .filter(move |wish| wish.at.saturating_add(window) > now)
            .map(|wish| wish.replicas)
    };
    let lowest = within(up).fold(desired, i32::min);
    let highest = within(down).fold(desired, i32::max);
    current.max(lowest).min(highest)
}
