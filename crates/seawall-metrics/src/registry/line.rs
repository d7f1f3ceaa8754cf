//! A series: its cell with its name and labels, in one allocation.

use std::ops::Deref;
use std::sync::Arc;

use metrics::Key;

use super::name::Labels;

/// A cell that knows what it counts. Whoever looks one up by a key compares
/// the key with this: no copy of the key is kept.
pub(crate) struct Line<C> {
    raw: Arc<RawName>,
    pub(super) labels: Labels,
    cell: C,
}

/// The name that callers use, shared by the series of a metric.
pub(crate) struct RawName(Box<str>);

impl RawName {
    pub(crate) fn new(raw: &str) -> Arc<Self> {
        Arc::new(Self(raw.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<C> Line<C> {
    pub(crate) fn new(raw: &Arc<RawName>, labels: Labels, cell: C) -> Arc<Self> {
        Arc::new(Self { raw: raw.clone(), labels, cell })
    }

    /// True if `key` stands for this series.
    pub(super) fn is(&self, key: &Key, histogram: bool) -> bool {
        self.raw.as_str() == key.name() && self.labels.are(key.labels().as_slice(), histogram)
    }
}

impl<C> Deref for Line<C> {
    type Target = C;

    #[inline]
    fn deref(&self) -> &C {
        &self.cell
    }
}
