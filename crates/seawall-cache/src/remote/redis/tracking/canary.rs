//! A key that a flush takes with it.

use bytes::Bytes;
use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::KeysInterface;
use fred::types::{Expiration, SetOptions, Value};
use seawall_redis::Topology;
use tokio::time::{Duration, Instant};

/// What is known of the canary of one master. Nodes share it: each remembers what it saw.
pub(super) struct Canary {
    node: u32,
    prefix: String,
    /// In a slot of the master, if it has any.
    key: Option<String>,
    value: Option<Bytes>,
    prolonged: Instant,
}

/// What reading it told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is as it was.
    Same,
    /// It was made, or seen for the first time.
    New,
    /// It is gone or another: the node was flushed since, or it was evicted.
    Gone,
    /// It could not be made, so that a flush would not be seen.
    Missing,
}

impl Canary {
    pub(super) fn new(node: u32, key_prefix: &str) -> Self {
        let prefix = [key_prefix, NAME].concat();
        Self { node, prefix, key: None, value: None, prolonged: Instant::now() }
    }

    /// Chooses the key anew if it is not in a slot of the master any more.
    pub(super) fn place(&mut self, topology: &Topology) {
        let here = |key: &String| topology.node(key.as_bytes()) == self.node;
        if !self.key.as_ref().is_some_and(here) {
            self.key = topology.key_on(self.node, &self.prefix);
            self.value = None;
        }
    }

    /// Asks for the canary, making it if it is not known. To be judged by [`judge`](Self::judge).
    /// The commands are written when this is first polled.
    pub(super) fn read(
        &self,
        client: &Client,
    ) -> impl Future<Output = Result<Option<Bytes>, Error>> + use<> {
        let (client, key, known) = (client.clone(), self.key.clone(), self.value.is_some());
        let prolong = known && self.prolonged.elapsed() >= PROLONG_EVERY;
        async move {
            let Some(key) = key else { return Ok(None) };
            if prolong {
                client.expire::<(), _>(key.as_str(), TTL_SECONDS, None).await?;
            }
            if !known {
                let value = format!("{:032x}", rand::random::<u128>());
                let (ttl, absent) = (Expiration::EX(TTL_SECONDS), SetOptions::NX);
                let set = client.set::<Value, _, _>(&key, value, Some(ttl), Some(absent), false);
                match set.await {
                    // Without it a flush cannot be told from none.
                    Err(error) if !error.details().starts_with("OOM") => return Err(error),
                    _ => {}
                }
            }
            client.get(key.as_str()).await
        }
    }

    /// Compares what was read with what was there.
    pub(super) fn judge(&mut self, read: Option<Bytes>) -> Seen {
        if self.key.is_none() {
            return Seen::Same;
        }
        match (&self.value, read) {
            (Some(known), Some(read)) if *known == read => {
                if self.prolonged.elapsed() >= PROLONG_EVERY {
                    self.prolonged = Instant::now();
                }
                Seen::Same
            }
            (Some(_), _) => {
                self.value = None;
                Seen::Gone
            }
            (None, read) => {
                let new = read.is_some();
                self.value = read;
                self.prolonged = Instant::now();
                if new { Seen::New } else { Seen::Missing }
            }
        }
    }
}

/// Under our prefix, and in no namespace.
const NAME: &str = "#canary:";
const TTL_SECONDS: i64 = 24 * 3600;
const PROLONG_EVERY: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_flush_between_two_looks_is_seen_even_if_another_made_it_anew() {
        let mut canary = Canary::new(0, "p:");
        canary.place(&Topology::single());
        let value = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
        assert_eq!(canary.judge(value("a")), Seen::New);
        assert_eq!(canary.judge(value("a")), Seen::Same);
        assert_eq!(canary.judge(value("b")), Seen::Gone);
        assert_eq!(canary.judge(None), Seen::Missing, "and again before it was made");
        assert_eq!(canary.judge(value("c")), Seen::New);
        assert_eq!(canary.judge(None), Seen::Gone);
    }

    #[tokio::test]
    async fn a_master_without_slots_has_no_canary() {
        let mut canary = Canary::new(5, "p:");
        canary.place(&Topology::cluster());
        assert_eq!(canary.judge(None), Seen::Same);
    }
}
