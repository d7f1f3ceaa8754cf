//! What L1 keeps of an entry.

use std::sync::Arc;

use tokio::time::Instant;

use crate::outcome::{Got, Layer};

/// A value, or the knowledge that there is none.
#[derive(Debug)]
pub(crate) struct Entry<V> {
    pub(crate) value: Option<Arc<V>>,
    /// When its loader answered, by this node's clock.
    pub(crate) loaded: Instant,
    pub(crate) expires: Instant,
    /// Issued by L2; 0 if L2 had no word on it.
    pub(crate) version: u64,
    pub(crate) source: u64,
    /// Whether it was loaded without L2's word on it.
    pub(crate) degraded: bool,
}

impl<V> Entry<V> {
    pub(crate) fn got(self, layer: Layer, now: Instant) -> Got<V> {
        let age = now.saturating_duration_since(self.loaded);
        let freshness = crate::outcome::Freshness::Fresh;
        Got { value: self.value, layer, age, freshness, degraded: self.degraded }
    }
}

// By hand: a derive would ask for `V: Clone`.
impl<V> Clone for Entry<V> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), ..*self }
    }
}
