//! The parts of a layer's configuration.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderName, Method, StatusCode};

use super::LayerConfig;
use crate::client::{ClientIp, ProxyHeader, TIERS};
use crate::error::Error;
use crate::key::Key;
use crate::limit::{Count, Rule, Subject};
use crate::limiter::LimiterBuilder;
use crate::quota::Mode;

/// Keys that have another quota of a policy: see [`LimiterBuilder::exception`].
#[derive(Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct ExceptionConfig {
    /// The policy.
    pub policy: String,
    /// Keys as text; an address stands for the address, and for the text. At
    /// least one. Not printed by `Debug`, as they may be secrets.
    pub keys: Vec<String>,
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
}

/// Which requests meet which policies, and whom those are charged to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct RuleConfig {
    /// A path pattern: see [`Rule::path`]. Default: all paths.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub path: Option<String>,
    /// Instead of a path, all at or under one: see [`Rule::path_prefix`].
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub prefix: Option<String>,
    /// Default: all methods.
    pub methods: Vec<String>,
    /// Names, most specific first.
    pub policies: Vec<String>,
    /// Whom to charge. Default: the client.
    pub subject: SubjectConfig,
    /// What the policies count. Default: requests.
    pub counts: CountConfig,
    /// Says that something in front of this layer has verified the field that
    /// the subject is taken from. Default: false, and [`LayerConfig::lint`] warns.
    pub verified: bool,
    /// Lets the requests pass uncharged. Default: false.
    pub exempt: bool,
}

/// [`Subject`] as plain data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum SubjectConfig {
    /// [`Subject::Client`].
    #[default]
    Client,
    /// [`Subject::Address`].
    Address,
    /// [`Subject::Tiers`].
    Tiers,
    /// [`Subject::Header`], by the field's name.
    Header(String),
    /// [`Subject::Parameter`].
    Parameter(String),
    /// [`Subject::Everybody`].
    Everybody,
}

/// [`Count`] as plain data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum CountConfig {
    /// [`Count::Requests`].
    #[default]
    Requests,
    /// [`Count::Statuses`], by their numbers.
    Statuses(Vec<u16>),
    /// [`Count::Bytes`], by the unit.
    Bytes(u32),
}

/// [`ClientIp`] as plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct ClientConfig {
    /// See [`ClientIp::trusting`]. Default: none.
    pub trusted: Vec<String>,
    /// See [`ClientIp::behind`]; if above 0, it is taken and `trusted` must be
    /// empty. Default: 0.
    pub behind: u8,
    /// Default: `x-forwarded-for`.
    pub header: ProxyHeader,
    /// Default: 64.
    pub ipv6_prefix: u8,
    /// Default: 64, 56, 48.
    pub ipv6_tiers: Vec<u8>,
}

impl ExceptionConfig {
    pub(super) fn add(
        &self,
        builder: LimiterBuilder,
        config: &LayerConfig,
    ) -> Result<LimiterBuilder, Error> {
        let found = config.policies.iter().find(|policy| policy.name == self.policy);
        let usual =
            found.ok_or_else(|| Error::UnknownPolicy { name: self.policy.as_str().into() })?;
        if self.keys.is_empty() {
            return Err(Error::Empty { what: "an exception", of: "key" });
        }
        let quota = usual.varied(self.limit, self.per, self.mode, self.burst, self.debt)?;
        let client = config.client.identity().build()?;
        let addresses = self.keys.iter().filter_map(|key| key.parse::<IpAddr>().ok());
        let mut keys: Vec<Key<'_>> = addresses.map(|ip| Key::Ip(client.group(ip))).collect();
        keys.dedup();
        keys.extend(self.keys.iter().map(Key::from));
        Ok(builder.exception(self.policy.as_str(), quota, keys))
    }
}

impl fmt::Debug for ExceptionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExceptionConfig")
            .field("policy", &self.policy)
            .field("keys", &self.keys.len())
            .field("limit", &self.limit)
            .field("per", &self.per)
            .field("mode", &self.mode)
            .field("burst", &self.burst)
            .field("debt", &self.debt)
            .finish()
    }
}

impl RuleConfig {
    pub(super) fn compile(&self) -> Result<Rule, Error> {
        let rule = match (&self.path, &self.prefix) {
            (None, None) => Rule::any(),
            (Some(path), None) => Rule::path(path),
            (None, Some(prefix)) => Rule::path_prefix(prefix),
            (Some(_), Some(prefix)) => {
                return Err(wrong("prefix", prefix, "left out where there is a path"));
            }
        };
        let methods = self.methods.iter().map(|text| {
            let method = Method::from_bytes(text.as_bytes());
            let known = method.ok().filter(|_| !text.bytes().any(|b| b.is_ascii_lowercase()));
            known.ok_or_else(|| wrong("methods", text, "a method in capitals, such as POST"))
        });
        let rule = methods.collect::<Result<Vec<_>, _>>()?.into_iter().fold(rule, Rule::method);
        let rule = self.policies.iter().fold(rule, |rule, name| rule.policy(name.as_str()));
        let rule = rule.by(self.subject.compile()?).count(self.counts.compile()?);
        Ok(if self.exempt { rule.exempt() } else { rule })
    }
}

impl SubjectConfig {
    fn compile(&self) -> Result<Subject, Error> {
        Ok(match self {
            Self::Client => Subject::Client,
            Self::Address => Subject::Address,
            Self::Tiers => Subject::Tiers,
            Self::Header(name) => {
                let parsed = HeaderName::from_bytes(name.as_bytes());
                Subject::Header(parsed.map_err(|_| wrong("header", name, "the name of a field"))?)
            }
            Self::Parameter(name) => Subject::Parameter(name.as_str().into()),
            Self::Everybody => Subject::Everybody,
        })
    }
}

impl CountConfig {
    fn compile(&self) -> Result<Count, Error> {
        let status = |number: &u16| {
            let unknown =
                |_| wrong("statuses", &number.to_string(), "a status of HTTP, such as 401");
            StatusCode::from_u16(*number).map_err(unknown)
        };
        Ok(match self {
            Self::Requests => Count::Requests,
            Self::Statuses(numbers) => {
                Count::statuses(numbers.iter().map(status).collect::<Result<Vec<_>, _>>()?)
            }
            Self::Bytes(unit) => Count::Bytes { unit: *unit },
        })
    }
}

impl ClientConfig {
    /// As a layer takes it.
    #[must_use]
    pub fn identity(&self) -> ClientIp {
        let client = if self.behind > 0 && self.trusted.is_empty() {
            ClientIp::behind(self.behind)
        } else {
            ClientIp::trusting(&self.trusted)
        };
        client
            .header(self.header)
            .ipv6_prefix(self.ipv6_prefix)
            .ipv6_tiers(self.ipv6_tiers.iter().copied())
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        if self.behind > 0 && !self.trusted.is_empty() {
            crate::error::in_range("behind", self.behind.into(), 0, 0)?;
        }
        Ok(())
    }
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            trusted: Vec::new(),
            behind: 0,
            header: ProxyHeader::default(),
            ipv6_prefix: 64,
            ipv6_tiers: TIERS.to_vec(),
        }
    }
}

fn wrong(field: &'static str, text: &str, expected: &'static str) -> Error {
    let text = text.chars().take(64).collect::<String>().into();
    Error::Text { field, text, expected }
}
