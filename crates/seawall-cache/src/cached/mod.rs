//! Caching a service's responses, as a tower layer.

mod future;
mod layer;
mod service;

pub use self::future::CachedFuture;
pub use self::layer::CacheLayer;
pub use self::service::{Cached, CachedError};

#[cfg(test)]
mod tests;
