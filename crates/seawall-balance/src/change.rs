//! What a stream of discovered services says.

/// One step of discovery.
///
/// The same as tower's `discover::Change`; a stream of those becomes one of these
/// by a `map`:
///
/// ```
/// use futures_util::{Stream, StreamExt as _};
/// use seawall_balance::Change;
///
/// fn adapt<K, S, E>(
///     discover: impl Stream<Item = Result<tower::discover::Change<K, S>, E>>,
/// ) -> impl Stream<Item = Result<Change<K, S>, E>> {
///     discover.map(|change| {
///         change.map(|change| match change {
///             tower::discover::Change::Insert(key, service) => Change::insert(key, service),
///             tower::discover::Change::Remove(key) => Change::Remove(key),
///         })
///     })
/// }
/// # let _ = adapt(futures_util::stream::pending::<Result<tower::discover::Change<u8, ()>, ()>>());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change<K, S> {
    /// A service is there, or replaces the one of the same key, with its weight.
    Insert(K, S, u32),
    /// The service of this key is gone; its requests go on.
    Remove(K),
}

impl<K, S> Change<K, S> {
    /// A service of weight 1.
    pub const fn insert(key: K, service: S) -> Self {
        Self::Insert(key, service, 1)
    }
}
