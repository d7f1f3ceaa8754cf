use seawall_signal::{Signals, Unit};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::state::{SavedFreeze, SavedPin};
use crate::{Decision, Policy, SavedState, offset};

/// One line of a log. Instants are nanoseconds after the log's beginning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Entry {
    /// The beginning, or a new one.
    Start {
        /// Of this format; 2. Version 1 is read too: it has less.
        version: u32,
        /// The policy.
        policy: Box<Policy>,
        /// The state.
        state: Box<SavedState>,
    },
    /// The policy was replaced.
    Policy {
        /// The new one.
        policy: Box<Policy>,
    },
    /// The size was corrected to what the world says.
    Observe {
        /// Instances.
        current: u32,
    },
    /// The time of day was told.
    Clock {
        /// When.
        at: i64,
        /// Nanoseconds after 1970.
        unix: u64,
    },
    /// An instance became ready.
    Started {
        /// Nanoseconds it took.
        took: u64,
    },
    /// Which instances gave no sample. Since version 2.
    Unsampled {
        /// Their names.
        names: Vec<String>,
    },
    /// An operator froze the group, or lifted it.
    Freeze {
        /// The order.
        freeze: Option<SavedFreeze>,
    },
    /// An operator set the size by hand, or no longer.
    Pin {
        /// The order.
        pin: Option<SavedPin>,
    },
    /// A decision.
    Decided {
        /// When.
        at: i64,
        /// The signals that the policy reads, as they were.
        signals: Vec<Logged>,
        /// The decision.
        decision: Box<Decision>,
        /// Whether it was recorded as carried out; not in a dry run.
        carried_out: bool,
    },
}

/// A signal as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "a name and a sample")]
pub struct Logged {
    /// Canonical name.
    pub name: String,
    /// In base units; what is not a finite number is written as text.
    #[serde(with = "crate::text::number")]
    pub value: f64,
    /// The unit.
    pub unit: Unit,
    /// When the world was like this.
    pub at: i64,
}

impl Logged {
    /// Those of `signals` that `policy` reads.
    pub(super) fn all(policy: &Policy, signals: &Signals, base: Instant) -> Vec<Self> {
        let read = policy.signals().into_iter();
        let known = read.filter_map(|name| Some((name, signals.get(name)?)));
        known
            .map(|(name, sample)| Self {
                name: name.to_owned(),
                value: sample.value,
                unit: sample.unit,
                at: offset::from(base, sample.at),
            })
            .collect()
    }

    pub(super) fn restore(all: &[Self], base: Instant) -> Signals {
        let mut signals = Signals::new();
        for each in all {
            signals.set(&each.name, each.value, each.unit, offset::to(base, each.at));
        }
        signals
    }
}
