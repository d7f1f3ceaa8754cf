use super::Condition;
use super::ast::Comparison;
use super::literal::Literal;
use crate::{Unit, Units};

/// Something a condition says that its author may not have meant.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Lint {
    /// Nobody publishes the signal: the comparison stays unknown.
    #[error("no signal is named `{signal}`: the comparison is never known")]
    UnknownSignal {
        /// Canonical name.
        signal: String,
    },
    /// The literal's unit is not the signal's: the comparison stays unknown.
    #[error("`{signal}` is {unit} and `{literal}` is not: the comparison is never known")]
    OtherUnit {
        /// Canonical name.
        signal: String,
        /// Unit of the signal.
        unit: Unit,
        /// The right-hand side.
        literal: Literal,
    },
    /// A bare number above 1 against a ratio, read as per cent.
    #[error("`{signal}` is a ratio: `{literal}` is read as {}%; write the `%`", .literal.value())]
    ReadAsPercent {
        /// Canonical name.
        signal: String,
        /// The right-hand side.
        literal: Literal,
    },
    /// A bare 1 against a ratio: 100 %, though 1 % may be meant.
    #[error("`{signal}` is a ratio: `1` is read as 100%; write `1%` or `100%`")]
    ReadAsWhole {
        /// Canonical name.
        signal: String,
    },
    /// A bare number against seconds or bytes, read in the base unit.
    #[error("`{signal}` is in {unit}: `{literal}` is read in {unit}; write the unit")]
    ReadInBaseUnit {
        /// Canonical name.
        signal: String,
        /// Unit of the signal.
        unit: Unit,
        /// The right-hand side.
        literal: Literal,
    },
    /// The units of both sides, or of two operands, do not go together.
    #[error("`{comparison}` mixes units that do not go together: it is never known")]
    Mixed {
        /// The comparison.
        comparison: String,
    },
    /// The literal has a unit, but the signal's is not known.
    #[error("the unit of `{signal}` is not known: `{literal}` is compared in base units")]
    UnitNotKnown {
        /// Canonical name.
        signal: String,
        /// The right-hand side.
        literal: Literal,
    },
}

impl Condition {
    /// What looks wrong when the signals have these units: for start-up and
    /// configuration checks. Empty if every literal says what it means.
    #[must_use]
    pub fn lint(&self, units: &Units) -> Vec<Lint> {
        let mut found = Vec::new();
        for comparison in self.comparisons() {
            let before = found.len();
            for side in [&comparison.left, &comparison.right] {
                side.each(&mut |name| {
                    if !units.contains_key(name) {
                        found.push(Lint::UnknownSignal { signal: name.to_owned() });
                    }
                });
            }
            if found.len() > before {
                continue;
            }
            let of = |name: &str| units.get(name).copied().unwrap_or_default();
            let mixed = || Lint::Mixed { comparison: comparison.to_string() };
            let Ok(left) = comparison.left.unit(&of) else {
                found.push(mixed());
                continue;
            };
            // There is a signal on the left, so it has a unit, known or not.
            let unit = left.unwrap_or_default();
            let clear = comparison.clear().map(|(_, literal)| literal);
            match comparison.right.unit(&of) {
                _ if comparison.literal().is_some() => {
                    let read = |literal: Literal| (literal, literal.against(unit));
                    let clear = clear.map(|it| (it, comparison.clear_against(unit)));
                    let literals = comparison.literal().map(read).into_iter().chain(clear);
                    found.extend(literals.filter_map(|it| check(comparison, unit, it)));
                }
                Ok(Some(right)) if unit != right && unit != Unit::None && right != Unit::None => {
                    found.push(mixed());
                }
                Ok(_) => {}
                Err(_) => found.push(mixed()),
            }
        }
        found
    }
}

/// `read` is what the literal is read as, in base units.
fn check(
    comparison: &Comparison,
    unit: Unit,
    (literal, read): (Literal, Option<f64>),
) -> Option<Lint> {
    let signal = comparison.signal().to_owned();
    match (literal.unit(), unit) {
        (Some(_), Unit::None) => Some(Lint::UnitNotKnown { signal, literal }),
        (Some(own), _) if own != unit => Some(Lint::OtherUnit { signal, unit, literal }),
        (None, Unit::Ratio) if read != Some(literal.value()) => {
            Some(Lint::ReadAsPercent { signal, literal })
        }
        (None, Unit::Ratio) if literal.value() == 1.0 => Some(Lint::ReadAsWhole { signal }),
        (None, Unit::Ratio) if literal.value() > 1.0 => {
            Some(Lint::ReadInBaseUnit { signal, unit, literal })
        }
        (None, Unit::Seconds | Unit::Bytes) if literal.value() != 0.0 => {
            Some(Lint::ReadInBaseUnit { signal, unit, literal })
        }
        _ => None,
    }
}
