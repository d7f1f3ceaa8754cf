//! Collecting policies into a limiter.

use std::sync::Arc;

use foldhash::quality::RandomState;

use super::{Inner, Limiter};
use crate::decide::{Entry, Place};
use crate::error::{Error, in_range};
use crate::policy::Policy;
use crate::stats::Stats;
use crate::table::{self, Layout, Table};

/// Policies and the size of the table.
#[derive(Debug, Clone)]
#[must_use = "build() makes the limiter"]
pub struct LimiterBuilder {
    policies: Vec<Policy>,
    max_keys: usize,
}

impl LimiterBuilder {
    /// Adds a policy.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policies.push(policy);
        self
    }

    /// Adds policies, such as those of [`presets`](crate::presets).
    pub fn policies(mut self, policies: impl IntoIterator<Item = Policy>) -> Self {
        self.policies.extend(policies);
        self
    }

    /// About how many keys can be short of their full quota at once. Default:
    /// [`MAX_KEYS`]; at least 1, at most 2^26.
    ///
    /// The table is allocated once, at 1.5 x (8 + 8 x policies, and 8 more for
    /// each in mode `Window` or `Fixed`) bytes a key, and up to half as much for
    /// the overflow: some 5 MB for the default and four policies. A key that has
    /// refilled makes room for others. If there is no room, a key in the table is
    /// never evicted, so no pressure forgives an exhausted one; new keys are then
    /// charged to a sketch, where others may be charged too, until keys refill.
    /// That rejects sooner, never later, and is counted in
    /// `seawall_limit_saturated_total`.
    pub fn max_keys(mut self, max_keys: usize) -> Self {
        self.max_keys = max_keys;
        self
    }

    /// Builds the limiter. Its metrics go to the recorder that is installed now.
    ///
    /// # Errors
    /// If there is no policy or more than [`MAX_POLICIES`], a bad or repeated
    /// name, or a table size out of bounds.
    pub fn build(self) -> Result<Limiter, Error> {
        let Self { policies, max_keys } = self;
        validate(&policies, max_keys)?;
        let entries = entries(&policies);
        let inner = Inner {
            #[cfg(feature = "tower")]
            texts: policies.iter().map(crate::answer::Text::new).collect(),
            table: Table::new(max_keys, layout(&entries)),
            entries,
            seed: RandomState::default(),
            stats: Stats::new(&policies),
            policies: policies.into_boxed_slice(),
        };
        Ok(Limiter { inner: Arc::new(inner) })
    }
}

impl Default for LimiterBuilder {
    fn default() -> Self {
        Self { policies: Vec::new(), max_keys: MAX_KEYS }
    }
}

/// The policies as decisions need them. Times come first in a slot, then counts.
fn entries(policies: &[Policy]) -> Box<[Entry]> {
    let mut counts = policies.len() as u8;
    let mut entry = |(policy, id): (&Policy, u8)| {
        let law = policy.quota().law();
        let count = counts;
        counts += u8::from(law.counts());
        Entry { law, relief: policy.quota().gcra(), id, count }
    };
    policies.iter().zip(0..).map(&mut entry).collect()
}

fn layout(entries: &[Entry]) -> Layout {
    let laws: Box<[Entry]> = entries.into();
    Layout {
        ceilings: entries.iter().map(|entry| entry.relief.ceiling()).collect(),
        counts: entries.iter().filter(|entry| entry.law.counts()).count(),
        inherit: Box::new(move |words, now| {
            for entry in &laws {
                let tat = words[usize::from(entry.id)];
                let state = entry.law.inherit(entry.relief, tat, now);
                entry.store(words, Place::Slot, state);
            }
        }),
    }
}

pub(crate) fn validate(policies: &[Policy], max_keys: usize) -> Result<(), Error> {
    if policies.is_empty() {
        return Err(Error::Empty { what: "a limiter", of: "policy" });
    }
    in_range("policies", policies.len() as u64, 1, MAX_POLICIES as u64)?;
    in_range("max_keys", max_keys as u64, 1, 1 << 26)?;
    for (index, policy) in policies.iter().enumerate() {
        policy.validate()?;
        if policies[..index].iter().any(|earlier| earlier.name() == policy.name()) {
            return Err(Error::DuplicatePolicy { name: policy.name().into() });
        }
    }
    Ok(())
}

/// The default size of a limiter's table, in keys.
pub const MAX_KEYS: usize = 65_536;

/// The most policies that one limiter can have.
pub const MAX_POLICIES: usize = table::MAX_POLICIES;
