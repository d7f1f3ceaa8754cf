use std::fmt;

use super::{ActuateError, Actuator, Boxed, Observed, Outcome};

/// Anything whose size is set by a function: a pool of connections, a semaphore, a batch size.
///
/// ```
/// # use std::sync::atomic::{AtomicU32, Ordering};
/// # struct Pool(AtomicU32);
/// # impl Pool {
/// #     fn scale_to(&self, size: u32) -> u32 { self.0.store(size.clamp(1, 20), Ordering::Relaxed); self.size() }
/// #     fn size(&self) -> u32 { self.0.load(Ordering::Relaxed) }
/// # }
/// use std::sync::Arc;
/// use seawall_scale::actuate::Resize;
///
/// let pool = Arc::new(Pool(AtomicU32::new(5)));
/// let (get, set) = (Arc::clone(&pool), pool);
/// let actuator = Resize::new("pool", move || get.size(), move |size| set.scale_to(size));
/// ```
///
/// With seawall-pool: `pool.scale_to(size as usize)`, which returns what it was set to.
pub struct Resize<G, S> {
    name: &'static str,
    get: G,
    set: S,
}

impl<G, S> Resize<G, S>
where
    G: Fn() -> u32 + Send + Sync,
    S: Fn(u32) -> u32 + Send + Sync,
{
    /// `get` returns the size, `set` sets it and returns the size that it was set to. Both are
    /// called in the task of the reconciler and must not block.
    #[must_use]
    pub fn new(name: &'static str, get: G, set: S) -> Self {
        Self { name, get, set }
    }
}

impl<G, S> Actuator for Resize<G, S>
where
    G: Fn() -> u32 + Send + Sync,
    S: Fn(u32) -> u32 + Send + Sync,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn observe(&self) -> Boxed<'_, Result<Observed, ActuateError>> {
        let size = (self.get)();
        Box::pin(async move { Ok(Observed { desired: Some(size), ..Observed::counted(size) }) })
    }

    fn apply<'a>(
        &'a self,
        target: u32,
        _reason: &'a str,
    ) -> Boxed<'a, Result<Outcome, ActuateError>> {
        let from = (self.get)();
        let outcome = if from == target {
            Outcome::Unchanged
        } else {
            match (self.set)(target) {
                granted if granted == target => Outcome::Accepted { from },
                granted => Outcome::Partial { granted },
            }
        };
        Box::pin(async move { Ok(outcome) })
    }
}

impl<G, S> fmt::Debug for Resize<G, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resize").field("name", &self.name).finish_non_exhaustive()
    }
}
