//! Collecting policies into a limiter.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::quality::RandomState;

use super::{Inner, Limiter};
use crate::decide::{Entry, Place};
use crate::error::{Error, in_range};
use crate::exception::{self, Exception, Keys};
use crate::heritage::Heritage;
use crate::key::Key;
use crate::policy::Policy;
use crate::quota::Quota;
use crate::stats::Stats;
use crate::table::{self, KeyHash, Layout, Table};

/// Policies and the size of the table.
#[derive(Debug, Clone)]
#[must_use = "build() makes the limiter"]
pub struct LimiterBuilder {
    policies: Vec<Policy>,
    exceptions: Vec<Exception>,
    max_keys: usize,
    after: Option<Limiter>,
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

    /// Gives some keys another quota of a policy, wherever the policy is charged.
    /// It has the policy's name and message, and counts as one more policy: each
    /// takes 8 or 16 bytes of every key's slot, and all together are at most
    /// [`MAX_POLICIES`]. Looking for exceptions costs a check one more look-up
    /// in a map, if its policies have any.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_limit::{Limiter, Policy, Quota};
    /// # use tokio::time::Instant;
    /// let minute = Duration::from_secs(60);
    /// let limiter = Limiter::builder()
    ///     .policy(Policy::new("api", Quota::per(100, minute)?))
    ///     .exception("api", Quota::per(5_000, minute)?, ["partner-1", "partner-2"])
    ///     .build()?;
    /// let set = limiter.set(&["api"])?;
    /// let now = Instant::now();
    /// assert_eq!(limiter.check("partner-1", &set, now).limit(), 5_000);
    /// assert_eq!(limiter.check("somebody", &set, now).limit(), 100);
    /// # Ok::<(), seawall_limit::Error>(())
    /// ```
    pub fn exception<'k, K: Into<Key<'k>>>(
        mut self,
        policy: impl Into<Box<str>>,
        quota: Quota,
        keys: impl IntoIterator<Item = K>,
    ) -> Self {
        let keys = Keys::new(keys.into_iter().map(Into::into));
        self.exceptions.push(Exception { policy: policy.into(), quota, keys });
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

    /// Takes over what keys have spent from another limiter.
    #[cfg_attr(not(feature = "tower"), allow(dead_code, reason = "layers reload"))]
    pub(crate) fn after(mut self, before: Limiter) -> Self {
        self.after = Some(before);
        self
    }

    /// Builds the limiter. Its metrics go to the recorder that is installed now.
    ///
    /// # Errors
    /// If there is no policy or more than [`MAX_POLICIES`], a bad or repeated
    /// name, or a table size out of bounds; if an exception has no key, is from a
    /// policy that is not there, or a key has two from one policy.
    pub fn build(self) -> Result<Limiter, Error> {
        let Self { mut policies, exceptions, max_keys, after } = self;
        let instead = validate(&policies, &exceptions, max_keys)?;
        let after = after.as_ref().map(Limiter::shared);
        // The same hash of the same key.
        let seed = after.map_or_else(RandomState::default, |before| before.seed.clone());
        let names: Vec<String> = policies.iter().map(|policy| policy.name().to_owned()).collect();
        let heritage = after.map(|before| Heritage::after(Arc::clone(before), &names));
        let tag = |key: Key<'_>| KeyHash::new(seed.hash_one(key)).tag;
        let exceptions = exception::by_key(&policies, &exceptions, tag);
        let named = policies.len();
        policies.extend(instead);
        let entries = entries(&policies);
        let inner = Inner {
            #[cfg(feature = "tower")]
            texts: policies.iter().map(crate::answer::Text::new).collect(),
            table: Table::new(max_keys, layout(&entries)),
            entries,
            exceptions,
            heritage: heritage.unwrap_or_default(),
            named,
            seed,
            stats: Stats::new(&policies),
            policies: policies.into_boxed_slice(),
        };
        Ok(Limiter { inner: Arc::new(inner) })
    }
}

impl Default for LimiterBuilder {
    fn default() -> Self {
        Self { policies: Vec::new(), exceptions: Vec::new(), max_keys: MAX_KEYS, after: None }
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

/// Checks everything, and gives the policies that stand in for others.
pub(crate) fn validate(
    policies: &[Policy],
    exceptions: &[Exception],
    max_keys: usize,
) -> Result<Vec<Policy>, Error> {
    if policies.is_empty() {
        return Err(Error::Empty { what: "a limiter", of: "policy" });
    }
    let all = policies.len() + exceptions.len();
    in_range("policies", all as u64, 1, MAX_POLICIES as u64)?;
    in_range("max_keys", max_keys as u64, 1, 1 << 26)?;
    for (index, policy) in policies.iter().enumerate() {
        policy.validate()?;
        if policies[..index].iter().any(|earlier| earlier.name() == policy.name()) {
            return Err(Error::DuplicatePolicy { name: policy.name().into() });
        }
    }
    exception::policies(policies, exceptions)
}

/// The default size of a limiter's table, in keys.
pub const MAX_KEYS: usize = 65_536;

/// The most policies that one limiter can have.
pub const MAX_POLICIES: usize = table::MAX_POLICIES;
