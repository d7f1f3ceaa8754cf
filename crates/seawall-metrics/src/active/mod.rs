//! How many different users or sessions there were lately.

mod config;
mod sketch;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Gauge, describe_gauge, gauge};
use parking_lot::Mutex;
use seawall_signal::{Signals, Source, Unit};
use tokio::time::{Instant, MissedTickBehavior, interval};

pub use config::ActiveConfig;
pub use sketch::Sketch;

use crate::error::Error;

/// Counts different identities over a sliding window: active users, sessions.
///
/// ```
/// use seawall_metrics::{Active, ActiveConfig};
///
/// let users = Active::new("active_users", ActiveConfig::default())?;
/// for id in 0..1000 {
///     users.seen(format!("user-{}", id % 250));
/// }
/// let estimate = users.estimate();
/// assert!((estimate - 250.0).abs() < 250.0 * 0.05, "{estimate}");
/// # Ok::<_, seawall_metrics::Error>(())
/// ```
///
/// The window is a ring of sketches ([`Sketch`]: HyperLogLog), one per step; the
/// estimate is that of their union. It covers at least
/// [`window`](ActiveConfig::window), and at most one step more. Memory: `steps +
/// 2` times 2^`precision` bytes, 32 KiB by default, however many there are.
///
/// `seen` takes no lock (but the one of a step's first, which clears the oldest
/// sketch), allocates nothing, and costs a hash and an atomic maximum. Cheap to
/// clone; clones share the window. Nothing is kept of an identity but where its
/// hash fell. The hash is known to everybody: whoever chooses identities freely
/// can make the estimate as large as they like, so count those that you gave out
/// (accounts, sessions), and decide on no others.
///
/// The gauge of this name is set by [`publish`](Self::publish) or
/// [`run`](Self::run), and NaN before; as a [`Source`] it feeds a signal of this name.
#[derive(Clone)]
pub struct Active {
    shared: Arc<Shared>,
}

struct Shared {
    name: Box<str>,
    config: ActiveConfig,
    start: Instant,
    step: Duration,
    slots: Box<[Slot]>,
    clearing: Mutex<()>,
    gauge: Gauge,
}

/// What was seen in one step.
struct Slot {
    /// The step, counted from 1; 0 if it was never used.
    of: AtomicU64,
    registers: Box<[AtomicU8]>,
}

impl Active {
    /// Nobody was seen yet. The gauge belongs to the recorder that is current
    /// now.
    ///
    /// # Errors
    /// [`Error::Config`] for a setting out of bounds.
    pub fn new(name: &str, config: ActiveConfig) -> Result<Self, Error> {
        config.validate()?;
        describe_gauge!(name.to_owned(), "Different ones seen within the window, estimated.");
        let slot = || Slot {
            of: AtomicU64::new(0),
            registers: (0..1_usize << config.precision).map(|_| AtomicU8::new(0)).collect(),
        };
        let slots = (0..config.steps + 2).map(|_| slot()).collect();
        let step = config.window / config.steps;
        let gauge = gauge!(name.to_owned());
        // Not zero: nobody has published how many there are.
        gauge.set(f64::NAN);
        let shared = Shared {
            name: name.into(),
            step,
            slots,
            start: Instant::now(),
            clearing: Mutex::new(()),
            gauge,
            config,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Notes that `id` was active now.
    pub fn seen(&self, id: impl AsRef<[u8]>) {
        self.seen_at(id, Instant::now());
    }

    /// Notes that `id` was active at `now`, which may lie a little before what
    /// was noted last.
    pub fn seen_at(&self, id: impl AsRef<[u8]>, now: Instant) {
        let shared = &*self.shared;
        let (register, rank) = sketch::place(sketch::hash(id.as_ref()), shared.config.precision);
        if let Some(slot) = shared.slot(shared.step_of(now))
            && let Some(register) = slot.registers.get(register)
            // Most are there already; a read leaves the cache line shared.
            && register.load(Ordering::Relaxed) < rank
        {
            register.fetch_max(rank, Ordering::Relaxed);
        }
    }

    /// How many different ones were seen within the window, roughly.
    #[must_use]
    pub fn estimate(&self) -> f64 {
        self.estimate_at(Instant::now())
    }

    /// [`estimate`](Self::estimate) of the window that ends at `now`.
    #[must_use]
    pub fn estimate_at(&self, now: Instant) -> f64 {
        self.sketch_at(now).estimate()
    }

    /// The union of the window's sketches: to merge with that of other nodes.
    #[must_use]
    pub fn sketch_at(&self, now: Instant) -> Sketch {
        let shared = &*self.shared;
        let newest = shared.step_of(now);
        // The step that has begun, and as many whole ones as a window has.
        let oldest = newest.saturating_sub(u64::from(shared.config.steps)).max(1);
        let mut union = Sketch::empty(shared.config.precision);
        for slot in &shared.slots {
            if (oldest..=newest).contains(&slot.of.load(Ordering::Acquire)) {
                union.take(slot.registers.iter().map(|register| register.load(Ordering::Relaxed)));
            }
        }
        union
    }

    /// The standard error of an estimate, as a share of it.
    #[must_use]
    pub fn relative_error(&self) -> f64 {
        1.04 / f64::from(1_u32 << self.shared.config.precision).sqrt()
    }

    /// Sets the gauge.
    pub fn publish(&self, now: Instant) {
        self.shared.gauge.set(self.estimate_at(now).round());
    }

    /// Sets the gauge once a step for ever, until every other clone is dropped:
    /// spawn it. May be dropped at any time.
    pub async fn run(self) {
        let mut timer = interval(self.shared.step);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let weak = Arc::downgrade(&self.shared);
        drop(self);
        loop {
            timer.tick().await;
            match weak.upgrade() {
                Some(shared) => Self { shared }.publish(Instant::now()),
                None => return,
            }
        }
    }
}

impl Shared {
    /// Steps are counted from 1.
    fn step_of(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.start);
        (since.as_nanos() / self.step.as_nanos().max(1)) as u64 + 1
    }

    /// The slot of a step, cleared if it held an older one. That one is out of
    /// every window by then: a thread would have to be held up between the look
    /// at its slot and its write for longer than a window to bring back somebody
    /// who is gone.
    fn slot(&self, step: u64) -> Option<&Slot> {
        let slot = self.slots.get((step % self.slots.len() as u64) as usize)?;
        let held = slot.of.load(Ordering::Acquire);
        if held >= step {
            // A step older than what the slot holds is beyond the window.
            return (held == step).then_some(slot);
        }
        let _one = self.clearing.lock();
        if slot.of.load(Ordering::Acquire) < step {
            // Not read while it is cleared.
            slot.of.store(0, Ordering::Release);
            for register in &slot.registers {
                register.store(0, Ordering::Relaxed);
            }
            slot.of.store(step, Ordering::Release);
        }
        Some(slot)
    }
}

/// Feeds the estimate as a count under the name given to [`Active::new`].
impl Source for Active {
    fn feed(&self, signals: &mut Signals, now: Instant) {
        signals.set(&self.shared.name, self.estimate_at(now), Unit::Count, now);
    }
}

impl fmt::Debug for Active {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Active")
            .field("name", &self.shared.name)
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
