//! One cap on the memory of all caches of a process, and a governor that lowers it when memory
//! runs short.

mod divide;
mod govern;
mod governor;
mod seat;
mod sensor;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use metrics::{Gauge, describe_gauge, gauge};
use parking_lot::Mutex;
use tokio::time::Instant;

use self::divide::{Claim, divide};
pub use self::govern::{GovernorConfig, MemorySample};
pub use self::governor::Governor;
pub(crate) use self::seat::{Member, Seat};
pub use self::sensor::{LinuxMemory, MemorySensor};
use crate::error::ConfigError;

/// A number of bytes that several caches share: see [`CacheBuilder::budget`].
///
/// Each cache has a weight and a floor. It never gets less than its floor; where there is not
/// enough for all, each gets what its weight is of all weights; what a cache does not use is lent
/// to those that do, and taken back when it comes to use it. The capacities of the caches never
/// add up to more than the budget, and one grows only by what others have given back: what they
/// hold stays within the budget, but for the eighth that a policy may be behind by while it is
/// written to.
///
/// ```
/// use seawall_cache::{Budget, Cache, GovernorConfig, LinuxMemory};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let budget = Budget::new(256 << 20)?;
/// let _governor = budget.govern(GovernorConfig::default(), LinuxMemory::new())?;
/// let weigh = |_: &u64, title: Option<&String>| 16 + title.map_or(0, |title| title.len() as u32);
/// let titles: Cache<u64, String> = Cache::local("title")
///     .weigher(weigh)
///     .budget(&budget, 2, 16 << 20)
///     .build()?;
/// # titles.set(&1, "a lamp".to_owned()).await;
/// # assert_eq!(budget.status().used, 22);
/// # Ok(())
/// # }
/// ```
///
/// It is divided anew about once a second while its caches are written to, when a cache joins or
/// leaves, and by a [`Governor`]. Clones share one budget.
///
/// [`CacheBuilder::budget`]: crate::CacheBuilder::budget
#[derive(Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

/// What a budget looks like now.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BudgetStatus {
    /// The whole of it.
    pub bytes: u64,
    /// The part of it that the governor allows; 1 without one.
    pub share: f64,
    /// What its caches hold, in bytes, as their weighers count them.
    pub used: u64,
    /// Its caches, in the order in which they joined.
    pub caches: Vec<BudgetShare>,
}

/// What one cache has of a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetShare {
    /// The namespace of the cache.
    pub cache: Box<str>,
    /// See [`CacheBuilder::budget`](crate::CacheBuilder::budget).
    pub weight: u32,
    /// The same, in bytes.
    pub floor: u64,
    /// What it may hold now, in bytes.
    pub capacity: u64,
    /// What it holds, in bytes.
    pub used: u64,
}

struct Shared {
    bytes: u64,
    state: Mutex<State>,
    share: Gauge,
}

struct State {
    places: Vec<Place>,
    next: u64,
    share: f64,
    /// Who may change the share; 0: nobody.
    governor: u64,
    divided: Option<Instant>,
}

/// What the budget knows of a cache.
struct Place {
    id: u64,
    cache: Box<str>,
    weight: u32,
    floor: u64,
    member: Weak<dyn Member>,
    capacity: Gauge,
}

impl Budget {
    /// A budget of `bytes`, at least 64 KiB.
    ///
    /// # Errors
    /// If `bytes` is less.
    pub fn new(bytes: u64) -> Result<Self, ConfigError> {
        ConfigError::check(bytes >= LEAST, "budget", &bytes, "at least 64 KiB")?;
        describe_gauge!("seawall_cache_budget_bytes", "What the caches of a budget may hold.");
        describe_gauge!("seawall_cache_budget_share", "The part of it that the governor allows.");
        describe_gauge!("seawall_cache_capacity", "What a cache of a budget may hold, in bytes.");
        gauge!("seawall_cache_budget_bytes").set(bytes as f64);
        let share = gauge!("seawall_cache_budget_share");
        share.set(1.0);
        let state = State { places: Vec::new(), next: 1, share: 1.0, governor: 0, divided: None };
        Ok(Self { shared: Arc::new(Shared { bytes, state: Mutex::new(state), share }) })
    }

    /// The whole of it, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.bytes
    }

    /// What it looks like now.
    #[must_use]
    pub fn status(&self) -> BudgetStatus {
        let state = self.shared.state.lock();
        let share = |place: &Place| {
            let member = place.member.upgrade()?;
            Some(BudgetShare {
                cache: place.cache.clone(),
                weight: place.weight,
                floor: place.floor,
                capacity: member.capacity(),
                used: member.used(),
            })
        };
        let caches: Vec<_> = state.places.iter().filter_map(share).collect();
        let used = caches.iter().map(|cache| cache.used).sum();
        BudgetStatus { bytes: self.shared.bytes, share: state.share, used, caches }
    }

    /// Starts a task that looks at memory through `sensor` and lowers what the budget allows when
    /// memory runs short: see [`GovernorConfig`]. It ends when the [`Governor`] is dropped, and the
    /// whole budget is then allowed again. A second governor takes over from the first.
    ///
    /// # Errors
    /// If a field of `config` is out of bounds.
    ///
    /// # Panics
    /// Outside a Tokio runtime with time enabled.
    pub fn govern(
        &self,
        config: GovernorConfig,
        sensor: impl MemorySensor,
    ) -> Result<Governor, ConfigError> {
        config.validate()?;
        let mut state = self.shared.state.lock();
        let id = state.next;
        state.next += 1;
        state.governor = id;
        drop(state);
        Ok(Governor::start(self.clone(), id, config, sensor))
    }

    /// `member` takes part until its seat is dropped.
    pub(crate) fn join(
        &self,
        cache: &str,
        weight: u32,
        floor: u64,
        member: Weak<dyn Member>,
    ) -> Seat {
        // What it may hold is what others have left.
        if let Some(member) = member.upgrade() {
            member.set_capacity(0);
        }
        let mut state = self.shared.state.lock();
        let id = state.next;
        state.next += 1;
        let capacity = gauge!("seawall_cache_capacity", "cache" => cache.to_owned());
        state.places.push(Place { id, cache: cache.into(), weight, floor, member, capacity });
        self.shared.divide(&mut state);
        drop(state);
        Seat::new(self.clone(), id)
    }

    /// A member is gone.
    fn leave(&self, id: u64) {
        let mut state = self.shared.state.lock();
        state.places.retain(|place| place.id != id);
        self.shared.divide(&mut state);
    }

    /// Divides it anew, if that was not done for a while and nobody else is about it.
    fn tick(&self, now: Instant) {
        let Some(mut state) = self.shared.state.try_lock() else {
            return;
        };
        let since = state.divided.map(|divided| now.saturating_duration_since(divided));
        if since.is_none_or(|since| since >= DIVIDE_EVERY) {
            state.divided = Some(now);
            self.shared.divide(&mut state);
        }
    }

    /// Allows `share` of it from now on, if `governor` is the one it has. Returns whether members
    /// have more to give back.
    fn allow(&self, governor: u64, share: f64) -> bool {
        let mut state = self.shared.state.lock();
        if state.governor != governor {
            return false;
        }
        state.share = share;
        self.shared.share.set(share);
        self.shared.divide(&mut state)
    }

    /// `governor` is gone.
    fn release(&self, governor: u64) {
        self.allow(governor, 1.0);
        let mut state = self.shared.state.lock();
        if state.governor == governor {
            state.governor = 0;
        }
    }
}

impl Budget {
    /// Has members give back what is above their capacities: some now. Returns whether there is
    /// more.
    fn settle(&self) -> bool {
        let state = self.shared.state.lock();
        let members: Vec<_> =
            state.places.iter().filter_map(|place| place.member.upgrade()).collect();
        drop(state);
        // All of them, not until one has more.
        members.iter().filter(|member| member.settle()).count() > 0
    }
}

impl Shared {
    /// Gives each member its share: first those that shrink, then those that grow, the latter by
    /// no more than the former have given back already. Returns whether there is more to come.
    fn divide(&self, state: &mut State) -> bool {
        let members: Vec<_> = state
            .places
            .iter()
            .filter_map(|place| Some((place, place.member.upgrade()?)))
            .collect();
        let claim = |(place, member): &(&Place, Arc<dyn Member>)| Claim {
            weight: place.weight,
            floor: place.floor,
            most: member.most(),
            used: member.used(),
        };
        let claims: Vec<_> = members.iter().map(claim).collect();
        let shares = divide((self.bytes as f64 * state.share) as u64, &claims);
        for ((_, member), share) in members.iter().zip(&shares) {
            if *share < member.capacity() {
                member.set_capacity(*share);
            }
        }
        let mut free = self.bytes;
        for (_, member) in &members {
            free = free.saturating_sub(member.used().max(member.capacity()));
        }
        let mut unsettled = false;
        for ((place, member), share) in members.iter().zip(&shares) {
            let capacity = member.capacity();
            let more = share.saturating_sub(capacity);
            // What it is still above its capacity counts already.
            let granted = more.min(free);
            if granted > 0 {
                member.set_capacity(capacity + granted);
                free -= granted;
            }
            unsettled |= granted < more || member.used() > member.capacity();
            place.capacity.set(member.capacity() as f64);
        }
        unsettled
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("bytes", &self.shared.bytes).finish_non_exhaustive()
    }
}

const LEAST: u64 = 64 << 10;

const DIVIDE_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
