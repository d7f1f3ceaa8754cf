//! How a route and a statement become a request for nodes.

use std::sync::Arc;
use std::time::Duration;

use scopeguard::{ScopeGuard, guard};
use tokio_postgres::types::ToSql;

use super::Route;
#[cfg(feature = "classify")]
use crate::classify::Kind;
use crate::error::{Error, Outcome};
use crate::exec::{Answer, Ask, Call, Shape};
use crate::loader::Way;
use crate::lsn::EVERYTHING;
use crate::node::Node;
use crate::pool::Inner;
use crate::route::{Intent, Request};
use crate::{Causal, Lsn, Token, dispatch, hedge, lanes, text};

impl<'p> Route<'p> {
    pub(super) async fn run(
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
        let write = Self { intent: Intent::Write, ..*self };
        write.run_as_said(sql, params, shape, position).await
    }

    pub(crate) async fn run_as_said(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
        shape: Shape,
        position: bool,
    ) -> Result<(&'p Arc<Node>, Answer), Error> {
        let writing = self.intent == Intent::Write;
        let causal = self.causal.is_some();
        let position = match (position, causal) {
            (true, _) => Ask::Around,
            (false, true) => Ask::After,
            (false, false) => Ask::No,
        };
        let call = self.call(sql, params, shape, position)?;
        let request = self.request()?;
        // Should this be dropped on the way, the write may be done.
        let unsettled = self.in_sight();
        let since = self.causal.map(Causal::since);
        let ran = if self.hedged && self.intent == Intent::Read {
            // Boxed, as others need not carry the size of two attempts.
            Box::pin(hedge::run(self.pool, request, call, self.shared)).await
        } else if self.shared && !writing {
            lanes::run(self.pool, request, call).await
        } else {
            dispatch::run(self.pool, request, call).await
        };
        ScopeGuard::into_inner(unsettled);
        let (node, answer) = ran.inspect_err(|error| {
            // Whoever looks whether it took effect must not ask a node that is behind.
            let Some(causal) = self.causal else { return };
            if error.outcome() == Some(Outcome::Unknown) {
                causal.lost_sight();
            } else if writing && matches!(error, Error::RowCount { .. }) {
                causal.observe_unknown();
            }
        })?;
        if let (Some(causal), Some(since)) = (self.causal, since) {
            let token = answer.seen.map(|lsn| node.token(lsn, answer.timeline));
            match token.filter(|token| token.lsn > Lsn(0)) {
                Some(token) if writing => causal.wrote(token, since),
                // A node in recovery does not tell the timeline with the position.
                Some(token) if answer.timeline > 0 && node.is_primary() => {
                    causal.read_on_primary(token, since);
                }
                Some(token) => causal.observe(token),
                None if writing => causal.observe_unknown(),
                None => {}
            }
        }
        Ok((node, answer))
    }

    pub(super) fn call<'a>(
        &self,
        sql: &'a str,
        params: &'a [&'a (dyn ToSql + Sync)],
        shape: Shape,
        position: Ask,
    ) -> Result<Call<'a>, Error> {
        if let Some(keyword) = text::session_keyword(sql) {
            return Err(Error::SessionStatement { keyword });
        }
        let writing = self.intent == Intent::Write;
        Ok(Call {
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
        })
    }

    pub(crate) fn parts(&self) -> Result<(&'p Inner, Request, Duration), Error> {
        Ok((self.pool, self.request()?, self.limit))
    }

    /// What is dropped while a write is under way: what becomes of it is not known.
    pub(crate) fn in_sight(&self) -> ScopeGuard<Option<&'p Causal>, fn(Option<&'p Causal>)> {
        guard(self.causal.filter(|_| self.intent == Intent::Write), |causal| {
            causal.inspect(|causal| causal.lost_sight());
        })
    }

    /// Something was written in a way that does not tell its position.
    pub(crate) fn wrote_somewhere<T>(&self, written: &Result<T, Error>) {
        let Some(causal) = self.causal.filter(|_| self.intent == Intent::Write) else { return };
        match written {
            Err(error) if error.outcome() == Some(Outcome::Unknown) => causal.lost_sight(),
            _ => causal.observe_unknown(),
        }
    }

    /// The way of a loader's query.
    pub(crate) fn of_loader(way: Way<'p>, after: Option<Token>) -> Self {
        let Way { pool, intent, limit, shared, hedged, key, tag } = way;
        Self { after, key, tag, limit, shared, hedged, ..Self::new(pool, intent) }
    }

    pub(super) fn way(&self) -> Way<'p> {
        let Self { pool, intent, limit, shared, hedged, key, tag, .. } = *self;
        Way { pool, intent, limit, shared, hedged, key, tag }
    }

    /// What a loader starts with: a causal handle counts as it is now.
    pub(super) fn seen(&self) -> Option<Token> {
        let seen = self.causal.and_then(Causal::token);
        let token = match (self.after, seen) {
            // Of two clusters the other one than the pool's, which is then refused.
            (Some(after), Some(seen)) => {
                let foreign = if self.pool.check_cluster(after).is_err() { after } else { seen };
                after.merge(seen).or(Some(foreign))
            }
            (after, seen) => after.or(seen),
        };
        if self.causal.is_some_and(Causal::is_blind) {
            // Only the primary is sure to have it.
            let (system, timeline) = token.map_or((0, 0), |token| (token.system, token.timeline));
            return Some(Token { system, timeline, lsn: EVERYTHING });
        }
        token
    }

    pub(super) fn request(&self) -> Result<Request, Error> {
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
        if let Some(token) = token {
            excluded |= self.pool.ruled_out_by(token)?;
        }
        if self.at_primary || self.causal.is_some_and(Causal::is_blind) {
            // Only the primary can run it, or is sure to have it.
            excluded |= self.pool.replicas();
        }
        let timeline = token.map_or(0, |token| token.timeline);
        Ok(Request { after: token.map(|token| token.lsn), timeline, excluded, ..request })
    }
}
