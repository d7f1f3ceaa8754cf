use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use seawall_pool::Pool;
use seawall_scale::actuate::{ActuateError, Actuator, Boxed, Observed, Outcome};

/// The size of a pool, as a world that a [`Reconciler`](seawall_scale::actuate::Reconciler) drives:
/// an instance is a connection to each node.
///
/// ```no_run
/// # async fn example(
/// #     pool: seawall::pool::Pool,
/// #     mut engine: seawall::scale::Engine,
/// #     signals: seawall::signal::Signals,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use seawall::PoolSize;
/// use seawall::scale::actuate::{Reconciler, ReconcilerConfig};
///
/// let size = PoolSize::new(pool);
/// let handle = Reconciler::new("pool", size, ReconcilerConfig::default())?.spawn();
/// // After each look at the signals, of which `pool.usage().utilisation()` is one:
/// handle.decided(&engine.tick(&signals, tokio::time::Instant::now()));
/// # Ok(())
/// # }
/// ```
///
/// Sizes are cut to [`SizingConfig::min`](seawall_pool::SizingConfig::min) and `max`, which shows as
/// [`Outcome::Partial`]. Leave [`SizingConfig::auto`](seawall_pool::SizingConfig::auto) off: two who
/// set one size undo each other, and the reconciler counts the other one's changes as foreign.
///
/// It sees the most connections that may be open, not how many are: they are opened when they are
/// needed. A node whose size differs from the others is seen first, so that it is set again.
///
/// Cost: a short lock per node for a look and for a write; neither waits for connections.
pub struct PoolSize {
    pool: Pool,
    /// What all nodes were last set to; 0 before that.
    set: AtomicUsize,
}

impl PoolSize {
    /// Nothing is set until a decision asks for it.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self { pool, set: AtomicUsize::new(0) }
    }

    fn size(&self) -> u32 {
        let set = self.set.load(Ordering::Relaxed);
        let nodes = self.pool.usage().nodes;
        let first = nodes.first().map_or(0, |node| node.max_size);
        let usual = if set == 0 { first } else { set };
        let unlike = nodes.iter().map(|node| node.max_size).find(|size| *size != usual);
        u32::try_from(unlike.unwrap_or(first)).unwrap_or(u32::MAX)
    }
}

impl Actuator for PoolSize {
    fn name(&self) -> &'static str {
        "pool"
    }

    fn observe(&self) -> Boxed<'_, Result<Observed, ActuateError>> {
        Box::pin(async move {
            let size = self.size();
            Ok(Observed { desired: Some(size), ..Observed::counted(size) })
        })
    }

    /// The reason goes nowhere.
    fn apply<'a>(
        &'a self,
        target: u32,
        _reason: &'a str,
    ) -> Boxed<'a, Result<Outcome, ActuateError>> {
        Box::pin(async move {
            let from = self.size();
            let granted = self.pool.scale_to(target as usize);
            self.set.store(granted, Ordering::Relaxed);
            let granted = u32::try_from(granted).unwrap_or(u32::MAX);
            Ok(match granted {
                granted if granted != target => Outcome::Partial { granted },
                _ if from == target => Outcome::Unchanged,
                _ => Outcome::Accepted { from },
            })
        })
    }
}

impl fmt::Debug for PoolSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolSize").field("size", &self.size()).finish_non_exhaustive()
    }
}
