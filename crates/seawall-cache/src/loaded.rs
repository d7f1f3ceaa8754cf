//! What a loader is told and what it answers.

use std::time::Duration;

/// What a loader is told about the load it runs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Load {
    pub(crate) min_source: u64,
}

impl Load {
    /// The source version the loader must have reached, if a removal asked for one: a load that
    /// reads a PostgreSQL replica should read one that has replayed this LSN.
    ///
    /// A loader that answers with an older source, or with none, is not refused: its callers get
    /// the value, marked [`degraded`](crate::Got::degraded), and nothing is cached.
    #[must_use]
    pub fn min_source(&self) -> Option<u64> {
        (self.min_source > 0).then_some(self.min_source)
    }
}

/// A loader's answer: a value or its absence, and how to keep it.
///
/// A plain `V` or an `Option<V>` converts into it, so that most loaders need not name it.
///
/// ```
/// use seawall_cache::Loaded;
/// use std::time::Duration;
///
/// let row = Loaded::new("a row").source(42).ttl(Duration::from_secs(60));
/// let unknown: Loaded<&str> = Loaded::absent();
/// let private = Loaded::new("for one caller").uncached();
/// let plain: Loaded<&str> = "a row".into();
/// # let _ = (row, unknown, private, plain);
/// ```
#[derive(Debug, Clone)]
#[must_use = "return it from the loader, or hand it to `set`"]
pub struct Loaded<V> {
    pub(crate) value: Option<V>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) source: u64,
    pub(crate) cached: bool,
}

impl<V> Loaded<V> {
    /// A value.
    pub fn new(value: V) -> Self {
        Self::from(Some(value))
    }

    /// There is no such thing. The answer is cached for the cache's negative TTL, so that unknown
    /// keys do not reach the origin each time.
    pub fn absent() -> Self {
        Self::from(None)
    }

    /// Keeps this entry for `ttl` in place of the cache's own. Zero means
    /// [`uncached`](Self::uncached); more than [`MAX_TTL`](crate::MAX_TTL) is cut to it.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// The version of the source this was read at: any number that grows with each write to the
    /// origin, such as a PostgreSQL LSN. Zero means unknown, the default.
    pub fn source(mut self, version: u64) -> Self {
        self.source = version;
        self
    }

    /// Hands the value to the callers that wait for it and keeps it nowhere.
    pub fn uncached(mut self) -> Self {
        self.cached = false;
        self
    }
}

impl<V> From<V> for Loaded<V> {
    fn from(value: V) -> Self {
        Self::new(value)
    }
}

impl<V> From<Option<V>> for Loaded<V> {
    fn from(value: Option<V>) -> Self {
        Self { value, ttl: None, source: 0, cached: true }
    }
}
