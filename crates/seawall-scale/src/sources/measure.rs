use std::fmt;
use std::future::Future;

use super::{Probe, Reading, SourceError};
use crate::actuate::Boxed;

/// A function as a [`Probe`].
pub struct Measure<F> {
    name: Box<str>,
    read: F,
}

impl<F, R> Measure<F>
where
    F: Fn() -> R + Send + Sync,
    R: Future<Output = Result<Vec<Reading>, SourceError>> + Send + 'static,
{
    /// `read` is called at each turn.
    #[must_use]
    pub fn new(name: &str, read: F) -> Self {
        Self { name: name.into(), read }
    }
}

impl<F, R> Probe for Measure<F>
where
    F: Fn() -> R + Send + Sync,
    R: Future<Output = Result<Vec<Reading>, SourceError>> + Send + 'static,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&self) -> Boxed<'_, Result<Vec<Reading>, SourceError>> {
        Box::pin((self.read)())
    }
}

impl<F> fmt::Debug for Measure<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measure").field("name", &self.name).finish_non_exhaustive()
    }
}
