//! Who goes first: how much a request matters, and whose turn it is among equals.

use std::hash::{BuildHasher as _, Hash};

use foldhash::fast::FixedState;
use tokio::time::Instant;

/// How much it matters that a request is served, after Google's SRE book.
///
/// While there is not room for all, no request of a class is turned away for load as long as
/// one of a lower class is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[expect(clippy::exhaustive_enums, reason = "the four classes of the SRE book")]
pub enum Criticality {
    /// Nobody notices if it fails: prefetching, crawlers, batch work that is tried again.
    Sheddable,
    /// May fail at times: the rest. The default.
    #[default]
    SheddablePlus,
    /// Users see it fail.
    Critical,
    /// What the service is for: placing a bid, paying.
    CriticalPlus,
}

impl Criticality {
    /// All four, least first.
    pub const ALL: [Self; CLASSES] =
        [Self::Sheddable, Self::SheddablePlus, Self::Critical, Self::CriticalPlus];

    /// As in the metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sheddable => "sheddable",
            Self::SheddablePlus => "sheddable_plus",
            Self::Critical => "critical",
            Self::CriticalPlus => "critical_plus",
        }
    }
}

/// A request's place in line. Also a request extension, which
/// [`OverloadLayer`](crate::OverloadLayer) reads.
///
/// Among requests of one class, users are told apart: each is in one of 128 cohorts, by a hash
/// that changes once an hour, and cohorts are turned away one by one (as in WeChat's DAGOR). So
/// one user's requests all pass or all fail, rather than each user losing one in three, and
/// nobody is always last.
///
/// ```
/// use seawall_limit::{Criticality, Priority};
///
/// let bid = Priority::new(Criticality::CriticalPlus).user("alice").quota_used(0.4);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[must_use]
pub struct Priority {
    pub(crate) criticality: Criticality,
    pub(crate) user: Option<u64>,
    pub(crate) quota_used: f32,
}

impl Priority {
    /// Without a user, each request is in a cohort of its own choosing: shed evenly.
    pub const fn new(criticality: Criticality) -> Self {
        Self { criticality, user: None, quota_used: 0.0 }
    }

    /// Whose request it is. Only a hash is kept.
    pub fn user<U: Hash + ?Sized>(mut self, user: &U) -> Self {
        self.user = Some(FixedState::default().hash_one(user));
        self
    }

    /// How much of its quota the client has used, from 0 to 1; what is outside is held at the
    /// bounds, NaN counts as 0. Within a class, a client at 1 is turned away before any at 0.
    pub fn quota_used(mut self, used: f32) -> Self {
        self.quota_used = if used.is_nan() { 0.0 } else { used.clamp(0.0, 1.0) };
        self
    }

    /// The class.
    #[must_use]
    pub const fn criticality(&self) -> Criticality {
        self.criticality
    }

    /// The place among all levels, 0 to 1023, higher is better; `turn` tells apart requests
    /// without a user, `hour` and `seed` decide on the cohorts.
    pub(crate) fn level(&self, turn: u32, hour: u64, seed: u64) -> usize {
        let cohort = match self.user {
            Some(user) => mix(user ^ mix(hour ^ mix(seed))) >> (64 - COHORT_BITS),
            // Evenly spread, whatever the number: the golden ratio's multiples.
            None => u64::from(turn.wrapping_mul(GOLDEN_32) >> (32 - COHORT_BITS)),
        };
        // The upper half of the class for an unused quota, the lower half for a spent one.
        let fresh = f64::from(1.0 - self.quota_used) * f64::from(COHORTS);
        let place = (cohort as usize + fresh as usize).min(PLACES - 1);
        self.criticality as usize * PLACES + place
    }
}

impl From<Criticality> for Priority {
    fn from(criticality: Criticality) -> Self {
        Self::new(criticality)
    }
}

/// When the answer is of no more use to the client, as a request extension. A request that
/// cannot be done by then is not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a named instant")]
pub struct Deadline(pub Instant);

/// How much of its quota the client has used, from 0 to 1, as a request extension: set by a
/// quota layer outside of the overload layer, it takes the place of [`Priority::quota_used`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a named number")]
pub struct QuotaUsed(pub f32);

/// The finaliser of splitmix64.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(GOLDEN);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

pub(crate) const CLASSES: usize = 4;
/// Cohorts of users in each class.
const COHORT_BITS: u32 = 7;
const COHORTS: u32 = 1 << COHORT_BITS;
/// Places in each class: a cohort, moved up by as many as there are for an unused quota.
pub(crate) const PLACES: usize = 2 * COHORTS as usize;
pub(crate) const LEVELS: usize = CLASSES * PLACES;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const GOLDEN_32: u32 = 0x9e37_79b9;
