//! Reading and filling L2.

use std::hash::Hash;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::Inner;
use super::load::Ended;
use crate::codec::Postcard;
use crate::config::MAX_TTL;
use crate::key::CacheKey;
use crate::local::{Entry, Lease};
use crate::outcome::{Got, Layer};
use crate::record::{self, Bounds, Meta, Record, Unencodable};
use crate::remote::guarded::Guarded;
use crate::remote::{Fetched, Fill, RemoteError, Seen, Ticket};
use crate::stats::Refusal;

/// What a look into L2 brought.
pub(super) enum Looked<V> {
    Hit(Entry<V>),
    /// Nothing that counts. A fill must show `seen`, and come from `min_source` or newer.
    Miss {
        seen: Seen,
        min_source: u64,
    },
    Failed(RemoteError),
}

/// What became of a fill of L2.
pub(super) enum Filled {
    /// It is there under this version, or L2 cannot hold it (0): L1 may keep it.
    Done(u64),
    /// Overtaken: L1 must not keep it either.
    Refused,
    /// L2 is out of reach: L1 may keep it.
    Failed,
}

impl<K, V> Inner<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Looks `text` up in L2. An entry from an older source than `min_source` is a miss.
    pub(super) async fn look(&self, remote: &Guarded, text: &str, min_source: u64) -> Looked<V> {
        // Before the request: L1 must not think the entry lives longer than L2 does.
        let asked = Instant::now();
        match remote.read(text).await {
            Ok(fetched) => self.judge(&fetched, text, min_source, asked),
            Err(error) => {
                self.counters.remote_error(&error);
                Looked::Failed(error)
            }
        }
    }

    fn judge(&self, fetched: &Fetched, text: &str, min_source: u64, asked: Instant) -> Looked<V> {
        let bytes: &[u8] = fetched.bytes.as_deref().unwrap_or_default();
        let there = record::peek(bytes);
        let seen = Seen { version: there.version, at: fetched.now };
        let miss = |min_source| Looked::Miss { seen, min_source };
        if fetched.bytes.is_none() {
            return miss(0);
        }
        let stored = match record::open(bytes, text, self.config.schema, self.bounds()) {
            Ok(Record::Tombstone) => return miss(there.source),
            Ok(Record::Entry(stored)) => stored,
            Err(damage) => {
                self.counters.corrupt(damage);
                return miss(0);
            }
        };
        let value = match stored.value::<V>(&Postcard, self.bounds()) {
            Ok(value) => value,
            Err(damage) => {
                self.counters.corrupt(damage);
                return miss(0);
            }
        };
        if there.source > 0 && there.source < min_source {
            return miss(0);
        }
        let age = Duration::from_micros(fetched.now.saturating_sub(there.version));
        Looked::Hit(Entry {
            value: value.map(Into::into),
            loaded: asked.checked_sub(age).unwrap_or(asked),
            expires: asked + self.config.l1_share(fetched.remaining.min(MAX_TTL)),
            version: there.version,
            source: there.source,
            degraded: false,
        })
    }

    /// Offers a loaded entry to L2.
    pub(super) async fn fill_l2(
        &self,
        remote: &Guarded,
        text: &str,
        seen: Seen,
        entry: &Entry<V>,
        ttl: Duration,
    ) -> Filled {
        let Some(record) = self.encode(text, entry) else {
            return Filled::Done(0);
        };
        let ticket = Ticket { seen, keep: self.config.tombstone_ttl, token: None };
        match remote.fill(text, ticket, record, ttl).await {
            Ok(Fill::Stored(version)) => Filled::Done(version),
            Ok(Fill::Moved | Fill::Late | Fill::OldSource | Fill::Fenced) => Filled::Refused,
            Err(error) => {
                self.counters.remote_error(&error);
                Filled::Failed
            }
        }
    }

    /// The record of an entry, unless L2 cannot hold it.
    pub(super) fn encode(&self, text: &str, entry: &Entry<V>) -> Option<Bytes> {
        let meta = Meta { schema: self.config.schema, source: entry.source, ..Meta::default() };
        match record::encode(text, &meta, entry.value.as_deref(), &Postcard, self.bounds()) {
            Ok(record) => Some(record),
            Err(Unencodable::TooLarge) => {
                self.counters.l2_error("too_large");
                None
            }
            Err(Unencodable::Codec(_) | Unencodable::Tags) => {
                self.counters.l2_error("not_encodable");
                None
            }
        }
    }

    fn bounds(&self) -> Bounds {
        let record = self.config.max_record_bytes;
        Bounds { record, value: record, compress_above: usize::MAX }
    }
}

impl<K, V> Inner<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Keeps in L1 what L2 had.
    pub(super) fn keep(&self, lease: &Lease<K, V, Ended<V>>, entry: Entry<V>) -> Got<V> {
        let now = Instant::now();
        let got = entry.clone().got(Layer::L2, now);
        if entry.expires > now && !lease.fill(entry) {
            self.counters.refused(Refusal::L1);
        }
        self.counters.entries(self.local.len());
        got
    }
}
