//! Named signals with units and ages, and the condition language that alerts and scaling share.
//!
//! ```
//! use std::time::Duration;
//! use seawall_signal::{Condition, Evaluator, Signals, Truth, Unit};
//! use tokio::time::Instant;
//!
//! let busy = Condition::parse("cpu_usage > 80% clear < 70% for 2m")?;
//! let mut busy = Evaluator::new(busy);
//!
//! let now = Instant::now();
//! let mut signals = Signals::new();
//! assert_eq!(busy.step(&signals, now), Truth::Unknown); // nothing is known yet
//!
//! signals.set("cpu_usage", 0.91, Unit::Ratio, now);
//! assert_eq!(busy.step(&signals, now), Truth::False); // not for two minutes
//!
//! let later = now + Duration::from_secs(120);
//! signals.set("cpu_usage", 0.85, Unit::Ratio, later);
//! assert_eq!(busy.step(&signals, later), Truth::True);
//!
//! let error = Condition::parse("cpu_usage over 80%").unwrap_err();
//! assert_eq!(error.column(), 11);
//! # Ok::<_, seawall_signal::ParseError>(())
//! ```
//!
//! # When to use it, and when not
//! To decide on measurements: alerts, scaling rules, switches. [`Signals`] keep
//! one sample per name. Windows come from a [`Source`] that has seen every value
//! (the recorder of `seawall-metrics`), or from a [`History`], which remembers
//! the samples of the signals it is told to watch. Not a query language: there
//! are no labels and no joins.
//!
//! # How it works
//! [`Signals`] maps a name to its newest [`Sample`]: value, [`Unit`], time. A
//! [`Condition`] is a bounded tree of comparisons; it answers in three values
//! ([`Truth`]), for **a missing or stale signal is unknown, never zero and never
//! false**. `for` and `clear` need memory, which is a plain value ([`Hold`]) that
//! the caller keeps, or an [`Evaluator`] keeps for it.
//!
//! Everything is pure: no IO, no clock reads, no panics; the caller passes `now`,
//! so that tests, simulators and replays decide exactly as production does.
//!
//! # Consistency and cancel safety
//! Nothing here is shared or asynchronous. Signals iterate in name order.
//!
//! # Cost
//! Evaluating allocates nothing and costs one ordered look-up per signal that
//! is read. Parsing is linear in the text; nesting is bounded at 32 levels. The
//! bench `conditions` measures a thousand of them over ten thousand signals.
//!
//! # Features
//! | feature | what | default |
//! |---|---|---|
//! | `serde` | conditions as their text, rules, settings, units and truth by name | no |

mod algebra;
mod condition;
mod history;
mod naming;
mod rule;
mod signals;
mod source;
mod truth;
mod unit;

pub use condition::{
    Arith, Comparison, Condition, Evaluator, Hold, Lint, Literal, MissingData, Op, ParseError,
    ParseErrorKind, Reading,
};
pub use history::{Aggregate, Function, History, HistoryConfig, HistoryError};
pub use rule::Rule;
pub use signals::{Missing, Sample, Signals, Units};
pub use source::Source;
pub use truth::Truth;
pub use unit::{Shown, Unit};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
