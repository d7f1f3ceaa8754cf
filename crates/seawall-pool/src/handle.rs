//! The calls: a route, and what is done with it.

use std::fmt;
use std::hash::Hash;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

#[cfg(feature = "classify")]
use crate::classify::Kind;
use crate::conn::Conn;
use crate::error::{Error, Outcome};
use crate::exec::{Answer, Ask, Call, Shape};
use crate::node::Node;
use crate::pool::Inner;
use crate::route::{Intent, Request};
use crate::{After, Causal, Lsn, Token, dispatch, text};

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
/// [`acquire_timeout`](crate::PoolConfig::acquire_timeout). A read in flight on a
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
    pool: &'p Inner,
    intent: Intent,
    after: Option<Token>,
    causal: Option<&'p Causal>,
    applied: bool,
    /// Whether the text of the statement says what it is.
    auto: bool,
    key: Option<u64>,
    tag: Option<&'p str>,
    limit: Duration,
}

impl<'p> Route<'p> {
    pub(crate) fn new(pool: &'p Inner, intent: Intent) -> Self {
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
        Ok(At { value: answer.rows, lsn, token, node: Arc::clone(&node.name) })
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
            let lease = dispatch::connection(self.pool, self.request()?, self.limit, site).await?;
            Ok(Conn::new(lease, self.intent, self.limit))
        }
    }

    /// For statements that are routed by what their text says. On a connection that
    /// is taken with [`get`](Self::get) there may come any: it is one to the primary.
    #[cfg(feature = "classify")]
    pub(crate) fn auto(pool: &'p Inner) -> Self {
        Self { auto: true, ..Self::new(pool, Intent::Write) }
    }

    async fn run(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
        shape: Shape,
        position: bool,
    ) -> Result<(&'p Arc<Node>, Answer), Error> {
        #[cfg(feature = "classify")]
        if self.auto {
            // Boxed, so that calls that know what they are do not carry its size.
            return Box::pin(self.run_as_it_looks(sql, params, shape, position)).await;
        }
        self.run_as_said(sql, params, shape, position).await
    }

    /// Runs a statement as a read if it looks like one, and as a write if not, or if
    /// a standby says that it is none.
    #[cfg(feature = "classify")]
    async fn run_as_it_looks(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
        shape: Shape,
        position: bool,
    ) -> Result<(&'p Arc<Node>, Answer), Error> {
        let auto = &self.pool.auto;
        if text::session_keyword(sql).is_none() && auto.kind(self.pool, sql).await == Kind::Read {
            let read = Self { intent: Intent::Read, ..*self };
            match read.run_as_said(sql, params, shape, position).await {
                Err(error) if auto.overruled(self.pool, sql, &error) => {}
                result => return result,
            }
        }
        self.run_as_said(sql, params, shape, position).await
    }

    async fn run_as_said(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
        shape: Shape,
        position: bool,
    ) -> Result<(&'p Arc<Node>, Answer), Error> {
        if let Some(keyword) = text::session_keyword(sql) {
            return Err(Error::SessionStatement { keyword });
        }
        let writing = self.intent == Intent::Write;
        let causal = self.causal.is_some();
        let position = match (position, writing && causal) {
            (false, true) => Ask::After,
            (true, _) => Ask::Before,
            (false, false) if causal => Ask::Before,
            (false, false) => Ask::No,
        };
        let call = Call {
            sql,
            params,
            shape,
            intent: self.intent,
            if_lost: if writing { Outcome::Unknown } else { Outcome::NoEffect },
            limit: self.limit,
            guessed: self.auto,
            position,
            applied: self.applied && writing,
            // Set per node: only one that may be behind needs the check.
            after: None,
        };
        let (node, answer) = dispatch::run(self.pool, self.request()?, call).await?;
        if let Some(causal) = self.causal {
            let token = answer.lsn.map(|lsn| node.token(lsn, answer.timeline));
            match token.filter(|token| token.lsn > Lsn(0)) {
                Some(token) if position == Ask::After => causal.wrote(token),
                // Read before the write: it does not cover it.
                _ if writing => causal.observe_unknown(),
                Some(token) => causal.observe(token),
                None => {}
            }
        }
        Ok((node, answer))
    }

    fn request(&self) -> Result<Request, Error> {
        let request = Request { key: self.key, ..Request::new(self.intent) };
        if self.intent == Intent::Write {
            return Ok(request);
        }
        let mut excluded = match self.tag {
            Some(tag) => self.pool.without_tag(tag)?,
            None => 0,
        };
        let seen = self.causal.and_then(Causal::token);
        let token = match (self.after, seen) {
            (Some(after), Some(seen)) => Some(
                after
                    .merge(seen)
                    .ok_or(Error::ForeignToken { token: after, system: seen.system })?,
            ),
            (after, seen) => after.or(seen),
        };
        let past = token.map_or(Ok(false), |token| self.pool.is_past(token))?;
        if past || self.causal.is_some_and(Causal::is_blind) {
            // Only the primary is sure to have it.
            excluded |= self.pool.replicas();
        }
        let timeline = token.map_or(0, |token| token.timeline);
        Ok(Request { after: token.map(|token| token.lsn), timeline, excluded, ..request })
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
    /// The node that was read.
    pub node: Arc<str>,
}

/// Keeps a deadline within what a clock can hold.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
