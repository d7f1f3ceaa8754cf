//! Writes and removals: on a task of their own, so that none stops half-way.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::Inner;
use super::load::Ended;
use crate::key::CacheKey;
use crate::loaded::Loaded;
use crate::local::{Entry, Lease};
use crate::outcome::{L2Write, Written};
use crate::remote::Put;
use crate::remote::guarded::Guarded;

/// What to do to a key.
pub(super) enum Write<V> {
    Set(Loaded<V>),
    Remove { source: u64 },
}

/// Does it, also if the returned future is dropped.
pub(super) async fn detached<K, V>(inner: &Arc<Inner<K, V>>, key: K, write: Write<V>) -> Written
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let inner = Arc::clone(inner);
    let alive = inner.tasks.subscribe();
    let write = async move {
        let lease = inner.local.lease(key);
        let written = match write {
            Write::Set(loaded) => inner.set(&lease, loaded).await,
            Write::Remove { source } => inner.remove(&lease, source).await,
        };
        inner.counters.entries(inner.local.len());
        drop(alive);
        written
    };
    match tokio::spawn(write.in_current_span()).await {
        Ok(written) => written,
        // The value's own code panicked: its panic, not ours.
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down.
        Err(_) => Written { l1: false, l2: L2Write::Pending },
    }
}

impl<K, V> Inner<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    async fn set(&self, lease: &Lease<K, V, Ended<V>>, loaded: Loaded<V>) -> Written {
        let now = Instant::now();
        let ttl = self.config.entry_ttl(loaded.ttl, loaded.value.is_none());
        if !loaded.cached || ttl.is_zero() {
            return self.remove(lease, 0).await;
        }
        let mut entry = Entry {
            value: loaded.value.map(Arc::new),
            loaded: now,
            expires: now + self.config.l1_share(ttl),
            version: lease.written(),
            source: loaded.source,
            degraded: false,
        };
        let superseded = match &self.remote {
            Some(_) => L2Write::Superseded,
            None => L2Write::NotConfigured,
        };
        if loaded.source > 0 && loaded.source < self.sources.get(lease.key(), now) {
            lease.remove();
            return Written { l1: false, l2: superseded };
        }
        // A later load must not bring back what this one replaces.
        self.sources.raise(lease.key().clone(), loaded.source, now);
        let l2 = match &self.remote {
            Some(remote) => self.put(remote, lease, &mut entry, ttl).await,
            None => {
                entry.version = self.local.next_version();
                L2Write::NotConfigured
            }
        };
        if l2 == L2Write::Superseded {
            lease.remove();
            return Written { l1: false, l2 };
        }
        Written { l1: lease.end_write(entry), l2 }
    }

    /// Writes an entry to L2 and notes the version it got there.
    async fn put(
        &self,
        remote: &Guarded,
        lease: &Lease<K, V, Ended<V>>,
        entry: &mut Entry<V>,
        ttl: Duration,
    ) -> L2Write {
        let text = self.text(lease.key());
        let Some(record) = self.encode(&text, entry) else {
            return match self.remove_l2(remote, &text, entry.source).await {
                L2Write::Done => L2Write::Unstorable,
                other => other,
            };
        };
        match remote.put(&text, record, ttl, self.config.tombstone_ttl).await {
            Ok(Put::Stored(version)) => {
                entry.version = version;
                L2Write::Done
            }
            Ok(Put::Superseded) => L2Write::Superseded,
            Err(error) => {
                self.counters.remote_error(&error);
                L2Write::Pending
            }
        }
    }

    async fn remove(&self, lease: &Lease<K, V, Ended<V>>, source: u64) -> Written {
        // First, so that who loads from now on knows.
        self.sources.raise(lease.key().clone(), source, Instant::now());
        lease.remove();
        let l2 = match &self.remote {
            Some(remote) => self.remove_l2(remote, &self.text(lease.key()), source).await,
            None => L2Write::NotConfigured,
        };
        // Again: a read may have brought the old entry back before L2 knew.
        lease.remove();
        Written { l1: true, l2 }
    }

    async fn remove_l2(&self, remote: &Guarded, text: &str, source: u64) -> L2Write {
        match remote.remove(text, source, self.config.tombstone_ttl).await {
            Ok(_) => L2Write::Done,
            Err(error) => {
                self.counters.remote_error(&error);
                L2Write::Pending
            }
        }
    }
}
