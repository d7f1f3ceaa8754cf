//! A limiter as plain data, for configuration files.

use std::time::Duration;

use crate::error::Error;
use crate::limiter::{Limiter, MAX_KEYS};
use crate::policy::Policy;
use crate::presets;
use crate::quota::{Mode, Quota};
use crate::share::Share;

/// A limiter's policies and size.
///
/// With the feature `serde` it is read from TOML, JSON and the like; unknown
/// fields are refused, missing ones take their defaults.
///
/// ```toml
/// max_keys = 65536
///
/// [[policies]]
/// name = "bids"
/// limit = 50
/// per = "1m"
/// burst = 10
/// message = "Too many bids."
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct LimitConfig {
    /// See [`LimiterBuilder::max_keys`](crate::LimiterBuilder::max_keys). Default: 65 536.
    pub max_keys: usize,
    /// See [`LimiterBuilder::share_seed`](crate::LimiterBuilder::share_seed). Default: 0.
    pub share_seed: u64,
    /// Default: [`presets::auction`].
    pub policies: Vec<PolicyConfig>,
}

/// One policy as plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct PolicyConfig {
    /// 1 to 64 ASCII letters, digits, `_`, `-` or `.`.
    pub name: String,
    /// Units per period, at least 1.
    pub limit: u32,
    /// The period, such as `15m`.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub per: Duration,
    /// `smooth`, `strict`, `window` or `fixed`. Default: smooth.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub mode: Mode,
    /// Units that may be spent at once, at least 1; `smooth` and `strict` only.
    /// Default: the limit; for `strict`, a fifth of it.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub burst: Option<u32>,
    /// Units that settled charges may take beyond the quota. Default: 0.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_default"))]
    pub debt: u32,
    /// What a rejected client reads. Default: [`DEFAULT_MESSAGE`](crate::DEFAULT_MESSAGE).
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub message: Option<String>,
    /// For how many percent of the keys, 0 to 100 in steps of 0.01; the others
    /// are shadowed: see [`Policy::enforced`]. Default: 100.
    #[cfg_attr(feature = "serde", serde(default = "all", skip_serializing_if = "is_all"))]
    pub enforced: Share,
    /// A quota to try in place of this: see [`Policy::candidate`]. Default: none.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub candidate: Option<CandidateConfig>,
}

/// A quota that is tried in place of a policy's own, as plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct CandidateConfig {
    /// Units per period. Default: the policy's.
    pub limit: Option<u32>,
    /// The period. Default: the policy's.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub per: Option<Duration>,
    /// Default: the policy's.
    pub mode: Option<Mode>,
    /// Default: that of the mode.
    pub burst: Option<u32>,
    /// Default: the policy's.
    pub debt: Option<u32>,
    /// For how many percent of the keys it is in force, 0 to 100. Default: 0.
    pub enforced: Share,
}

impl Default for CandidateConfig {
    fn default() -> Self {
        let (limit, per, mode) = (None, None, None);
        Self { limit, per, mode, burst: None, debt: None, enforced: Share::NONE }
    }
}

impl LimitConfig {
    /// Checks every field, and allocates no table.
    ///
    /// # Errors
    /// The first thing that [`build`](Self::build) would refuse.
    pub fn validate(&self) -> Result<(), Error> {
        crate::limiter::validate(&self.compile()?, &[], self.max_keys).map(drop)
    }

    /// Builds the limiter.
    ///
    /// # Errors
    /// If a number or a name is out of bounds, or a name is repeated.
    pub fn build(&self) -> Result<Limiter, Error> {
        Limiter::builder()
            .policies(self.compile()?)
            .max_keys(self.max_keys)
            .share_seed(self.share_seed)
            .build()
    }

    fn compile(&self) -> Result<Vec<Policy>, Error> {
        self.policies.iter().map(PolicyConfig::compile).collect()
    }
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self {
            max_keys: MAX_KEYS,
            share_seed: 0,
            policies: presets::auction().iter().map(PolicyConfig::from).collect(),
        }
    }
}

impl PolicyConfig {
    pub(crate) fn compile(&self) -> Result<Policy, Error> {
        let quota = self.varied(None, None, None, self.burst, None)?;
        let mut policy = Policy::new(self.name.clone(), quota).enforced(self.enforced);
        if let Some(candidate) = &self.candidate {
            policy = policy.candidate(self.candidate(candidate)?, candidate.enforced);
        }
        Ok(match &self.message {
            Some(message) => policy.message(message.clone()),
            None => policy,
        })
    }

    pub(crate) fn candidate(&self, it: &CandidateConfig) -> Result<Quota, Error> {
        self.varied(it.limit, it.per, it.mode, it.burst, it.debt)
    }

    /// The quota with other numbers, where they are given; the burst is the mode's own otherwise.
    pub(crate) fn varied(
        &self,
        limit: Option<u32>,
        per: Option<Duration>,
        mode: Option<Mode>,
        burst: Option<u32>,
        debt: Option<u32>,
    ) -> Result<Quota, Error> {
        let quota = Quota::per(limit.unwrap_or(self.limit), per.unwrap_or(self.per))?
            .in_mode(mode.unwrap_or(self.mode))?;
        let quota = burst.map_or(Ok(quota), |burst| quota.with_burst(burst))?;
        quota.with_debt(debt.unwrap_or(self.debt))
    }
}

impl From<&Policy> for PolicyConfig {
    fn from(policy: &Policy) -> Self {
        let quota = policy.quota();
        Self {
            name: policy.name().to_owned(),
            limit: quota.limit(),
            per: quota.period(),
            mode: quota.mode(),
            burst: (quota.burst() != quota.default_burst()).then_some(quota.burst()),
            debt: quota.debt(),
            message: Some(policy.text().to_owned()),
            enforced: policy.share(),
            candidate: policy.tried().map(|(quota, enforced)| CandidateConfig {
                limit: Some(quota.limit()),
                per: Some(quota.period()),
                mode: Some(quota.mode()),
                burst: (quota.burst() != quota.default_burst()).then_some(quota.burst()),
                debt: Some(quota.debt()),
                enforced,
            }),
        }
    }
}

#[cfg(feature = "serde")]
const fn all() -> Share {
    Share::ALL
}

#[cfg(feature = "serde")]
fn is_all(share: &Share) -> bool {
    *share == Share::ALL
}

#[cfg(feature = "serde")]
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests;
