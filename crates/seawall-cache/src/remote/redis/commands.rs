//! What a cache asks of Redis, as commands: Redis as a [`Remote`].

use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::Duration;

use bytes::Bytes;
use fred::error::Error;
use fred::interfaces::KeysInterface;
use fred::types::{Key, Value};
use futures_util::future::{join_all, try_join_all};
use seawall_redis::Way;
use tokio::time::Instant;

use super::connection::{Connection, eight, integer, micros, millis};
use super::get::is_wrong_type;
use crate::marks::{Mark, MarkChange};
use crate::record;
use crate::remote::{
    Fetched, Fill, Leased, MarkRead, Put, ReadMany, Remote, RemoteError, RemoteFuture, Seen, Swept,
    Ticket, Tracking, Watcher,
};

impl Remote for Connection {
    fn node(&self, text: &str) -> u32 {
        let topology = self.topology();
        if topology.is_cluster() { topology.node(self.key(text).as_bytes()) } else { 0 }
    }

    fn read<'a>(&'a self, text: &'a str) -> RemoteFuture<'a, Fetched> {
        Box::pin(async move {
            let key = self.key(text);
            let node = self.topology().node(key.as_bytes());
            let sent = Instant::now();
            let until = sent + self.command_timeout;
            let Some(clock) = self.clocks.at(node, sent, sent) else {
                // Boxed, so that the other reads need not carry it about.
                return Box::pin(self.read_and_clock((node, sent), key)).await;
            };
            match self.get(node, key, until).await {
                Ok((bytes, by)) if by == node => {
                    Ok(Fetched::of(bytes, clock.latest, clock.earliest))
                }
                reply => {
                    Box::pin(self.within(until, self.fetched((node, sent), reply, Ok(clock)))).await
                }
            }
        })
    }

    fn bounds_reads(&self) -> bool {
        true
    }

    fn read_many<'a>(&'a self, texts: &'a [String]) -> ReadMany<'a> {
        Box::pin(async move {
            let mut nodes = BTreeMap::<u32, (Vec<usize>, Vec<Key>)>::new();
            for (place, text) in texts.iter().enumerate() {
                let key = Key::from(self.key(text));
                let (places, keys) = nodes.entry(self.topology().node(key.as_bytes())).or_default();
                places.push(place);
                keys.push(key);
            }
            let reads = nodes.into_iter().map(async |(node, (places, keys))| {
                places.into_iter().zip(self.read_node(node, keys).await)
            });
            let mut answers: Vec<_> = join_all(reads).await.into_iter().flatten().collect();
            answers.sort_unstable_by_key(|(place, _)| *place);
            answers.into_iter().map(|(_, answer)| answer).collect()
        })
    }

    fn versions<'a>(&'a self, texts: &'a [String]) -> RemoteFuture<'a, Vec<u64>> {
        Box::pin(async move {
            let version = async |text: &String| {
                let key = self.key(text);
                let node = self.topology().node(key.as_bytes());
                match self.routes.ask(node, |way| head(way, key.clone())).await {
                    Ok((head, _)) => Ok(record::peek(&head).version),
                    Err(error) if is_wrong_type(&error) => Ok(0),
                    Err(error) => Err(self.classify(error)),
                }
            };
            try_join_all(texts.iter().map(version)).await
        })
    }

    fn lease<'a>(
        &'a self,
        text: &'a str,
        seen: Seen,
        token: u64,
        hold: Duration,
    ) -> RemoteFuture<'a, Leased> {
        Box::pin(async move {
            let arguments = [eight(seen.version), eight(token), millis(hold)];
            let sent = Instant::now();
            let ((code, ms, now), by): ((u8, u64, u64), u32) =
                self.entry(&self.scripts.lease, text, arguments).await?;
            self.learn(by, now, sent);
            Ok(match code {
                0 => Leased::Granted,
                // A moment more: Redis counts down to the millisecond in which it ends.
                1 => Leased::Held { for_at_most: Duration::from_millis(ms + 1) },
                _ => Leased::Moved,
            })
        })
    }

    fn renew<'a>(&'a self, text: &'a str, token: u64, hold: Duration) -> RemoteFuture<'a, bool> {
        Box::pin(async move {
            let sent = Instant::now();
            let ((ours, now), by): ((u8, u64), u32) =
                self.entry(&self.scripts.renew, text, [eight(token), millis(hold)]).await?;
            self.learn(by, now, sent);
            Ok(ours == 1)
        })
    }

    fn release<'a>(&'a self, text: &'a str, token: u64) -> RemoteFuture<'a, ()> {
        Box::pin(async move {
            let sent = Instant::now();
            let (now, by): (u64, u32) =
                self.entry(&self.scripts.release, text, [eight(token)]).await?;
            self.learn(by, now, sent);
            Ok(())
        })
    }

    fn fill<'a>(
        &'a self,
        text: &'a str,
        ticket: Ticket,
        record: Bytes,
        ttl: Duration,
    ) -> RemoteFuture<'a, Fill> {
        Box::pin(async move {
            let arguments = [
                record.into(),
                millis(ttl),
                eight(ticket.seen.version),
                integer(ticket.seen.at.saturating_add(micros(ticket.keep))),
                ticket.token.map_or_else(|| Value::from(Bytes::new()), eight),
                millis(ticket.keep),
            ];
            let sent = Instant::now();
            let ((code, version, now), by): ((u8, u64, u64), u32) =
                self.entry(&self.scripts.fill, text, arguments).await?;
            self.learn(by, now, sent);
            Ok(match code {
                0 => Fill::Stored(version),
                2 => Fill::Late,
                3 => Fill::OldSource,
                4 => Fill::Fenced,
                _ => Fill::Moved,
            })
        })
    }

    fn put<'a>(
        &'a self,
        text: &'a str,
        record: Bytes,
        ttl: Duration,
        keep: Duration,
    ) -> RemoteFuture<'a, Put> {
        Box::pin(async move {
            let started = Instant::now();
            let deadline = started + self.command_timeout;
            loop {
                // What Redis's clock will surely have passed when the caller has given up: a put
                // that sat in a socket or a frozen server is refused there from then on.
                let arguments = |node: u32| {
                    let last_moment = self
                        .clocks
                        .at(node, deadline, Instant::now())
                        .map_or(0, |bounds| bounds.earliest);
                    let record = record.clone().into();
                    vec![record, millis(ttl), integer(last_moment), millis(ttl.max(keep))]
                };
                let sent = Instant::now();
                let ((code, version, now), by): ((u8, u64, u64), u32) =
                    self.entry_for(&self.scripts.put, text, arguments).await?;
                self.learn(by, now, sent);
                match code {
                    0 => return Ok(Put::Stored(version)),
                    1 => return Ok(Put::Superseded),
                    // Late by what we knew of this node's clock; now we know better.
                    _ if Instant::now() < deadline => {}
                    _ => {
                        return Err(RemoteError::TimedOut { after: self.command_timeout });
                    }
                }
            }
        })
    }

    fn remove<'a>(&'a self, text: &'a str, source: u64, keep: Duration) -> RemoteFuture<'a, u64> {
        Box::pin(async move {
            let arguments = [record::tombstone(text, source).into(), millis(keep)];
            let sent = Instant::now();
            let ((version, now), by): ((u64, u64), u32) =
                self.entry(&self.scripts.remove, text, arguments).await?;
            self.learn(by, now, sent);
            Ok(version)
        })
    }

    fn marks<'a>(&'a self, texts: &'a [String], since: Instant) -> RemoteFuture<'a, Vec<MarkRead>> {
        Box::pin(async move {
            let read = async |text: &String| {
                let node = self.node(text);
                let before = self.clocks.earliest_throughout(node, since);
                let (mark, tick, by) = self.mark(&self.scripts.marks, text, []).await?;
                // Both what was known of the clock before and what is now: should it have been
                // set in between, or another server have taken over, the mark may have been
                // advanced by the other one. Not known: that cannot be ruled out.
                let unmoved = by == node
                    && self.topology().settled_since(since)
                    && before.is_some_and(|it| mark.version() < tick.earliest(since).min(it));
                Ok(MarkRead { mark, unmoved })
            };
            try_join_all(texts.iter().map(read)).await
        })
    }

    fn advance<'a>(&'a self, text: &'a str, change: MarkChange) -> RemoteFuture<'a, Mark> {
        Box::pin(async move {
            let arguments = match change.bounded() {
                MarkChange::Hard => vec!["hard".into()],
                MarkChange::Soft => vec!["soft".into()],
                MarkChange::Clear { pattern, hard } => {
                    vec!["clear".into(), pattern.into(), i64::from(hard).into()]
                }
            };
            Ok(self.mark(&self.scripts.advance, text, arguments).await?.0)
        })
    }

    fn sweep<'a>(
        &'a self,
        pattern: &'a str,
        before: u64,
        keep: Duration,
        progress: &'a (dyn Fn(Swept) + Send + Sync),
    ) -> RemoteFuture<'a, Swept> {
        Box::pin(super::sweep::sweep(self, pattern, before, keep, progress))
    }

    fn watch(&self, namespace: &str, watcher: Weak<dyn Watcher>) -> bool {
        self.listening().watch(namespace, watcher)
    }

    fn tracking(&self) -> Tracking {
        self.listening().status()
    }

    fn close(&self) -> RemoteFuture<'_, ()> {
        Box::pin(async move {
            self.listening().stop();
            self.routes.close().await.map_err(|error| self.classify(error))
        })
    }
}

/// As much of a record as says its version.
async fn head(way: Way, key: String) -> Result<Bytes, Error> {
    let (first, last) = (0, record::FIXED - 1);
    if way.asking() {
        let last = i64::try_from(last).unwrap_or(i64::MAX);
        let words = vec![key.into(), Value::Integer(first), Value::Integer(last)];
        return way.after_asking("GETRANGE", words).await;
    }
    way.client().getrange(key, 0, last).await
}
