//! Which units go together, and what comes of it.

use crate::Unit;
use crate::condition::Arith;

/// The unit of `left op right`; `Err` if the two do not go together.
///
/// `None` is a bare number, which takes the unit of what it is beside;
/// [`Unit::None`] is a signal of which nobody knows the unit, and what is
/// reckoned from it has none either.
pub(crate) fn join(
    op: Arith,
    left: Option<Unit>,
    right: Option<Unit>,
) -> Result<Option<Unit>, (Unit, Unit)> {
    let (Some(a), Some(b)) = (left, right) else {
        return Ok(match (op, left, right) {
            // 1 / 5 s is something per second, but of what?
            (Arith::Over, None, Some(unit)) if unit != Unit::Ratio => Some(Unit::None),
            _ => left.or(right),
        });
    };
    let unit = match op {
        Arith::Plus | Arith::Minus => sum(a, b),
        Arith::Times => product(a, b).or_else(|| product(b, a)),
        Arith::Over => quotient(a, b),
    };
    unit.map(Some).ok_or((a, b))
}

fn sum(a: Unit, b: Unit) -> Option<Unit> {
    match (a, b) {
        (Unit::None, other) | (other, Unit::None) => Some(other),
        _ if a == b => Some(a),
        _ => None,
    }
}

fn product(a: Unit, b: Unit) -> Option<Unit> {
    match (a, b) {
        (Unit::None, _) => Some(Unit::None),
        (Unit::Ratio, other) => Some(other),
        // The other way round with a ratio, so that it stays a count.
        (Unit::Count, other) if other != Unit::Ratio => Some(other),
        (Unit::PerSecond, Unit::Seconds) => Some(Unit::Count),
        (Unit::BytesPerSecond, Unit::Seconds) => Some(Unit::Bytes),
        (Unit::PerSecond, Unit::Bytes) => Some(Unit::BytesPerSecond),
        _ => None,
    }
}

fn quotient(a: Unit, b: Unit) -> Option<Unit> {
    match (a, b) {
        (Unit::None, _) | (_, Unit::None) => Some(Unit::None),
        _ if a == b => Some(Unit::Ratio),
        (_, Unit::Ratio | Unit::Count) => Some(a),
        (Unit::Count | Unit::Ratio, Unit::Seconds) | (Unit::BytesPerSecond, Unit::Bytes) => {
            Some(Unit::PerSecond)
        }
        (Unit::Bytes, Unit::Seconds) => Some(Unit::BytesPerSecond),
        // Little's law: how long what is there takes at this rate.
        (Unit::Count, Unit::PerSecond) | (Unit::Bytes, Unit::BytesPerSecond) => Some(Unit::Seconds),
        (Unit::BytesPerSecond, Unit::PerSecond) => Some(Unit::Bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::condition::Arith::{Minus, Over, Plus, Times};

    const ALL: [Unit; 7] = [
        Unit::Ratio,
        Unit::Seconds,
        Unit::Bytes,
        Unit::PerSecond,
        Unit::BytesPerSecond,
        Unit::Count,
        Unit::None,
    ];

    fn unit() -> impl Strategy<Value = Option<Unit>> {
        prop::option::of(prop::sample::select(ALL.to_vec()))
    }

    #[test]
    fn what_goes_together_has_the_unit_a_physicist_would_give_it() {
        use Unit::{Bytes, BytesPerSecond, Count, PerSecond, Ratio, Seconds};
        for (op, a, b, unit) in [
            (Over, PerSecond, PerSecond, Some(Ratio)),
            (Over, Count, PerSecond, Some(Seconds)),
            (Over, Bytes, Seconds, Some(BytesPerSecond)),
            (Over, BytesPerSecond, PerSecond, Some(Bytes)),
            (Over, Seconds, Count, Some(Seconds)),
            (Over, Seconds, Bytes, None),
            (Times, PerSecond, Seconds, Some(Count)),
            (Times, Seconds, BytesPerSecond, Some(Bytes)),
            (Times, Ratio, Seconds, Some(Seconds)),
            (Times, Seconds, Seconds, None),
            (Plus, Seconds, Seconds, Some(Seconds)),
            (Plus, Seconds, Ratio, None),
            (Minus, Count, Bytes, None),
            (Minus, Unit::None, Bytes, Some(Bytes)),
        ] {
            assert_eq!(join(op, Some(a), Some(b)).ok().flatten(), unit, "{a:?} {op} {b:?}");
        }
        assert_eq!(join(Times, None, Some(Seconds)), Ok(Some(Seconds)));
        assert_eq!(join(Over, None, Some(Seconds)), Ok(Some(Unit::None)));
        assert_eq!(join(Plus, None, None), Ok(None));
    }

    proptest! {
        #[test]
        fn sums_and_products_do_not_depend_on_the_order(a in unit(), b in unit()) {
            for op in [Plus, Times] {
                prop_assert_eq!(join(op, a, b).ok(), join(op, b, a).ok());
            }
            prop_assert_eq!(join(Plus, a, b).is_ok(), join(Minus, a, b).is_ok());
        }

        #[test]
        fn dividing_a_product_by_a_factor_gives_the_other_back(a in unit(), b in unit()) {
            // Where no unknown unit swallows it.
            if let (Some(x), Some(y)) = (a, b)
                && x != Unit::None && y != Unit::None
                && let Ok(product) = join(Times, a, b)
            {
                let back = join(Over, product, a).map(Option::unwrap_or_default);
                // A count and a ratio are both pure numbers.
                let pure = |unit| matches!(unit, Ok(Unit::Ratio | Unit::Count));
                prop_assert!(back == Ok(y) || pure(back) && pure(Ok(y)), "{:?} {:?} {:?}", a, b, back);
            }
        }
    }
}
