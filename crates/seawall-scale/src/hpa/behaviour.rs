//! What cuts a wish: rules per direction, or without any the factor of old, and the bounds.

use super::{Direction, Moment, Reason, Rules, ScaleEvent};

/// The block `behavior` of a manifest.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "there are two directions")]
pub struct Behaviour {
    /// Growing.
    pub up: Option<Rules>,
    /// Shrinking.
    pub down: Option<Rules>,
}

/// `desired` cut by the rules and by `bounds` (least and most), and what cut it.
#[must_use]
pub fn limit_by_rules(
    behaviour: &Behaviour,
    (current, desired): (i32, i32),
    (min, max): (i32, i32),
    (ups, downs): (&[ScaleEvent], &[ScaleEvent]),
    now: Moment,
) -> (i32, Reason) {
    if desired > current {
        let rules = Rules::filled(behaviour.up.as_ref(), Direction::Up);
        let limit = rules.limit(current, ups, downs, now).max(current);
        let (most, reason) = if max > limit {
            (limit, Reason::ScaleUpLimit)
        } else {
            (max, Reason::TooManyReplicas)
        };
        if desired > most {
            return (most, reason);
        }
    } else if desired < current {
        let rules = Rules::filled(behaviour.down.as_ref(), Direction::Down);
        let limit = rules.limit(current, ups, downs, now).min(current);
        let (least, reason) = if min < limit {
            (limit, Reason::ScaleDownLimit)
        } else {
            (min, Reason::TooFewReplicas)
        };
        if desired < least {
            return (least, reason);
        }
    }
    (desired, Reason::DesiredWithinRange)
}

/// `desired` cut by the bounds and by how far one step up may go without rules: `factor` times the
/// size, or `minimum` if that is more.
#[must_use]
pub fn limit_by_factor(
    (current, desired): (i32, i32),
    (min, max): (i32, i32),
    (factor, minimum): (f64, f64),
) -> (i32, Reason) {
    #[expect(clippy::cast_possible_truncation, reason = "as the controller does, saturating")]
    let limit = (factor * f64::from(current)).max(minimum) as i32;
    let (most, reason) =
        if max > limit { (limit, Reason::ScaleUpLimit) } else { (max, Reason::TooManyReplicas) };
    if desired < min {
        (min, Reason::TooFewReplicas)
    } else if desired > most {
        (most, reason)
    } else {
        (desired, Reason::DesiredWithinRange)
    }
}
