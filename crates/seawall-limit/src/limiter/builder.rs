//! Collecting policies into a limiter.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::quality::RandomState;

use super::{Inner, Limiter};
use crate::decide::{Entry, Place};
use crate::error::{Error, in_range};
use crate::exception::{self, Exception, Keys};
use crate::heritage::{Carry, Heritage};
use crate::key::Key;
use crate::policy::Policy;
use crate::quota::Quota;
use crate::share::Share;
use crate::stats::Stats;
use crate::table::{self, KeyHash, Layout, Table};
use crate::trial::{self, Twin};

/// Policies and the size of the table.
#[derive(Debug, Clone)]
#[must_use = "build() makes the limiter"]
pub struct LimiterBuilder {
    policies: Vec<Policy>,
    exceptions: Vec<Exception>,
    max_keys: usize,
    share_seed: u64,
    after: Option<Limiter>,
    carry: Carry,
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

    /// Picks which keys are in a [`Share`](crate::Share): the same on every node
    /// that has the same number. Another number picks other keys. Default: 0,
    /// with which a client who may choose its key can work out its side.
    pub fn share_seed(mut self, seed: u64) -> Self {
        self.share_seed = seed;
        self
    }

    /// Takes over what keys have spent from another limiter.
    #[cfg_attr(not(feature = "tower"), allow(dead_code, reason = "layers reload"))]
    pub(crate) fn after(mut self, before: Limiter, carry: Carry) -> Self {
        self.after = Some(before);
        self.carry = carry;
        self
    }

    /// Builds the limiter. Its metrics go to the recorder that is installed now.
    ///
    /// # Errors
    /// If there is no policy or more than [`MAX_POLICIES`], a bad or repeated
    /// name, or a table size out of bounds; if an exception has no key, is from a
    /// policy that is not there, or a key has two from one policy.
    pub fn build(self) -> Result<Limiter, Error> {
        let after = self.after.as_ref().map(Limiter::shared);
        // The same hash of the same key.
        let seed = after.map_or_else(RandomState::default, |before| before.seed.clone());
        self.seeded(seed)
    }

    fn seeded(self, seed: RandomState) -> Result<Limiter, Error> {
        let instead = validate(&self.policies, &self.exceptions, self.max_keys)?;
        let twin = self.twin(&seed)?;
        let Self { mut policies, exceptions, max_keys, share_seed, after, carry } = self;
        let after = after.as_ref().map(Limiter::shared);
        let names: Vec<String> = policies.iter().map(|policy| policy.name().to_owned()).collect();
        let heritage = after.map(|before| Heritage::after(Arc::clone(before), &names, carry));
        let tag = |key: Key<'_>| KeyHash::new(seed.hash_one(key)).tag;
        let exceptions = exception::by_key(&policies, &exceptions, tag);
        let named = policies.len();
        let names_id = |name: &str| (0..).zip(&names).find(|(_, known)| *known == name);
        let mut usual: Vec<u8> = (0..named as u8).collect();
        usual.extend(instead.iter().filter_map(|it| names_id(it.name())).map(|(id, _)| id));
        policies.extend(instead);
        let mut candidates = vec![None; named].into_boxed_slice();
        for id in 0..named {
            if let Some((_, share)) = policies[id].tried()
                && share != Share::NONE
            {
                candidates[id] = Some(policies.len() as u8);
                usual.push(id as u8);
                policies.push(policies[id].promoted());
            }
        }
        let entries = entries(&policies);
        let inner = Inner {
            #[cfg(feature = "tower")]
            texts: policies.iter().map(crate::answer::Text::new).collect(),
            table: Table::new(max_keys, layout(&entries)),
            entries,
            exceptions,
            heritage: heritage.unwrap_or_default(),
            named,
            usual: usual.into(),
            candidates,
            twin,
            share_seed,
            seed,
            stats: Stats::new(&policies),
            policies: policies.into_boxed_slice(),
        };
        if inner.twin.is_some() || after.is_some_and(|before| before.twin.is_some()) {
            trial::tell_shares(&inner.policies[..named]);
        }
        Ok(Limiter { inner: Arc::new(inner) })
    }

    /// What would be enforced if all trials ended well, in a table of its own.
    fn twin(&self, seed: &RandomState) -> Result<Option<Twin>, Error> {
        if !self.policies.iter().any(Policy::is_on_trial) {
            return Ok(None);
        }
        let before = self.after.as_ref().map(|before| {
            let twin = before.shared().twin.as_ref();
            twin.map_or_else(|| before.clone(), |twin| twin.limiter().clone())
        });
        let promoted = Self {
            policies: self.policies.iter().map(Policy::promoted).collect(),
            after: before,
            ..self.clone()
        };
        Ok(Some(Twin::new(promoted.seeded(seed.clone())?, &self.policies)))
    }
}

impl Default for LimiterBuilder {
    fn default() -> Self {
        Self {
            policies: Vec::new(),
            exceptions: Vec::new(),
            max_keys: MAX_KEYS,
            share_seed: 0,
            after: None,
            carry: Carry::Share,
        }
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
    let in_part = |policy: &&Policy| policy.tried().is_some_and(|(_, share)| share != Share::NONE);
    let candidates = policies.iter().filter(in_part).count();
    let all = policies.len() + exceptions.len() + candidates;
    in_range("policies", all as u64, 1, MAX_POLICIES as u64)?;
    in_range("max_keys", max_keys as u64, 1, 1 << 26)?;
    let partial = |policy: &&Policy| {
        policy.share().is_partial() || policy.tried().is_some_and(|(_, share)| share.is_partial())
    };
    let partial = policies.iter().filter(partial).count();
    in_range("policies enforced in part", partial as u64, 0, trial::MAX_PARTIAL as u64)?;
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
