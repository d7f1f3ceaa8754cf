//! What the handlers share.

use std::path::PathBuf;
use std::sync::Arc;

use seawall::cache::{Cache, Redis};
use seawall::metrics::Handle;
use seawall::pool::Pool;
use tokio::sync::Semaphore;

use super::auctions::{Auction, Page};
use super::session::Keys;
use super::top::Top;

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    pub pool: Pool,
    pub redis: Redis,
    pub caches: Arc<Caches>,
    pub keys: Keys,
    /// Password hashing is meant to be slow: this many at once, so that it leaves
    /// cores to the other routes.
    pub hashing: Arc<Semaphore>,
    pub metrics: Handle,
    /// Where the disk is looked at.
    pub disk: PathBuf,
}

/// One cache for each kind of value, in three namespaces with a TTL each.
#[derive(Debug)]
pub struct Caches {
    /// `database`: rows by key, removed at each write.
    pub auctions: Cache<u64, Auction>,
    /// `application`: values that change rarely.
    pub names: Cache<u64, String>,
    /// `api`: whole answers, which may lag by their TTL.
    pub pages: Cache<String, Page>,
    pub top: Cache<String, Vec<Top>>,
}
