//! What a loader is told and what it answers.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What a loader is told about the load it runs.
#[non_exhaustive]
pub struct Load<V> {
    pub(crate) min_source: u64,
    pub(crate) previous: Option<Arc<V>>,
}

impl<V> Load<V> {
    /// The source version the loader must have reached, if a removal asked for one: a load that
    /// reads a PostgreSQL replica should read one that has replayed this LSN.
    ///
    /// A loader that answers with an older source, or with none, is not refused: its callers get
    /// the value, marked [`degraded`](crate::Got::degraded), and nothing is cached.
    #[must_use]
    pub fn min_source(&self) -> Option<u64> {
        (self.min_source > 0).then_some(self.min_source)
    }

    /// The value this load would replace, if there is one that was not removed or cleared: then
    /// the loader may answer [`Loaded::not_modified`]. A loader that asks an HTTP origin would
    /// take the `ETag` from it.
    #[must_use]
    pub fn previous(&self) -> Option<&Arc<V>> {
        self.previous.as_ref()
    }
}

// By hand: a derive would ask for `V: Clone` or `V: Debug`.
impl<V> Clone for Load<V> {
    fn clone(&self) -> Self {
        Self { min_source: self.min_source, previous: self.previous.clone() }
    }
}

impl<V> fmt::Debug for Load<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load")
            .field("min_source", &self.min_source)
            .field("previous", &self.previous.is_some())
            .finish()
    }
}

/// What the loader of a batch is told.
#[non_exhaustive]
pub struct LoadMany<K, V> {
    pub(crate) min_source: u64,
    pub(crate) previous: HashMap<K, Arc<V>>,
}

impl<K: std::hash::Hash + Eq, V> LoadMany<K, V> {
    /// As [`Load::min_source`]: the highest that any of the keys asks for.
    #[must_use]
    pub fn min_source(&self) -> Option<u64> {
        (self.min_source > 0).then_some(self.min_source)
    }

    /// As [`Load::previous`], of one of the keys.
    #[must_use]
    pub fn previous(&self, key: &K) -> Option<&Arc<V>> {
        self.previous.get(key)
    }
}

impl<K, V> fmt::Debug for LoadMany<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadMany")
            .field("min_source", &self.min_source)
            .field("previous", &self.previous.len())
            .finish()
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
/// let row = Loaded::new("a row").source(42).ttl(Duration::from_secs(60)).tags(["auction:7"]);
/// let unknown: Loaded<&str> = Loaded::absent();
/// let private = Loaded::new("for one caller").uncached();
/// let same: Loaded<&str> = Loaded::not_modified();
/// let plain: Loaded<&str> = "a row".into();
/// # let _ = (row, unknown, private, same, plain);
/// ```
#[derive(Debug, Clone)]
#[must_use = "return it from the loader, or hand it to `set`"]
pub struct Loaded<V> {
    pub(crate) answer: Answer<V>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) stale_for: Option<Duration>,
    pub(crate) source: u64,
    pub(crate) tags: Vec<Box<str>>,
    pub(crate) cached: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Answer<V> {
    Value(V),
    Absent,
    NotModified,
}

impl<V> Loaded<V> {
    /// A value.
    pub fn new(value: V) -> Self {
        Self::of(Answer::Value(value))
    }

    /// There is no such thing. The answer is cached for the cache's negative TTL, so that unknown
    /// keys do not reach the origin each time. It is never served stale.
    pub fn absent() -> Self {
        Self::of(Answer::Absent)
    }

    /// The [previous value](Load::previous) still holds: it is kept as if it had been loaded now,
    /// with the TTL, tags and source given here. Without a previous value the load fails with
    /// [`LoadError::NothingToKeep`](crate::LoadError::NothingToKeep). As a `set` it does nothing.
    pub fn not_modified() -> Self {
        Self::of(Answer::NotModified)
    }

    /// Keeps this entry for `ttl` in place of the cache's own, before jitter. Zero means
    /// [`uncached`](Self::uncached); more than [`MAX_TTL`](crate::MAX_TTL) is cut to it.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Serves this entry stale for `window` past its TTL at most: cuts the cache's windows, never
    /// widens them. Zero: never. Default: the cache's own windows.
    pub fn stale_for(mut self, window: Duration) -> Self {
        self.stale_for = Some(window);
        self
    }

    /// The version of the source this was read at: any number that grows with each write to the
    /// origin, such as a PostgreSQL LSN. Zero means unknown, the default.
    pub fn source(mut self, version: u64) -> Self {
        self.source = version;
        self
    }

    /// Names by which this entry may be invalidated together with others: see
    /// [`Cache::invalidate_tag`](crate::Cache::invalidate_tag). Adds to those given before.
    ///
    /// A tag is 1 to 255 bytes; an entry has at most 32. An entry whose tags are not within that
    /// is handed to its callers as [`degraded`](crate::Got::degraded) and kept nowhere.
    pub fn tags<T: Into<Box<str>>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        for tag in tags {
            let tag = tag.into();
            if !self.tags.contains(&tag) {
                self.tags.push(tag);
            }
        }
        self
    }

    /// Hands the value to the callers that wait for it and keeps it nowhere.
    pub fn uncached(mut self) -> Self {
        self.cached = false;
        self
    }

    pub(crate) fn tags_are_valid(&self) -> bool {
        self.tags.len() <= MAX_TAGS
            && self.tags.iter().all(|tag| (1..=MAX_TAG_BYTES).contains(&tag.len()))
    }

    fn of(answer: Answer<V>) -> Self {
        Self { answer, ttl: None, stale_for: None, source: 0, tags: Vec::new(), cached: true }
    }
}

impl<V> From<V> for Loaded<V> {
    fn from(value: V) -> Self {
        Self::new(value)
    }
}

impl<V> From<Option<V>> for Loaded<V> {
    fn from(value: Option<V>) -> Self {
        value.map_or_else(Self::absent, Self::new)
    }
}

/// One key's part of a batch loader's answer: a `V`, an `Option<V>`, a [`Loaded`], or a `Result` of
/// one of those, if keys can fail one by one.
pub trait LoadedItem<V, E> {
    /// The answer for this key.
    ///
    /// # Errors
    /// If the loader failed for this key alone.
    fn into_loaded(self) -> Result<Loaded<V>, E>;
}

impl<V, E> LoadedItem<V, E> for V {
    fn into_loaded(self) -> Result<Loaded<V>, E> {
        Ok(Loaded::new(self))
    }
}

impl<V, E> LoadedItem<V, E> for Option<V> {
    fn into_loaded(self) -> Result<Loaded<V>, E> {
        Ok(self.into())
    }
}

impl<V, E> LoadedItem<V, E> for Loaded<V> {
    fn into_loaded(self) -> Result<Loaded<V>, E> {
        Ok(self)
    }
}

impl<V, E> LoadedItem<V, E> for Result<V, E> {
    fn into_loaded(self) -> Result<Loaded<V>, E> {
        self.map(Loaded::new)
    }
}

impl<V, E> LoadedItem<V, E> for Result<Option<V>, E> {
    fn into_loaded(self) -> Result<Loaded<V>, E> {
        self.map(Loaded::from)
    }
}

impl<V, E> LoadedItem<V, E> for Result<Loaded<V>, E> {
    fn into_loaded(self) -> Result<Loaded<V>, E> {
        self
    }
}

/// The most tags an entry may have.
const MAX_TAGS: usize = 32;
/// The longest tag.
const MAX_TAG_BYTES: usize = 255;
