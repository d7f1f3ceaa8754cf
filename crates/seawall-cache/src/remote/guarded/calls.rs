//! What a remote does, guarded.

use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::Guarded;
use super::pending::Task;
use crate::marks::{Mark, MarkChange};
use crate::record;
use crate::remote::{
    Fetched, Fill, Leased, MarkRead, Put, RemoteError, RemoteFuture, Seen, Swept, Ticket, Watcher,
};

impl Guarded {
    /// [`Remote::node`](crate::Remote::node).
    #[must_use]
    pub fn node(&self, text: &str) -> u32 {
        self.inner.remote.node(text)
    }

    /// [`Remote::read`](crate::Remote::read), unless a removal that waits hides the key.
    ///
    /// # Errors
    /// Within the deadline, if the remote does not answer, or is not asked.
    pub async fn read(&self, text: &str) -> Result<Fetched, RemoteError> {
        let inner = &self.inner;
        if inner.hides(text) {
            return Err(RemoteError::RemovalPending);
        }
        let fetched = if inner.bounds_reads {
            let attempt = inner.admit(inner.remote.node(text), text)?;
            let answer = inner.remote.read(text).await;
            attempt.tell(answer.as_ref().err());
            answer?
        } else {
            inner.call(text, || inner.remote.read(text)).await?
        };
        inner.note_ttl(fetched.remaining);
        Ok(fetched)
    }

    /// [`Remote::read_many`](crate::Remote::read_many); keys that removals hide are not asked for.
    /// The answers are in the order of `texts`; each may be an error as of [`read`](Self::read).
    pub async fn read_many(&self, texts: &[String]) -> Vec<Result<Fetched, RemoteError>> {
        let visible: Vec<String> =
            texts.iter().filter(|text| !self.inner.hides(text)).cloned().collect();
        let mut answers = self.inner.call_many(&visible).await.into_iter();
        let mut asked = visible.iter().peekable();
        let mut answer = |text: &String| match asked.next_if_eq(&text) {
            Some(_) => answers.next().unwrap_or(Err(RemoteError::RemovalPending)),
            None => Err(RemoteError::RemovalPending),
        };
        texts.iter().map(&mut answer).collect()
    }

    /// [`Remote::versions`](crate::Remote::versions); 0 for keys that a removal hides. The answers
    /// are in the order of `texts`; each may be an error as of [`read`](Self::read): a node that is
    /// out of reach fails its own only.
    pub async fn versions(&self, texts: &[String]) -> Vec<Result<u64, RemoteError>> {
        let inner = &self.inner;
        let mut versions = inner.call_all(texts, |remote, texts| remote.versions(texts)).await;
        for (text, version) in texts.iter().zip(&mut versions) {
            if inner.hides(text) {
                *version = Ok(0);
            }
        }
        versions
    }

    /// [`Remote::lease`](crate::Remote::lease), unless a removal that waits hides the key.
    ///
    /// # Errors
    /// As [`read`](Self::read); it may have been granted all the same.
    pub async fn lease(
        &self,
        text: &str,
        seen: Seen,
        token: u64,
        hold: Duration,
    ) -> Result<Leased, RemoteError> {
        let inner = &self.inner;
        inner.call_unhidden(text, || inner.remote.lease(text, seen, token, hold)).await
    }

    /// [`Remote::renew`](crate::Remote::renew).
    ///
    /// # Errors
    /// As [`read`](Self::read); it may have taken effect all the same.
    pub async fn renew(&self, text: &str, token: u64, hold: Duration) -> Result<bool, RemoteError> {
        self.inner.call(text, || self.inner.remote.renew(text, token, hold)).await
    }

    /// [`Remote::release`](crate::Remote::release).
    ///
    /// # Errors
    /// As [`read`](Self::read). The lease then ends by itself.
    pub async fn release(&self, text: &str, token: u64) -> Result<(), RemoteError> {
        self.inner.call(text, || self.inner.remote.release(text, token)).await
    }

    /// [`Remote::fill`](crate::Remote::fill), unless a removal that waits hides the key.
    ///
    /// # Errors
    /// As [`read`](Self::read); it may have taken effect all the same.
    pub async fn fill(
        &self,
        text: &str,
        ticket: Ticket,
        record: Bytes,
        ttl: Duration,
    ) -> Result<Fill, RemoteError> {
        let inner = &self.inner;
        inner.note_ttl(ttl);
        inner.call_unhidden(text, || inner.remote.fill(text, ticket, record, ttl)).await
    }

    /// [`Remote::put`](crate::Remote::put). If it fails, the removal of the key is remembered, to
    /// be kept for `keep`. The future must be polled to its end: dropping it remembers nothing.
    ///
    /// # Errors
    /// As [`read`](Self::read); it may have taken effect all the same.
    pub async fn put(
        &self,
        text: &str,
        record: Bytes,
        ttl: Duration,
        keep: Duration,
    ) -> Result<Put, RemoteError> {
        let inner = &self.inner;
        inner.note_ttl(ttl);
        let source = record::peek(&record).source;
        let sequence = inner.sequence();
        let answer = inner.call(text, || inner.remote.put(text, record, ttl, keep)).await;
        match answer {
            Ok(Put::Stored(_)) => inner.settle(text, sequence),
            // Nothing was stored, so a removal that waits is still to be made.
            Ok(Put::Superseded) => {}
            // What the put had seen, fills must have seen too.
            Err(_) => inner.remember(text, Task::Remove { source, keep }),
        }
        answer
    }

    /// [`Remote::remove`](crate::Remote::remove). If it fails, it is remembered.
    /// The future must be polled to its end: dropping it remembers nothing.
    ///
    /// # Errors
    /// As [`read`](Self::read); it may have taken effect all the same.
    pub async fn remove(
        &self,
        text: &str,
        source: u64,
        keep: Duration,
    ) -> Result<u64, RemoteError> {
        let inner = &self.inner;
        let sequence = inner.sequence();
        let answer = inner.call(text, || inner.remote.remove(text, source, keep)).await;
        match answer {
            Ok(_) => inner.settle(text, sequence),
            Err(_) => inner.remember(text, Task::Remove { source, keep }),
        }
        answer
    }

    /// [`Remote::marks`](crate::Remote::marks); those whose advance waits are not asked for. The
    /// answers are in the order of `texts`; each may be an error as of [`read`](Self::read).
    pub async fn marks(
        &self,
        texts: &[String],
        since: Instant,
    ) -> Vec<Result<MarkRead, RemoteError>> {
        let inner = &self.inner;
        let hidden: Vec<bool> = texts.iter().map(|text| inner.hides(text)).collect();
        let visible = texts.iter().zip(&hidden).filter(|(_, hidden)| !**hidden);
        let visible: Vec<String> = visible.map(|(text, _)| text.clone()).collect();
        let answers = match visible.is_empty() {
            true => Vec::new(),
            false => inner.call_all(&visible, |remote, texts| remote.marks(texts, since)).await,
        };
        let mut answers = answers.into_iter();
        let mut answer = |hidden: bool| match hidden {
            true => Err(RemoteError::RemovalPending),
            false => answers.next().unwrap_or(Err(RemoteError::RemovalPending)),
        };
        hidden.into_iter().map(&mut answer).collect()
    }

    /// [`Remote::advance`](crate::Remote::advance). If it fails, it is remembered, and until the
    /// remote has acknowledged it the mark is not read.
    /// The future must be polled to its end: dropping it remembers nothing.
    ///
    /// # Errors
    /// As [`read`](Self::read); it may have taken effect all the same.
    pub async fn advance(&self, text: &str, change: MarkChange) -> Result<Mark, RemoteError> {
        let inner = &self.inner;
        let sequence = inner.sequence();
        let answer = inner.call(text, || inner.remote.advance(text, change.clone())).await;
        match answer {
            Ok(_) => inner.settle_advance(text, sequence, &change),
            Err(_) => inner.remember(text, Task::Advance(vec![change])),
        }
        answer
    }

    /// [`Remote::sweep`](crate::Remote::sweep). It is not asked while a breaker is open, and
    /// given up when no step ends within ten deadlines.
    ///
    /// # Errors
    /// As [`read`](Self::read); what was swept stays so.
    pub async fn sweep(
        &self,
        pattern: &str,
        before: u64,
        keep: Duration,
        progress: &(dyn Fn(Swept) + Send + Sync),
    ) -> Result<Swept, RemoteError> {
        let inner = &self.inner;
        if inner.nodes.is_any_open() {
            return Err(RemoteError::BreakerOpen);
        }
        let steps = AtomicU64::new(0);
        let counting = |swept| {
            steps.fetch_add(1, Ordering::Relaxed);
            progress(swept);
        };
        let sweeping: RemoteFuture<'_, Swept> =
            inner.remote.sweep(pattern, before, keep, &counting);
        let patience = inner.deadline.saturating_mul(10);
        let stalled = async {
            loop {
                let before = steps.load(Ordering::Relaxed);
                sleep(patience).await;
                if steps.load(Ordering::Relaxed) == before {
                    return;
                }
            }
        };
        tokio::select! {
            answer = sweeping => answer,
            () = stalled => Err(RemoteError::TimedOut { after: patience }),
        }
    }

    /// [`Remote::watch`](crate::Remote::watch).
    #[must_use = "false: nothing is told"]
    pub fn watch(&self, namespace: &str, watcher: Weak<dyn Watcher>) -> bool {
        self.inner.remote.watch(namespace, watcher)
    }
}

#[cfg(test)]
mod tests;
