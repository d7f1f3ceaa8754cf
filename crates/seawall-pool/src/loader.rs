//! Point reads of one statement, gathered: code that asks for one row at a time
//! runs as one query for many.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::error::Error;
use crate::pool::Inner;
use crate::route::Intent;
use crate::text;
use crate::{After, Token};

pub(crate) mod config;
mod gather;
pub(crate) mod metrics;
mod pump;

use config::LoaderConfig;
use gather::Gather;
use metrics::LoaderMetrics;
use pump::{Rows, Teller};

/// Loads rows by key. Made by [`Route::loader`](crate::Route::loader).
///
/// The statement has one parameter, an array of keys. While a query is under way,
/// the keys that callers ask for gather, each once, and go out together with the next;
/// a caller who finds no query under way has his key sent at once, together with those
/// of callers who are ready at that moment. So there is no timer to wait for, and
/// batches grow with the load. Each caller gets the rows of his key.
///
/// What is gathered is not yet sent, so a load that begins after a commit sees it as
/// a query of its own would. Nothing is cached.
///
/// Errors are dealt out with care: if the server objects to a value (SQLSTATE classes
/// 22, P0 and the like), the batch is halved until the key at fault stands
/// alone, and the others get their rows: for one bad key of `n` about `2 log2(n)` queries more.
/// An error about the node is retried as [`Route`](crate::Route) says. An error
/// that concerns a whole batch comes to each of its callers as [`Error::Batch`].
///
/// A loader keeps its pool open, as a clone of the pool does. Clones of a loader gather
/// together; two loaders of the same text do not.
///
/// Cancel safety: a caller may leave at any time; the others are not affected, and a key
/// that nobody waits for any more is not sent.
///
/// Cost: one small allocation and one short lock a key, one task and one timer a query.
pub struct Loader<K: Key> {
    shared: Arc<Shared<K>>,
    after: Option<Token>,
}

/// What can be a key of a [`Loader`]: `i32`, `i64`, `String`, and every other type
/// that PostgreSQL has arrays of and that can be hashed.
pub trait Key: ToSql + Eq + Hash + Send + Sync + 'static {}

impl<K: ToSql + Eq + Hash + Send + Sync + 'static> Key for K {}

impl<K: Key> Loader<K> {
    pub(crate) fn new(
        way: Way<'_>,
        after: Option<Token>,
        sql: &str,
        key: impl Fn(&Row) -> Result<K, tokio_postgres::Error> + Send + Sync + 'static,
        config: LoaderConfig,
    ) -> Self {
        let shared = Shared {
            pool: Arc::clone(way.pool),
            intent: way.intent,
            limit: way.limit,
            lanes: way.shared && way.intent != Intent::Write,
            hedged: way.hedged,
            affinity: way.key,
            tag: way.tag.map(Box::from),
            sql: sql.into(),
            key: Box::new(key),
            gather: Mutex::new(Gather::new(config.bounds())),
            gone: AtomicUsize::new(0),
            config,
            metrics: LoaderMetrics::new(&way.pool.config.labels()),
        };
        Self { shared: Arc::new(shared), after }
    }

    /// The same loader, for a caller who is to see everything committed up to
    /// `token`: see [`Route::after`](crate::Route::after). Callers who ask for a
    /// position gather among themselves, and a query asks for the highest
    /// position of its callers.
    #[must_use]
    pub fn after(&self, token: impl Into<After>) -> Self {
        Self { shared: Arc::clone(&self.shared), after: token.into().0 }
    }

    /// The row of `key`, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::RowCount`] if there are several rows; [`Error::LoaderFull`];
    /// [`Error::BatchLost`]; what [`Route::query`](crate::Route::query) returns,
    /// in [`Error::Batch`] if it came to several callers.
    pub async fn load(&self, key: K) -> Result<Option<Row>, Error> {
        one(self.ask(key)?.answer().await?)
    }

    /// All rows of `key`, in the order in which the query gave them.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load), without [`Error::RowCount`].
    pub async fn load_all(&self, key: K) -> Result<Vec<Row>, Error> {
        Ok(match self.ask(key)?.answer().await? {
            Rows::None => Vec::new(),
            Rows::One(row) => vec![row],
            Rows::Many(rows) => rows,
        })
    }

    /// The row of each of `keys`, in their order. They wait for one another; a
    /// caller who does not want that joins single loads.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load), the first by order of keys. More than
    /// [`max_waiting`](LoaderConfig::max_waiting) keys are refused.
    pub async fn load_many(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Row>>, Error> {
        let keys: Vec<K> = keys.into_iter().collect();
        let places = self.shared.enter(keys, self.after)?;
        let mut rows = Vec::with_capacity(places.len());
        for place in places {
            rows.push(one(place.answer().await?)?);
        }
        Ok(rows)
    }

    fn ask(&self, key: K) -> Result<Place<'_>, Error> {
        let mut place = None;
        self.shared.enter_each([key], 1, self.after, |one| place = Some(one))?;
        place.ok_or(Error::BatchLost)
    }
}

fn one(rows: Rows) -> Result<Option<Row>, Error> {
    match rows {
        Rows::None => Ok(None),
        Rows::One(row) => Ok(Some(row)),
        Rows::Many(_) => Err(Error::RowCount { expected: "at most one", many: true }),
    }
}

impl<K: Key> Clone for Loader<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), after: self.after }
    }
}

impl<K: Key> fmt::Debug for Loader<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("sql", &self.shared.sql)
            .field("after", &self.after)
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

/// How a loader's queries go.
#[derive(Clone, Copy)]
pub(crate) struct Way<'p> {
    pub(crate) pool: &'p Arc<Inner>,
    pub(crate) intent: Intent,
    pub(crate) limit: Duration,
    pub(crate) shared: bool,
    pub(crate) hedged: bool,
    pub(crate) key: Option<u64>,
    pub(crate) tag: Option<&'p str>,
}

/// Finds the key of a row.
type KeyOf<K> = Box<dyn Fn(&Row) -> Result<K, tokio_postgres::Error> + Send + Sync>;

/// What the clones of a loader share.
pub(crate) struct Shared<K: Key> {
    pool: Arc<Inner>,
    intent: Intent,
    limit: Duration,
    /// Whether its queries share connections with other calls.
    lanes: bool,
    /// Whether its queries may be sent to a second replica.
    hedged: bool,
    /// Which node, as the route has it.
    affinity: Option<u64>,
    tag: Option<Box<str>>,
    sql: Box<str>,
    key: KeyOf<K>,
    gather: Mutex<Gather<K, Teller>>,
    /// Callers who left, since those were last looked for.
    gone: AtomicUsize,
    config: LoaderConfig,
    metrics: LoaderMetrics,
}

impl<K: Key> Shared<K> {
    fn way(&self) -> Way<'_> {
        Way {
            pool: &self.pool,
            intent: self.intent,
            limit: self.limit,
            shared: self.lanes,
            hedged: self.hedged,
            key: self.affinity,
            tag: self.tag.as_deref(),
        }
    }

    fn enter(
        self: &Arc<Self>,
        keys: Vec<K>,
        after: Option<Token>,
    ) -> Result<Vec<Place<'_>>, Error> {
        let count = keys.len();
        let mut places = Vec::with_capacity(count);
        self.enter_each(keys, count, after, |place| places.push(place))?;
        Ok(places)
    }

    /// Has all `keys` wait to be sent, or none.
    fn enter_each<'s>(
        self: &'s Arc<Self>,
        keys: impl IntoIterator<Item = K>,
        count: usize,
        after: Option<Token>,
        mut entered: impl FnMut(Place<'s>),
    ) -> Result<(), Error> {
        if let Some(keyword) = text::session_keyword(&self.sql) {
            return Err(Error::SessionStatement { keyword });
        }
        if let Some(token) = after {
            self.pool.check_cluster(token)?;
        }
        let mut gather = self.gather.lock();
        if gather.room() < count {
            self.make_room(&mut gather);
        }
        if gather.room() < count {
            let waiting = gather.waiting();
            drop(gather);
            self.metrics.shed.increment(count as u64);
            return Err(Error::LoaderFull { waiting });
        }
        for key in keys {
            let (teller, told) = oneshot::channel();
            gather.join(key, after, teller);
            entered(Place { told, gone: &self.gone, answered: false });
        }
        let begin = gather.begin();
        drop(gather);
        if begin {
            self.start();
        }
        Ok(())
    }
}

/// One who waits for a key.
struct Place<'s> {
    told: oneshot::Receiver<Result<Rows, Error>>,
    gone: &'s AtomicUsize,
    answered: bool,
}

impl Place<'_> {
    async fn answer(mut self) -> Result<Rows, Error> {
        let told = (&mut self.told).await;
        self.answered = true;
        told.unwrap_or(Err(Error::BatchLost))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.gone.fetch_add(1, Ordering::Relaxed);
        }
    }
}
