//! A whole layer as plain data: policies, exceptions, rules, identity.

mod lint;
mod parts;
#[cfg(feature = "serde")]
mod word;

pub use lint::{Finding, Trap};
pub use parts::{ClientConfig, CountConfig, ExceptionConfig, RuleConfig, SubjectConfig};

use super::gate::Gate;
use super::layer::{LimitLayer, LimitLayerBuilder};
use super::rule::{Limiters, Rule, Rules};
use crate::answer::Answers;
use crate::config::PolicyConfig;
use crate::error::{Error, in_range};
use crate::heritage::Carry;
use crate::limiter::{Limiter, LimiterBuilder, MAX_KEYS};

/// A [`LimitLayer`] as plain data.
///
/// With the feature `serde` it is read from TOML, YAML, JSON and the like;
/// unknown fields are refused, missing ones take their defaults.
///
/// ```toml
/// max_keys = 65536
/// allow = ["10.1.2.3"]
///
/// [client]
/// trusted = ["10.0.0.0/8"]
///
/// [[policies]]
/// name = "all"
/// limit = 10000
/// per = "15m"
///
/// [[policies]]
/// name = "partner"
/// limit = 100
/// per = "1m"
///
/// [[exceptions]]
/// policy = "partner"
/// keys = ["key-of-acme"]
/// limit = 5000
///
/// [[rules]]
/// policies = ["all"]
///
/// [[rules]]
/// prefix = "/api"
/// methods = ["GET", "POST"]
/// policies = ["partner"]
/// subject = { header = "x-api-key" }
/// verified = true
///
/// [[rules]]
/// prefix = "/health"
/// exempt = true
/// ```
///
/// [`lint`](Self::lint) looks for what is allowed and hardly meant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct LayerConfig {
    /// See [`LimiterBuilder::max_keys`]. Default: 65 536.
    pub max_keys: usize,
    /// See [`LimiterBuilder::share_seed`]. Default: 0.
    pub share_seed: u64,
    /// At least one. Default: none.
    pub policies: Vec<PolicyConfig>,
    /// Keys that have another quota of a policy. Default: none.
    pub exceptions: Vec<ExceptionConfig>,
    /// At least one, at most 64, from general to specific. Default: none.
    pub rules: Vec<RuleConfig>,
    /// How the client's address is found. Default: the peer.
    pub client: ClientConfig,
    /// Addresses and networks that pass uncharged. Default: none.
    pub allow: Vec<String>,
    /// How clients are told.
    pub answers: Answers,
    /// What a key has spent of a quota that a reload to this file changes. Default: the same share.
    pub carry: Carry,
}

impl LayerConfig {
    /// Checks everything, and allocates no table worth mentioning. Does not
    /// [`lint`](Self::lint).
    ///
    /// # Errors
    /// The first thing that cannot be kept, with its place.
    pub fn validate(&self) -> Result<(), Error> {
        in_range("max_keys", self.max_keys as u64, 1, 1 << 26)?;
        self.client.validate()?;
        let limiter = self.limiter()?.max_keys(1).build()?;
        for (index, rule) in self.rules.iter().enumerate() {
            let alone = || {
                let limiters = Limiters {
                    local: Some(limiter.clone()),
                    #[cfg(feature = "redis")]
                    cluster: None,
                };
                Rules::compile(limiters, vec![rule.compile()?]).map(drop)
            };
            alone().map_err(|error| error.at("rules", index))?;
        }
        self.over(limiter)?.build().map(drop)
    }

    /// The layer, to which code may add what a file cannot say:
    /// [`key_by`](LimitLayerBuilder::key_by), or an identity that finds the
    /// server's own peer address: `identify(config.client.identity().peer(..))`.
    ///
    /// What [`lint`](Self::lint) warns of is logged.
    ///
    /// # Errors
    /// As [`validate`](Self::validate); and [`Error::Trap`] for the first
    /// finding that is refused.
    pub fn builder(&self) -> Result<LimitLayerBuilder, Error> {
        self.after(None)
    }

    /// The same, taking over from another gate.
    pub(super) fn after(&self, before: Option<&Gate>) -> Result<LimitLayerBuilder, Error> {
        self.validate()?;
        for finding in self.lint() {
            if finding.is_refused() {
                return Err(Error::Trap(Box::new(finding)));
            }
            tracing::warn!(%finding, "a trap in the configuration of quotas");
        }
        let limiter = self.limiter()?.max_keys(self.max_keys);
        let limiter = match before.and_then(Gate::limiter) {
            Some(before) => limiter.after(before.clone(), self.carry),
            None => limiter,
        };
        let said = before.map(Gate::said).unwrap_or_default();
        Ok(self.over(limiter.build()?)?.after_file(said))
    }

    /// The same, made.
    ///
    /// # Errors
    /// As [`builder`](Self::builder).
    pub fn build(&self) -> Result<LimitLayer, Error> {
        self.builder()?.build()
    }

    fn limiter(&self) -> Result<LimiterBuilder, Error> {
        let mut builder = Limiter::builder().share_seed(self.share_seed);
        for (index, policy) in self.policies.iter().enumerate() {
            let policy = policy.compile().and_then(|policy| policy.validate().map(|()| policy));
            builder = builder.policy(policy.map_err(|error| error.at("policies", index))?);
        }
        for (index, exception) in self.exceptions.iter().enumerate() {
            let at = |error: Error| error.at("exceptions", index);
            builder = exception.add(builder, self).map_err(at)?;
        }
        Ok(builder)
    }

    fn over(&self, limiter: Limiter) -> Result<LimitLayerBuilder, Error> {
        let rules: Vec<Rule> =
            self.rules.iter().map(RuleConfig::compile).collect::<Result<_, _>>()?;
        let builder = LimitLayer::new(limiter)
            .identify(self.client.identity())
            .allow(&self.allow)
            .answers(self.answers);
        Ok(rules.into_iter().fold(builder, LimitLayerBuilder::rule))
    }
}

impl Default for LayerConfig {
    fn default() -> Self {
        Self {
            max_keys: MAX_KEYS,
            share_seed: 0,
            policies: Vec::new(),
            exceptions: Vec::new(),
            rules: Vec::new(),
            client: ClientConfig::default(),
            allow: Vec::new(),
            answers: Answers::default(),
            carry: Carry::default(),
        }
    }
}

#[cfg(test)]
mod tests;
