//! The end of a load that brought something: it is kept where it may be kept.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Inner;
use super::flight::{Ended, Failure};
use super::leader::Leader;
use super::marks::Stamps;
use crate::key::CacheKey;
use crate::loaded::{Answer, Loaded};
use crate::local::{Draft, Kept};
use crate::outcome::{Got, Layer};
use crate::record::{self, Meta, Unencodable};
use crate::remote::{Fill, Ticket};
use crate::stats::Refusal;

impl<K, V> Leader<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Keeps what was loaded: L2 decides first, for all nodes. `namespace`: the stamp it had when
    /// the load began.
    pub(super) async fn settle(
        &mut self,
        loaded: Loaded<V>,
        namespace: Result<u64, u64>,
        began: Instant,
        took: Duration,
    ) -> Ended<V> {
        let inner = Arc::clone(&self.inner);
        let tags_are_valid = loaded.tags_are_valid();
        let value = match loaded.answer {
            Answer::Value(value) => Some(Arc::new(value)),
            Answer::Absent => None,
            Answer::NotModified => match self.previous() {
                Some(previous) => Some(previous),
                None => {
                    self.release();
                    return Err(Failure::NothingToKeep);
                }
            },
        };
        inner.throttle.forget(self.lease.key());
        let life = inner.policy.life(loaded.ttl, loaded.stale_for, value.is_none(), rand::random());
        let mut draft = Draft {
            value,
            at: inner.local.clock().now(),
            age: Duration::ZERO,
            fresh: life.fresh,
            hard: life.hard,
            l1: inner.policy.l1_share(),
            delta: took,
            version: 0,
            source: loaded.source,
            node: inner.remote.as_ref().map_or(0, |remote| remote.node(&self.text)),
            namespace: namespace.unwrap_or_else(|last| last),
            tags: Vec::new(),
            degraded: inner.remote.is_some() && (self.seen.is_none() || namespace.is_err()),
        };
        let refusal = if loaded.source < self.min_source {
            Some(Refusal::Source)
        } else if !tags_are_valid {
            tracing::warn!(cache = &*inner.namespace, "a loader's tags are not valid; not cached");
            Some(Refusal::Tag)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            inner.counters.refused(refusal);
            draft.degraded = true;
        }
        if refusal.is_some() || !loaded.cached || life.fresh.is_zero() {
            self.release();
            return Ok(draft.got(Layer::Loader));
        }
        match inner.tag_stamps(&loaded.tags, began, self.seen.is_some()).await {
            Stamps::Known(tags) => draft.tags = tags,
            Stamps::Guessed(tags) => {
                draft.tags = tags;
                draft.degraded = true;
            }
            Stamps::Moved => {
                inner.counters.refused(Refusal::Tag);
                self.release();
                return Ok(draft.got(Layer::Loader));
            }
        }
        Ok(self.keep(draft, &loaded.tags).await)
    }

    async fn keep(&mut self, mut draft: Draft<V>, tags: &[Box<str>]) -> Got<V> {
        let inner = Arc::clone(&self.inner);
        if draft.degraded {
            // What L2 had no word on, it must not hear of either.
            self.release();
        } else if let (Some(remote), Some(seen)) = (&inner.remote, self.seen) {
            match inner.encode(&self.text, &draft, tags) {
                None => self.release(),
                Some(record) => {
                    let keep = inner.config.tombstone_ttl;
                    let ticket = Ticket { seen, keep, token: self.token };
                    self.lease.send();
                    match remote.fill(&self.text, ticket, record, draft.hard).await {
                        Ok(Fill::Stored(version)) => draft.version = version,
                        Ok(refused) => {
                            let fenced = refused == Fill::Fenced;
                            let refusal = if fenced { Refusal::Fenced } else { Refusal::L2 };
                            inner.counters.refused(refusal);
                            return draft.got(Layer::Loader);
                        }
                        Err(error) => {
                            inner.counters.remote_error(&error);
                            draft.degraded = true;
                        }
                    }
                }
            }
        }
        let got = draft.got(Layer::Loader);
        let (kept, _) = self.lease.fill(draft, inner.local.clock().now());
        if kept == Kept::No {
            inner.counters.refused(Refusal::L1);
        }
        got
    }
}

impl<K, V> Inner<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// The record of an entry, unless L2 cannot hold it.
    pub(super) fn encode(&self, text: &str, draft: &Draft<V>, tags: &[Box<str>]) -> Option<Bytes> {
        let codec = self.codec.as_ref()?;
        let tags: Vec<_> =
            tags.iter().zip(&draft.tags).map(|(tag, (_, stamp))| (&**tag, *stamp)).collect();
        let meta = Meta {
            schema: self.config.schema,
            source: draft.source,
            fresh: draft.fresh,
            load: draft.delta,
            namespace: draft.namespace,
            tags: &tags,
        };
        match record::encode(text, &meta, draft.value.as_deref(), &**codec, self.bounds) {
            Ok(record) => Some(record),
            Err(error) => {
                self.counters.l2_error(match error {
                    Unencodable::TooLarge => "too_large",
                    Unencodable::Codec(_) | Unencodable::Tags => "not_encodable",
                });
                None
            }
        }
    }
}
