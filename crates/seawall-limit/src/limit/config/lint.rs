//! Traps: what is allowed, and hardly meant.

mod advice;

use std::time::Duration;

use super::LayerConfig;
use super::parts::{RuleConfig, SubjectConfig};
use crate::client::Network;
use crate::config::{CandidateConfig, PolicyConfig};
use crate::quota::Mode;
use crate::share::Share;

/// A trap in a [`LayerConfig`], where it is, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Such as `rules[2]`, counted from 0, or `client.trusted`.
    pub place: String,
    /// What it is.
    pub trap: Trap,
}

/// What [`LayerConfig::lint`] looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trap {
    /// A network of proxies so wide (IPv4 below /7, IPv6 below /16) that clients
    /// are in it, who may then claim to be anybody. Refused.
    TrustsEverybody,
    /// The same for those who pass uncharged. Refused.
    AllowsEverybody,
    /// The subject comes from a field that every client writes as it likes
    /// (`User-Agent`, `X-Forwarded-For`, `Cookie` and the like). Refused.
    KeyOfTheClientsChoice,
    /// The subject comes from a field of which nobody says that it is verified.
    UnverifiedKey,
    /// An exempt rule covers the whole of this one, which so charges nothing. Refused.
    Shadowed,
    /// A rule without path and method is exempt: nothing is charged. Refused.
    ExemptsEverything,
    /// Another rule, which covers the whole of this one, charges all of its
    /// policies to the same subject; a policy counts once.
    Redundant,
    /// No rule names the policy.
    UnusedPolicy,
    /// A burst above the limit: an idle client gets more than twice the limit
    /// in its first period.
    BurstAboveLimit,
    /// Fixed windows: twice the limit around the turn of a window.
    Boundary,
    /// A strict quota with a burst of more than nine tenths of its limit: hardly
    /// anything is left to refill with.
    StrictStalls,
    /// A total for everybody below the share of one: the first takes it all.
    TotalBelowShare,
    /// A policy that is charged by the same rules as another to the same
    /// subject, and is in no respect tighter: it never rejects.
    NeverBinds,
    /// A period above a day, in a table that a restart empties.
    LongPeriod,
    /// An exception whose quota is the policy's own.
    NoException,
    /// No policy is enforced for any key: the layer refuses nobody.
    NothingEnforced,
    /// A candidate with the policy's own quota.
    NoCandidate,
    /// A policy that is charged to everybody together is in force for a share
    /// of the keys: there is one key, so it is in force for all or for none.
    PartOfOne,
    /// One policy is charged to different kinds of subject: equal values of both
    /// share a quota.
    MixedSubjects,
}

impl LayerConfig {
    /// Looks for traps, in the order of the fields. Takes for granted that
    /// [`validate`](Self::validate) is content.
    #[must_use]
    pub fn lint(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut add = |place: String, trap| findings.push(Finding { place, trap });
        if self.client.trusted.iter().any(|text| is_wide(text)) {
            add("client.trusted".into(), Trap::TrustsEverybody);
        }
        if self.allow.iter().any(|text| is_wide(text)) {
            add("allow".into(), Trap::AllowsEverybody);
        }
        for (index, policy) in self.policies.iter().enumerate() {
            let place = || format!("policies[{index}] ({})", policy.name);
            for trap in self.of_policy(policy) {
                add(place(), trap);
            }
        }
        if !self.policies.is_empty() && self.policies.iter().all(|it| it.enforced == Share::NONE) {
            add("policies".into(), Trap::NothingEnforced);
        }
        for (index, exception) in self.exceptions.iter().enumerate() {
            let usual = self.policies.iter().find(|policy| policy.name == exception.policy);
            let same = |usual: &PolicyConfig| {
                exception.limit.is_none_or(|limit| limit == usual.limit)
                    && exception.per.is_none_or(|per| per == usual.per)
                    && exception.mode.is_none_or(|mode| mode == usual.mode)
                    && exception.burst == usual.burst
                    && exception.debt.is_none_or(|debt| debt == usual.debt)
            };
            if usual.is_some_and(same) {
                add(format!("exceptions[{index}]"), Trap::NoException);
            }
        }
        for (index, rule) in self.rules.iter().enumerate() {
            for trap in self.of_rule(index, rule) {
                add(format!("rules[{index}]"), trap);
            }
        }
        findings
    }

    fn of_policy(&self, policy: &PolicyConfig) -> Vec<Trap> {
        let users = self.users(&policy.name);
        let first = users.first().map(|rule| &rule.subject);
        let burst = policy.burst.unwrap_or(policy.limit);
        let others = self.policies.iter().filter(|other| other.name != policy.name);
        let binds_before = |other: &PolicyConfig| {
            !users.is_empty()
                // What is on trial may come to bind, or is not there to bind before.
                && other.enforced == Share::ALL
                && [other, policy].iter().all(|it| it.candidate.is_none())
                && self.users(&other.name) == users
                && first != Some(&SubjectConfig::Tiers)
                && other.never_laxer(policy)
        };
        let total = users.iter().any(|rule| rule.subject == SubjectConfig::Everybody);
        let share_is_larger = |share: &PolicyConfig| {
            let users = self.users(&share.name);
            users.iter().any(|rule| rule.subject != SubjectConfig::Everybody)
                && share.rate() > policy.rate()
        };
        let candidate = policy.candidate.as_ref();
        let no_candidate = |candidate: &CandidateConfig| {
            let usual = policy.varied(None, None, None, policy.burst, None);
            usual.is_ok_and(|usual| policy.candidate(candidate).is_ok_and(|quota| quota == usual))
        };
        let is_partial = policy.enforced.is_partial()
            || candidate.is_some_and(|candidate| candidate.enforced.is_partial());
        let found = [
            (Trap::NoCandidate, candidate.is_some_and(no_candidate)),
            (Trap::PartOfOne, total && is_partial),
            (Trap::UnusedPolicy, users.is_empty()),
            (Trap::BurstAboveLimit, burst > policy.limit),
            (Trap::Boundary, policy.mode == Mode::Fixed),
            (
                Trap::StrictStalls,
                policy.mode == Mode::Strict
                    && policy.burst.is_some_and(|burst| burst > policy.limit / 10 * 9)
                    && policy.limit >= 10,
            ),
            (Trap::TotalBelowShare, total && self.policies.iter().any(share_is_larger)),
            (Trap::NeverBinds, others.into_iter().any(binds_before)),
            (Trap::LongPeriod, policy.per > DAY),
            (Trap::MixedSubjects, users.iter().any(|rule| first != Some(&rule.subject))),
        ];
        found.into_iter().filter_map(|(trap, is)| is.then_some(trap)).collect()
    }

    fn of_rule(&self, index: usize, rule: &RuleConfig) -> Vec<Trap> {
        let others = || {
            let all = self.rules.iter().enumerate();
            all.filter(|(other, _)| *other != index).map(|(other, rule)| (other < index, rule))
        };
        let chosen = |name: &str| CHOSEN.iter().any(|chosen| name.eq_ignore_ascii_case(chosen));
        let field = match &rule.subject {
            SubjectConfig::Header(name) => Some(name),
            _ => None,
        };
        let everything = rule.path.is_none() && rule.prefix.is_none() && rule.methods.is_empty();
        let charges_all = |other: &RuleConfig| {
            rule.policies.iter().all(|name| other.policies.contains(name))
                && other.subject == rule.subject
        };
        let redundant = others().any(|(earlier, other)| {
            !rule.exempt && !other.exempt && charges_all(other) && other.covers(rule)
                // Of two that are alike, the second.
                && (earlier || !(rule.covers(other) && rule.policies == other.policies))
        });
        let shadowed = others().any(|(_, other)| other.exempt && other.covers(rule));
        let found = [
            (Trap::ExemptsEverything, rule.exempt && everything),
            (Trap::Shadowed, !rule.exempt && shadowed),
            (Trap::Redundant, redundant),
            (Trap::KeyOfTheClientsChoice, field.is_some_and(|name| chosen(name))),
            (Trap::UnverifiedKey, !rule.verified && field.is_some_and(|name| !chosen(name))),
        ];
        found.into_iter().filter_map(|(trap, is)| is.then_some(trap)).collect()
    }

    fn users(&self, policy: &str) -> Vec<&RuleConfig> {
        let names = |rule: &&RuleConfig| rule.policies.iter().any(|name| name == policy);
        self.rules.iter().filter(names).collect()
    }
}

impl PolicyConfig {
    /// Units per period of a day, for comparing.
    fn rate(&self) -> u128 {
        u128::from(self.limit) * DAY.as_nanos() / self.per.as_nanos().max(1)
    }

    /// Whether whatever this admits, the other admits as well: both as buckets.
    fn never_laxer(&self, other: &Self) -> bool {
        let burst = |policy: &Self| policy.burst.unwrap_or(policy.limit);
        let (own, theirs) = ((burst(self), self.rate()), (burst(other), other.rate()));
        self.mode == Mode::Smooth
            && other.mode == Mode::Smooth
            && own.0 <= theirs.0
            && own.1 <= theirs.1
            // Of two that are alike, one is enough to name.
            && (own != theirs || self.name < other.name)
    }
}

impl RuleConfig {
    /// Whether every request that meets the other meets this.
    fn covers(&self, other: &Self) -> bool {
        let methods = self.methods.is_empty()
            || (!other.methods.is_empty()
                && other.methods.iter().all(|method| {
                    self.methods.contains(method)
                        || (method == "HEAD" && self.methods.iter().any(|own| own == "GET"))
                }));
        methods && self.covers_path(other)
    }

    fn covers_path(&self, other: &Self) -> bool {
        let Some((own, own_whole)) = self.segments() else { return true };
        let Some((theirs, their_whole)) = other.segments() else { return false };
        let each =
            own.iter().zip(&theirs).all(|(own, theirs)| own.starts_with('{') || own == theirs);
        each && if own_whole {
            their_whole && own.len() == theirs.len()
        } else {
            own.len() <= theirs.len()
        }
    }

    /// The segments, and whether they are the whole path; `None` for any path.
    fn segments(&self) -> Option<(Vec<&str>, bool)> {
        let (text, whole) = match (&self.path, &self.prefix) {
            (Some(path), _) => (path, !path.contains("{*")),
            (None, Some(prefix)) => (prefix, false),
            (None, None) => return None,
        };
        Some((text.split('/').filter(|segment| !segment.is_empty()).collect(), whole))
    }
}

fn is_wide(text: &str) -> bool {
    text.parse::<Network>().is_ok_and(|network| {
        network.prefix() < if network.first().is_ipv4() { 7 } else { 16 }
            // fc00::/7 is a network of one's own.
            && network != Network::new([0xfc00, 0, 0, 0, 0, 0, 0, 0].into(), 7)
    })
}

const DAY: Duration = Duration::from_secs(86_400);

/// Fields that any client sends with any value.
const CHOSEN: [&str; 12] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "cookie",
    "forwarded",
    "host",
    "origin",
    "referer",
    "user-agent",
    "x-forwarded-for",
    "x-real-ip",
    "x-request-id",
];
