//! The calls: a route, and what is done with it.

use std::fmt;
use std::hash::Hash;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use scopeguard::ScopeGuard;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::batch::InChunks;
use crate::conn::Conn;
use crate::error::Error;
use crate::exec::{Ask, Shape};
use crate::loader::config::LoaderConfig;
use crate::loader::{Key, Loader};
use crate::pool::Inner;
use crate::route::Intent;
use crate::{After, Causal, Hedge, Lsn, Token, TransactionOptions, batch, dispatch};

mod request;

/// Where a call goes. Made by [`Pool::read`](crate::Pool::read),
/// [`Pool::write`](crate::Pool::write) and [`Pool::analytics`](crate::Pool::analytics).
///
/// Light: it borrows the pool and can be copied. Nothing is chosen until a
/// method sends something, and each call chooses anew.
///
/// Reads and analytics are retried: if a node fails in a way that says nothing
/// about the statement (the connection broke, the node is stopping, it gave
/// up the statement for the sake of replay), the next node is tried, each once,
/// the primary last, all within one
/// [`acquire_timeout`](crate::PoolConfig::acquire_timeout). A replica where as many wait
/// as may is passed over for another of its role, and not for the primary. A read in flight on a
/// replica that is declared down is run elsewhere at once. Writes are never
/// retried.
///
/// A statement is prepared once per connection and kept there, up to
/// [`statement_cache`](crate::PoolConfig::statement_cache) texts, least recently used
/// out first. One that has gone stale (its table was altered, or it was
/// deallocated) is prepared anew and run again, outside of transactions: PostgreSQL
/// finds that out before the statement does anything.
///
/// Cancel safety: if the future is dropped, a statement on the wire is
/// cancelled on the server, and its connection is not lent before the server has
/// confirmed that, so the next borrower does not wait behind it and is not hit by
/// the request. A write dropped on the wire may or may not have taken effect.
#[derive(Clone, Copy)]
#[must_use = "a route does nothing until something is sent on it"]
pub struct Route<'p> {
    pool: &'p Arc<Inner>,
    intent: Intent,
    after: Option<Token>,
    causal: Option<&'p Causal>,
    applied: bool,
    /// Whether the text of the statement says what it is.
    auto: bool,
    key: Option<u64>,
    tag: Option<&'p str>,
    limit: Duration,
    shared: bool,
    hedged: bool,
    /// Whether only the primary can run it.
    at_primary: bool,
}

impl<'p> Route<'p> {
    pub(crate) fn new(pool: &'p Arc<Inner>, intent: Intent) -> Self {
        let limit = pool.config.query_timeout;
        Self {
            pool,
            intent,
            after: None,
            causal: None,
            applied: false,
            auto: false,
            key: None,
            tag: None,
            limit,
            shared: false,
            hedged: pool.config.hedge.enabled,
            at_primary: false,
        }
    }

    /// Serves the call only from a node that has everything committed up to a
    /// [`Token`], or to a bare [`Lsn`], which must be of this cluster and timeline since
    /// nothing can check it. `None` asks for nothing.
    ///
    /// A replica that has it serves the call. If none has, the call waits up to
    /// [`catch_up_wait`](crate::PoolConfig::catch_up_wait) for one to catch up and
    /// then goes to the primary. The replica's position is checked on the same
    /// connection in the same flight as the statement, so not even a replica that
    /// crashed and came back further behind can serve an older state.
    /// A token of an older timeline is served by the primary; one of another
    /// cluster or of a newer timeline is an error, see [`Token`].
    /// Writes are not affected.
    pub fn after(mut self, token: impl Into<After>) -> Self {
        self.after = token.into().0;
        self
    }

    /// Ties the call to what one user has written and seen: a read sees all of it and
    /// raises it to what it read, a write raises it to its commit. The positions go in
    /// the same flight. [`get`](Self::get) only looks at it: give the token of what was
    /// written on the connection to [`Causal::observe`].
    pub fn causal(mut self, causal: &'p Causal) -> Self {
        self.causal = Some(causal);
        self
    }

    /// Has a write wait until the server's synchronous standbys show it
    /// (`synchronous_commit = remote_apply`, for this statement): reads there then see it
    /// without a token. Standbys that are not named in `synchronous_standby_names`
    /// are not waited for. No round trip of its own. Reads, and [`get`](Self::get), are not
    /// affected; see [`Transaction::remote_apply`](crate::Transaction::remote_apply).
    pub fn remote_apply(mut self) -> Self {
        self.applied = true;
        self
    }

    /// Serves the call from a replica with this tag ([`NodeConfig::tags`](crate::NodeConfig::tags)),
    /// else from the primary. Writes are not affected. A tag that no replica has is
    /// [`Error::UnknownTag`].
    pub fn tag(mut self, tag: &'p str) -> Self {
        self.tag = Some(tag);
        self
    }

    /// For routing policies that send equal keys to equal replicas, such as
    /// [`Policy::Rendezvous`](crate::Policy::Rendezvous): a tenant stays with the replica that has its
    /// pages in memory. Others do not look at it.
    pub fn key<K: Hash + ?Sized>(mut self, key: &K) -> Self {
        self.key = Some(seawall_balance::hash_key(key));
        self
    }

    /// Sets the limit on each statement of this call, in place of
    /// [`query_timeout`](crate::PoolConfig::query_timeout). At most a day.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = limit.min(LONGEST);
        self
    }

    /// Lets the call go over a connection that other calls use at the same time
    /// ([`LaneConfig`](crate::LaneConfig)): statements follow one another without waiting for
    /// answers, and none has to get a connection first. For short reads in large
    /// numbers.
    ///
    /// The statement runs by itself in a read-only session with a `statement_timeout` of
    /// its own; one that writes fails with SQLSTATE 25006. Answers come in the order of
    /// the statements, so a slow one delays others, at most by twice
    /// [`max_hold`](crate::LaneConfig::max_hold): then all that is on its connection, the slow
    /// one too, runs again on connections of the pool. Where no shared connection has room,
    /// is open yet, or fits (a text that names an advisory lock or `set_config`, a `CALL`),
    /// the call runs as it would otherwise. Writes and [`get`](Self::get) are not affected.
    ///
    /// Cancel safety: if the future is dropped, others on the connection go on. The
    /// statement is not cancelled on the server unless it holds the connection up.
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Says for this read whether it may be sent to a second replica when the first takes
    /// long, in place of [`HedgeConfig::enabled`](crate::HedgeConfig::enabled); all else of
    /// [`HedgeConfig`](crate::HedgeConfig) holds, the budget too. Writes, analytics and
    /// [`get`](Self::get) are not affected.
    pub fn hedged(mut self, hedged: bool) -> Self {
        self.hedged = hedged;
        self
    }

    /// Says which transaction the connection is for that [`get`](Self::get) takes. One that is
    /// serializable goes to the primary, as a standby has no such level. With
    /// [`auto`](crate::Pool::auto) one that [fits a replica](TransactionOptions::fits_replica)
    /// goes to one and every other to the primary: begin it with
    /// [`Conn::transaction_with`](crate::Conn::transaction_with), and all of its statements run
    /// there; one that writes in it is an error and is run nowhere else.
    pub fn begins(mut self, options: TransactionOptions) -> Self {
        if self.auto {
            self.intent = if options.fits_replica() { Intent::Read } else { Intent::Write };
        }
        self.at_primary = options.is_serializable();
        self
    }

    /// Runs a statement and returns its rows.
    ///
    /// # Errors
    ///
    /// [`Error::SessionStatement`] for statements such as `BEGIN`; acquiring:
    /// [`Error::Connect`], [`Error::ConnectTimeout`], [`Error::AcquireTimeout`], [`Error::QueueFull`],
    /// [`Error::NotWritable`], [`Error::NoNode`], [`Error::Closed`]; running:
    /// [`Error::Query`], [`Error::QueryTimeout`], [`Error::ParameterCount`].
    pub async fn query(self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        Ok(self.run(sql, params, Shape::All, false).await?.1.rows)
    }

    /// Runs a statement that gives exactly one row.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query), and [`Error::RowCount`].
    pub async fn query_one(self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Row, Error> {
        self.run(sql, params, Shape::AtMostOne, false).await?.1.one()
    }

    /// Runs a statement that gives at most one row.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query), and [`Error::RowCount`].
    pub async fn query_opt(
        self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Error> {
        Ok(self.run(sql, params, Shape::AtMostOne, false).await?.1.rows.pop())
    }

    /// Runs a statement and returns how many rows it touched.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    pub async fn execute(self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        Ok(self.run(sql, params, Shape::Count, false).await?.1.affected)
    }

    /// Runs a statement and says how recent its rows are at least, and which
    /// node gave them.
    ///
    /// Every commit whose token ([`Conn::commit_lsn`]) is at most
    /// [`At::lsn`] was visible to the statement. Commits with a larger token may
    /// have been visible too. Passing [`At::lsn`] to [`after`](Self::after) makes
    /// later reads at least as recent.
    ///
    /// The position is read before the statement takes its snapshot, in the
    /// same flight: no extra round trip, a few tens of microseconds of
    /// server time. On the primary, while transactions that write are under
    /// way, it is one below the true position (see the crate documentation). Should
    /// a write be done and its position not be readable, [`At::lsn`] is
    /// `Lsn(0)`, which claims nothing.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    pub async fn query_at(
        self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<At<Vec<Row>>, Error> {
        let (node, answer) = self.run(sql, params, Shape::All, true).await?;
        let lsn = answer.lsn.unwrap_or_default();
        let token = node.token(lsn, answer.timeline);
        let seen = answer.seen.map_or(token, |seen| node.token(seen, answer.timeline));
        let (hedge, node) = (answer.hedge, Arc::clone(&node.name));
        Ok(At { value: answer.rows, lsn, token, seen, node, hedge })
    }

    /// A loader of rows by key: point reads that are asked for at the same time run as
    /// one query. `sql` takes an array of keys; `key` finds the key of a row.
    ///
    /// The route's [`after`](Self::after), [`timeout`](Self::timeout), [`tag`](Self::tag) and
    /// [`shared`](Self::shared) hold for each query; a [`Causal`] counts as it is now. On [`write`](crate::Pool::write) the primary is asked; the
    /// statement must change nothing there either, since each key is asked for once however
    /// many want it.
    ///
    /// ```no_run
    /// # async fn example(pool: &seawall_pool::Pool) -> Result<(), seawall_pool::Error> {
    /// let items = pool
    ///     .read()
    ///     .loader("SELECT id, name FROM item WHERE id = ANY($1)", |row| row.try_get::<_, i64>(0));
    /// // Asked for in one query.
    /// let (one, other) = tokio::try_join!(items.load(7), items.load(8))?;
    /// # let _ = (one, other);
    /// # Ok(())
    /// # }
    /// ```
    pub fn loader<K: Key>(
        self,
        sql: &str,
        key: impl Fn(&Row) -> Result<K, tokio_postgres::Error> + Send + Sync + 'static,
    ) -> Loader<K> {
        Loader::new(self.way(), self.seen(), sql, key, LoaderConfig::default())
    }

    /// As [`loader`](Self::loader), with bounds of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Config`].
    pub fn loader_with<K: Key>(
        self,
        sql: &str,
        key: impl Fn(&Row) -> Result<K, tokio_postgres::Error> + Send + Sync + 'static,
        config: LoaderConfig,
    ) -> Result<Loader<K>, Error> {
        config.validate()?;
        Ok(Loader::new(self.way(), self.seen(), sql, key, config))
    }

    /// Runs one statement with each set of parameters, in one flight on one connection,
    /// and returns the rows of each, in the order of the sets: many reads for about one
    /// round trip. The route's [`timeout`](Self::timeout) holds for all together.
    ///
    /// As a read it runs elsewhere, all of it, if the node fails. On
    /// [`write`](crate::Pool::write) each statement commits by itself, and an error leaves open
    /// which did. [`shared`](Self::shared) does not matter; a [`Causal`] is looked at, and not raised by reads.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query), the first by order of sets; no more is sent then.
    pub async fn query_each(
        self,
        sql: &str,
        sets: &[&[&(dyn ToSql + Sync)]],
    ) -> Result<Vec<Vec<Row>>, Error> {
        if sets.is_empty() {
            return Ok(Vec::new());
        }
        let call = self.call(sql, &[], Shape::All, Ask::No)?;
        let request = self.request()?;
        let unsettled = self.in_sight();
        let answers = batch::each::run(self.pool, request, &call, sets).await;
        ScopeGuard::into_inner(unsettled);
        self.wrote_somewhere(&answers);
        answers
    }

    /// Writes many rows, `size` at a time (1 to 1 000 000): see [`InChunks`].
    ///
    /// ```no_run
    /// # async fn example(pool: &seawall_pool::Pool) -> Result<(), seawall_pool::Error> {
    /// let rows = (0..1_000_000_i64).map(|id| (id, format!("item {id}")));
    /// let sql = "INSERT INTO item (id, name) SELECT * FROM unnest($1::int8[], $2::text[])";
    /// pool.write().in_chunks(1_000).insert_many(sql, rows).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn in_chunks(self, size: usize) -> InChunks<'p> {
        InChunks::new(self, size)
    }

    /// Takes a connection out of the pool, for transactions and for whatever
    /// a route cannot do. With [`after`](Self::after) and a replica, its
    /// position is checked first: one round trip.
    ///
    /// Statements on the connection are not retried.
    ///
    /// # Errors
    ///
    /// Acquiring, as [`query`](Self::query).
    ///
    /// The place in the code from which it is called is shown for a connection
    /// that is out for longer than [`leak_after`](crate::PoolConfig::leak_after).
    #[track_caller]
    pub fn get(self) -> impl Future<Output = Result<Conn, Error>> + Send + use<'p> {
        let site = Location::caller();
        async move {
            let (pool, request) = (self.pool, self.request()?);
            let (lease, place) = dispatch::connection(pool, request, self.limit, site).await?;
            Ok(Conn::new(lease, place, self.intent, self.limit))
        }
    }

    /// For statements that are routed by what their text says. On a connection that
    /// is taken with [`get`](Self::get) there may come any: it is one to the primary, unless
    /// [`begins`](Self::begins) says otherwise.
    #[cfg(feature = "classify")]
    pub(crate) fn auto(pool: &'p Arc<Inner>) -> Self {
        Self { auto: true, ..Self::new(pool, Intent::Write) }
    }
}

impl fmt::Debug for Route<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("intent", &self.intent)
            .field("after", &self.after)
            .field("tag", &self.tag)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// A value with the place in the log from which it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct At<T> {
    /// What was read.
    pub value: T,
    /// Every commit whose position is at most this was visible.
    pub lsn: Lsn,
    /// The same, as a token.
    pub token: Token,
    /// Every commit that was visible lies at most here: reads after it see what this one saw.
    pub seen: Token,
    /// The node that was read.
    pub node: Arc<str>,
    /// Of a read that was sent to a second replica too: which attempt gave the answer.
    pub hedge: Option<Hedge>,
}

/// Keeps a deadline within what a clock can hold.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
