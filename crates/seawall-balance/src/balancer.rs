//! The balancer.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::config::BalanceConfig;
use crate::control::Control;
use crate::error::{Error, in_range};
use crate::node::Common;
use crate::pick::{Pick, PickOptions};
use crate::policy::{Picker, Random, Settings};
use crate::probe::Probe;
use crate::ramp;
use crate::shared::Shared;
use crate::state::admit;
use crate::stats::Stats;
use crate::status::{Leaving, NodeStatus, Status};
use crate::view::{Members, View};

/// The greatest weight of a node.
pub const MAX_WEIGHT: u32 = 65_535;

/// A node of the set, by its id, with its weight.
///
/// Ids are shown in errors and events: no secrets in them. Hash policies place a
/// node by the hash of its id.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member<N> {
    /// Of which the set has one.
    pub id: N,
    /// Its part of the load beside others, up to [`MAX_WEIGHT`]; 0 takes no new
    /// work. Default: 1.
    pub weight: u32,
}

impl<N> Member<N> {
    /// With a weight of 1.
    pub const fn new(id: N) -> Self {
        Self { id, weight: 1 }
    }

    /// Sets [`weight`](Self::weight).
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }
}

impl<N> From<N> for Member<N> {
    fn from(id: N) -> Self {
        Self::new(id)
    }
}

/// Picks one of many nodes for each request; clones share everything.
///
/// Every method that needs the time takes it as `now`. It may stand still; from a
/// `now` before one that was seen follows no harm beyond that.
pub struct Balancer<N> {
    shared: Arc<Shared<N>>,
}

impl<N: fmt::Debug + Clone + Eq + Hash> Balancer<N> {
    /// An empty balancer. Its metrics go to the recorder that is installed now.
    ///
    /// # Errors
    /// If the configuration is out of bounds.
    pub fn new(config: BalanceConfig, now: Instant) -> Result<Self, Error> {
        config.validate()?;
        Ok(Self::unchecked(config, now))
    }

    /// Of a configuration that was validated.
    pub(crate) fn unchecked(config: BalanceConfig, now: Instant) -> Self {
        let picker = Picker::new(&config, &[], None);
        let members = Arc::new(Members { nodes: Box::default(), weights: Box::default(), picker });
        let common = Arc::new(Common {
            settings: Settings::new(&config),
            clock: Clock::new(now),
            stats: Stats::new(&config.name),
            consecutive_failures: config.outlier.consecutive_failures,
        });
        let nothing = admit([].into_iter(), &config);
        let seed = config.seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        let shared = Shared {
            common,
            random: Random::new(seed),
            view: ArcSwap::from_pointee(View::new(Arc::clone(&members), nothing, None)),
            due: AtomicU64::new(0),
            control: Mutex::new(Control::new(&config, members)),
            changed: Notify::new(),
            config,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Makes `nodes` the set. Nodes that stay keep all that is known of them, and
    /// nodes that go finish what they have; new ones start slowly, except in the
    /// first set. Costs the policy's table; picks go on meanwhile.
    ///
    /// # Errors
    /// If a node is named twice or a weight is above [`MAX_WEIGHT`]; then nothing changes.
    pub fn update<M: Into<Member<N>>>(
        &self,
        nodes: impl IntoIterator<Item = M>,
        now: Instant,
    ) -> Result<(), Error> {
        let members = checked(nodes)?;
        self.shared.control.lock().replace(&self.shared, members, self.nanos(now))
    }

    /// Adds a node, or changes its weight.
    ///
    /// # Errors
    /// If the weight is above [`MAX_WEIGHT`].
    pub fn insert(&self, node: impl Into<Member<N>>, now: Instant) -> Result<(), Error> {
        self.change([node], &[], now)
    }

    /// Takes a node out of the set, if it is there. It finishes what it has, and
    /// meanwhile is listed under [`Status::leaving`]. A pick that another thread
    /// has begun may still get it. Should it join again, it starts slowly and as if
    /// it had never failed.
    pub fn remove(&self, id: &N, now: Instant) {
        let leave = std::slice::from_ref(id);
        self.shared.control.lock().change(&self.shared, Vec::new(), leave, self.nanos(now));
    }

    /// Adds and removes nodes in one step, so that tables are made once.
    ///
    /// # Errors
    /// If a weight is above [`MAX_WEIGHT`]; then nothing changes.
    pub fn change<M: Into<Member<N>>>(
        &self,
        join: impl IntoIterator<Item = M>,
        leave: &[N],
        now: Instant,
    ) -> Result<(), Error> {
        let join = checked(join)?;
        self.shared.control.lock().change(&self.shared, join, leave, self.nanos(now));
        Ok(())
    }

    /// Gives a node no new work, until [`restore`](Self::restore).
    ///
    /// # Errors
    /// If the set does not have the node.
    pub fn drain(&self, id: &N, now: Instant) -> Result<(), Error> {
        self.shared.control.lock().drain(&self.shared, id, true, self.nanos(now))
    }

    /// Ends [`drain`](Self::drain); the node starts slowly.
    ///
    /// # Errors
    /// If the set does not have the node.
    pub fn restore(&self, id: &N, now: Instant) -> Result<(), Error> {
        self.shared.control.lock().drain(&self.shared, id, false, self.nanos(now))
    }

    /// Tells how far a node is behind; see [`LagConfig`](crate::LagConfig).
    ///
    /// # Errors
    /// If the set does not have the node.
    pub fn set_lag(&self, id: &N, lag: Duration, now: Instant) -> Result<(), Error> {
        self.shared.control.lock().lag(&self.shared, id, lag, self.nanos(now))
    }

    /// Tells what a prober of one's own found, in place of [`due`](Self::due) and its
    /// probes. A node found well after it was found failed starts slowly, and is no
    /// longer ejected, as in Envoy.
    ///
    /// # Errors
    /// If the set does not have the node.
    pub fn set_healthy(&self, id: &N, healthy: bool, now: Instant) -> Result<(), Error> {
        self.shared.control.lock().healthy(&self.shared, id, healthy, self.nanos(now))
    }

    /// Lets a node rest, as [`Outcome::Saturated`](crate::Outcome::Saturated) does.
    ///
    /// # Errors
    /// If the set does not have the node.
    pub fn saturate(&self, id: &N, pause: Duration, now: Instant) -> Result<(), Error> {
        self.shared.control.lock().pause(&self.shared, id, pause, self.nanos(now))
    }

    /// Everything at one moment. Linear; takes the balancer's lock.
    #[must_use]
    pub fn status(&self, now: Instant) -> Status<N> {
        let shared = &*self.shared;
        let now = self.nanos(now);
        let mut control = shared.control.lock();
        control.tick(shared, now);
        let view = shared.view.load();
        let clock = shared.common.clock;
        let full = shared.config.max_outstanding;
        let nodes = control.entries().enumerate().map(|(index, entry)| {
            let (state, node) = (&entry.state, &entry.node);
            let (outstanding, age) = node.outstanding.read(now);
            let reading = node.meter.read(now, outstanding > 0, shared.common.settings.per_decay);
            let began = node.ramp.load(Ordering::Relaxed);
            let until = |nanos: u64| (nanos > 0).then(|| clock.instant(nanos));
            NodeStatus {
                id: node.id.clone(),
                standing: entry.standing(full),
                picked: view.is_open[index] && outstanding < full,
                weight: state.weight,
                ramp: ramp::share(began, now, &shared.config.slow_start),
                outstanding,
                outstanding_age: seconds(age),
                latency: reading.latency.map(seconds),
                success: f64::from(reading.success),
                healthy: state.health.is_healthy(),
                ejected_until: state.ejection.until().and_then(until),
                ejections: state.ejection.times(),
                saturated_until: until(state.saturated_until),
                lag: state.lag.value(),
                draining: state.draining,
            }
        });
        let leaving = control
            .leaving()
            .map(|node| Leaving { id: node.id.clone(), outstanding: node.outstanding.count() });
        Status {
            policy: shared.config.policy,
            panic: view.panic,
            nodes: nodes.collect(),
            leaving: leaving.collect(),
        }
    }
}

impl<N: fmt::Debug> Balancer<N> {
    /// Picks a node.
    ///
    /// Allocates nothing and takes no lock, except that
    /// [`Policy::SmoothWeighted`](crate::Policy::SmoothWeighted) has a short one,
    /// and that the pick which finds an ejection, a pause, a slow start or an
    /// interval at its end makes the change.
    ///
    /// # Errors
    /// If there is none to pick, saying why and how each node stands. All of
    /// these may pass; nothing was sent.
    pub fn pick(&self, options: &PickOptions<'_, N>, now: Instant) -> Result<Pick<N>, Error> {
        self.shared.pick(options, self.nanos(now))
    }

    /// As [`pick`](Self::pick) for those who know what to do without a node and do not
    /// ask why there is none: finding none costs no more than finding one, and is
    /// not counted as refused.
    #[must_use]
    pub fn try_pick(&self, options: &PickOptions<'_, N>, now: Instant) -> Option<Pick<N>> {
        self.shared.try_pick(options, self.nanos(now))
    }

    /// Picks among the nodes that only rest, being saturated, for those who would rather
    /// stand in line there than go without: the one with the fewest requests outstanding for
    /// its weight, whatever the policy. None while no node rests; open ones are not looked
    /// at. Linear.
    #[must_use]
    pub fn try_pick_saturated(
        &self,
        options: &PickOptions<'_, N>,
        now: Instant,
    ) -> Option<Pick<N>> {
        self.shared.pick_resting(options, self.nanos(now))
    }

    /// Picks a node for a request that has no key and no wishes.
    ///
    /// # Errors
    /// As [`pick`](Self::pick).
    pub fn next(&self, now: Instant) -> Result<Pick<N>, Error> {
        self.pick(&PickOptions::new(), now)
    }

    /// Whether a pick would find a node. Reserves nothing. Linear at worst.
    #[must_use]
    pub fn can_pick(&self, options: &PickOptions<'_, N>, now: Instant) -> bool {
        self.shared.can_pick(options, self.nanos(now))
    }

    /// Ends ejections, pauses and slow starts whose time has come, and judges an
    /// interval's statistics. Picks do this by themselves; calling it now and then
    /// keeps the work off them, and keeps metrics right where nothing is picked.
    pub fn tick(&self, now: Instant) {
        let now = self.nanos(now);
        if now >= self.shared.due.load(Ordering::Relaxed) {
            self.shared.tick(now);
        }
    }

    /// A node whose probe is due, the longest overdue first; while the probe is
    /// under way the node has no other. Give its result to [`Probe::finish`].
    #[must_use]
    pub fn due(&self, now: Instant) -> Option<Probe<N>> {
        let node = self.shared.control.lock().due(self.nanos(now))?;
        Some(Probe::new(node, Arc::clone(&self.shared)))
    }

    /// When the next probe is due; none if there are no nodes, or all are being probed.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        let due = self.shared.control.lock().next_due()?;
        Some(self.shared.common.clock.instant(due))
    }

    /// As it was made.
    #[must_use]
    pub fn config(&self) -> &BalanceConfig {
        &self.shared.config
    }

    /// Resolves when the set changed or a probe ended; one change may stand for many.
    pub(crate) async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    fn nanos(&self, now: Instant) -> u64 {
        self.shared.common.clock.nanos(now)
    }
}

fn checked<N, M: Into<Member<N>>>(
    nodes: impl IntoIterator<Item = M>,
) -> Result<Vec<Member<N>>, Error> {
    let check = |member: Member<N>| {
        in_range("weight", f64::from(member.weight), 0.0, f64::from(MAX_WEIGHT))?;
        Ok(member)
    };
    nodes.into_iter().map(|node| check(node.into())).collect()
}

/// Of a measurement that f32 holds; not a number is nothing.
fn seconds(seconds: f32) -> Duration {
    Duration::try_from_secs_f32(seconds).unwrap_or_default()
}

impl<N> Clone for Balancer<N> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<N> fmt::Debug for Balancer<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let view = self.shared.view.load();
        f.debug_struct("Balancer")
            .field("name", &self.shared.config.name)
            .field("policy", &self.shared.config.policy)
            .field("nodes", &view.members.nodes.len())
            .field("open", &view.open.len())
            .finish_non_exhaustive()
    }
}
