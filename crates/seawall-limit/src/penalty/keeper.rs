//! Standings of all clients, and orders of operators.

use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::RandomState;
use metrics::{Counter, counter, describe_counter};

use super::config::PenaltyConfig;
use super::law::{Event, Law, Standing, State, nanos};
use super::table::{Noted, Table};
use crate::error::Error;
use crate::key::Key;
use crate::moment::Moment;
use crate::table::KeyHash;

/// Who overran of late, and how they stand. Clones share everything.
///
/// ```
/// use std::time::Duration;
/// use seawall_limit::{Penalties, PenaltyConfig, Standing};
/// use tokio::time::Instant;
///
/// let config = PenaltyConfig { challenge_after: 2, block_after: 3, ..PenaltyConfig::default() };
/// let penalties = Penalties::new(&config)?;
/// let now = Instant::now();
/// for _ in 0..2 {
///     penalties.violated("mallory", now);
/// }
/// assert_eq!(penalties.standing("mallory", now), Standing::Challenge);
/// for _ in 0..3 {
///     penalties.violated("mallory", now);
/// }
/// assert_eq!(penalties.blocked_for("mallory", now), Some(Duration::from_secs(300)));
/// penalties.forget("mallory", now);
/// assert_eq!(penalties.standing("mallory", now), Standing::Ok);
/// # Ok::<(), seawall_limit::Error>(())
/// ```
///
/// Of this process: behind a balancer each node has its own. For a block on all
/// nodes at once there is `ClusterLimiter::block`; what that turns away is no
/// violation here.
///
/// A question costs a hash and a look at one set of sixteen slots, under its
/// lock. The table is allocated once: see [`PenaltyConfig::max_keys`]. If it is
/// full of clients that are challenged or blocked, the violations of others go
/// unnoted, which `seawall_limit_penalty_unnoted_total` counts.
#[derive(Clone)]
pub struct Penalties {
    shared: Arc<Shared>,
}

/// Marks a response as a violation: in its extensions, for a
/// `PenaltyLayer` around. Rejections of a
/// `LimitLayer` for a quota have it; a service may say the same of a failed
/// sign-in, or of anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Violation;

struct Shared {
    law: Law,
    table: Table,
    seed: RandomState,
    to: [Counter; 3],
    violations: Counter,
    unnoted: Counter,
}

impl Penalties {
    /// Nobody has violated anything yet.
    ///
    /// # Errors
    /// If a field is out of bounds.
    pub fn new(config: &PenaltyConfig) -> Result<Self, Error> {
        config.validate()?;
        describe_counter!(
            CHANGES,
            "Clients that a violation or an order moved to another standing."
        );
        describe_counter!(VIOLATIONS, "Violations that were told to the penalties.");
        describe_counter!(
            UNNOTED,
            "Violations and orders that found no room, as others are challenged or blocked."
        );
        let to = ["ok", "challenge", "blocked"];
        Ok(Self {
            shared: Arc::new(Shared {
                law: Law::new(config),
                table: Table::new(config.max_keys),
                seed: RandomState::default(),
                to: to.map(|to| counter!(CHANGES, "to" => to)),
                violations: counter!(VIOLATIONS),
                unnoted: counter!(UNNOTED),
            }),
        })
    }

    /// How the client stands.
    #[must_use]
    pub fn standing<'k>(&self, key: impl Into<Key<'k>>, now: impl Into<Moment>) -> Standing {
        self.state(self.hash(key.into()), now.into().nanos()).standing
    }

    /// How long the client is still blocked; `None` if it is not.
    #[must_use]
    pub fn blocked_for<'k>(
        &self,
        key: impl Into<Key<'k>>,
        now: impl Into<Moment>,
    ) -> Option<Duration> {
        let now = now.into().nanos();
        let state = self.state(self.hash(key.into()), now);
        let wait = Duration::from_nanos(state.until.saturating_sub(now));
        (state.standing == Standing::Blocked).then_some(wait)
    }

    /// Notes a violation, and tells how the client stands now.
    pub fn violated<'k>(&self, key: impl Into<Key<'k>>, now: impl Into<Moment>) -> Standing {
        self.violation(self.hash(key.into()), now.into().nanos())
    }

    /// An operator says how a client stands for so long: blocked, challenged,
    /// or, as a pardon, ok. Meanwhile violations change nothing; afterwards the
    /// client is ok. Tells whether there was room to note it.
    pub fn order<'k>(
        &self,
        key: impl Into<Key<'k>>,
        standing: Standing,
        lasts: Duration,
        now: impl Into<Moment>,
    ) -> bool {
        let event = Event::Order(standing, nanos(lasts));
        self.note(self.hash(key.into()), event, now.into().nanos()).is_some()
    }

    /// An operator takes back whatever there is: counts, penalties and orders.
    pub fn forget<'k>(&self, key: impl Into<Key<'k>>, now: impl Into<Moment>) {
        let _ = self.note(self.hash(key.into()), Event::Forget, now.into().nanos());
    }

    /// How many clients are challenged, or blocked; of those that are ok, how
    /// many have violated something of late. Walks the whole table, one lock at a
    /// time: for a gauge.
    #[must_use]
    pub fn count(&self, standing: Standing, now: impl Into<Moment>) -> usize {
        self.shared.table.count(standing, &self.shared.law, now.into().nanos())
    }

    pub(crate) fn hash(&self, key: Key<'_>) -> KeyHash {
        KeyHash::new(self.shared.seed.hash_one(key))
    }

    pub(crate) fn state(&self, key: KeyHash, now: u64) -> State {
        self.shared.table.get(key, &self.shared.law, now)
    }

    pub(crate) fn violation(&self, key: KeyHash, now: u64) -> Standing {
        self.shared.violations.increment(1);
        self.note(key, Event::Violation, now).unwrap_or_default()
    }

    fn note(&self, key: KeyHash, event: Event, now: u64) -> Option<Standing> {
        let Shared { law, table, .. } = &*self.shared;
        match table.note(key, event, law, now) {
            Noted::Changed(before, after) => {
                if before.standing != after.standing {
                    let to = match after.standing {
                        Standing::Ok => 0,
                        Standing::Challenge => 1,
                        Standing::Blocked => 2,
                    };
                    self.shared.to[to].increment(1);
                }
                Some(after.standing)
            }
            Noted::Full => {
                self.shared.unnoted.increment(1);
                None
            }
        }
    }
}

impl fmt::Debug for Penalties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Penalties").field("law", &self.shared.law).finish_non_exhaustive()
    }
}

const CHANGES: &str = "seawall_limit_penalty_changes_total";
const VIOLATIONS: &str = "seawall_limit_penalty_violations_total";
const UNNOTED: &str = "seawall_limit_penalty_unnoted_total";
