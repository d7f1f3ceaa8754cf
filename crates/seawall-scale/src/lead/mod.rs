//! One engine acts: a lease that expires, with a token that only grows.
//!
//! Every engine decides; the one that holds the lease writes. An [`Elector`] takes and renews the
//! lease in a [`LeaseStore`] (Redis, PostgreSQL), and [`Led`] lets an actuator write only while it
//! does.
//!
//! # What is promised, and what is not
//! A holder believes in its lease for four fifths of its length, from before it asked for it, by a
//! clock that never jumps; so with stores that keep time, no two believe in it at once, also when
//! renewals hang. A process that is stopped between its last look and its write is not covered by
//! any lease: [`Led`] therefore asks the store once more just before each write, and the number of
//! the term ([`Elector::leads`]) is there for worlds that can refuse an older one. A store that
//! fails over to a replica that was behind may forget a lease that it gave; where that matters, use
//! PostgreSQL with synchronous replication.

mod config;
mod core;
mod elector;
mod error;
mod led;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;

#[cfg(any(feature = "redis", feature = "postgres", test))]
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use crate::actuate::Boxed;

pub use config::LeaseConfig;
pub use elector::Elector;
pub use error::LeaseError;
pub use led::Led;
#[cfg(feature = "postgres")]
pub use postgres::PostgresLease;
#[cfg(feature = "redis")]
pub use redis::RedisLease;

/// Where one lease is kept, seen by one of those who want it.
pub trait LeaseStore: Send + Sync {
    /// Takes the lease if it is free or has expired, or renews it if it is held already. The number
    /// of the term, which grows with each change of holder and each gap; `None` if somebody else
    /// holds it. If dropped, it may have been taken.
    ///
    /// # Errors
    /// The store could not be asked; then it may have been taken.
    fn take(&self, ttl: Duration) -> Boxed<'_, Result<Option<u64>, LeaseError>>;

    /// Whether the lease is held in this term, now.
    ///
    /// # Errors
    /// The store could not be asked.
    fn holds(&self, term: u64) -> Boxed<'_, Result<bool, LeaseError>>;

    /// Gives the lease back, if it is held.
    ///
    /// # Errors
    /// The store could not be asked; then the lease expires by itself.
    fn release(&self) -> Boxed<'_, Result<(), LeaseError>>;
}

impl<S: LeaseStore + ?Sized> LeaseStore for Arc<S> {
    fn take(&self, ttl: Duration) -> Boxed<'_, Result<Option<u64>, LeaseError>> {
        (**self).take(ttl)
    }

    fn holds(&self, term: u64) -> Boxed<'_, Result<bool, LeaseError>> {
        (**self).holds(term)
    }

    fn release(&self) -> Boxed<'_, Result<(), LeaseError>> {
        (**self).release()
    }
}

/// A name for one who wants the lease, which no other has: 128 bits of chance.
#[cfg(any(feature = "redis", feature = "postgres", test))]
fn holder() -> Arc<str> {
    let half = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", half(), half()).into()
}

#[cfg(test)]
mod tests;
