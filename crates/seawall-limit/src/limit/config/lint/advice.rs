//! What to do about a trap.

use std::fmt;

use super::{Finding, Trap};

impl Finding {
    /// Whether [`LayerConfig::builder`](super::super::LayerConfig::builder) refuses it. Others are logged.
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        matches!(
            self.trap,
            Trap::TrustsEverybody
                | Trap::AllowsEverybody
                | Trap::KeyOfTheClientsChoice
                | Trap::Shadowed
                | Trap::ExemptsEverything
        )
    }

    /// What is wrong, and what to do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self.trap {
            Trap::TrustsEverybody => {
                "clients are in a trusted network and may claim any address; name your proxies only"
            }
            Trap::AllowsEverybody => "most clients pass uncharged; name the few that should",
            Trap::KeyOfTheClientsChoice => {
                "clients write this field as they like and so have as many quotas; charge the client or a verified key"
            }
            Trap::UnverifiedKey => {
                "if clients may choose the value they have as many quotas as they like; verify it in front and say `verified = true`"
            }
            Trap::Shadowed => {
                "an exempt rule covers it, so it charges nothing; narrow that one or drop this one"
            }
            Trap::ExemptsEverything => "nothing is ever charged; give it a path",
            Trap::Redundant => {
                "a wider rule charges the same policies already; drop it or give it a policy of its own"
            }
            Trap::UnusedPolicy => "no rule names it; name it in a rule or drop it",
            Trap::BurstAboveLimit => {
                "an idle client gets more than twice the limit in its first period; lower the burst"
            }
            Trap::Boundary => {
                "twice the limit passes around the turn of a window; use `strict` or `window` unless Node's limiters must be matched"
            }
            Trap::StrictStalls => {
                "the burst leaves hardly anything to refill with; lower it, a fifth of the limit is usual"
            }
            Trap::TotalBelowShare => {
                "one client's share is more than the total for all; raise the total or lower the share"
            }
            Trap::NeverBinds => {
                "another policy of the same rules is tighter in every respect; drop this one"
            }
            Trap::LongPeriod => {
                "a restart forgets what was spent; use a cluster-wide policy for long periods"
            }
            Trap::NothingEnforced => {
                "every policy is a shadow, so nobody is refused; enforce one or take the layer away"
            }
            Trap::NoCandidate => {
                "the candidate is the policy's own quota; drop it or change a number"
            }
            Trap::PartOfOne => {
                "everybody together is one key, which is in the share or not; use 0 or 100"
            }
            Trap::NoException => "it is the policy's own quota; drop it or change a number",
            Trap::MixedSubjects => {
                "equal values of different kinds of subject share a quota; use a policy for each kind"
            }
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}: {}", self.place, self.trap, self.advice())
    }
}
