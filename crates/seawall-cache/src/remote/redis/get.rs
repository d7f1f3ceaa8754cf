//! Reading keys of one node, in as few commands as can be.

use std::time::Duration;

use bytes::Bytes;
use fred::clients::{Client, WithOptions};
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, KeysInterface};
use fred::types::config::Options;
use fred::types::{Key, Value};

use super::fold::{Fetch, Reply};

/// Reads through a client: keys as one MGET, or on a cluster, where an MGET is for keys of one
/// slot, as one pipeline of GETs.
#[derive(Clone)]
pub(super) struct Getter {
    client: Client,
    /// Without a deadline: who asks for one key has one, and a second timer would cost as much as
    /// the rest.
    alone: WithOptions<Client>,
}

impl Getter {
    pub(super) fn new(client: Client) -> Self {
        let none = Options { timeout: Some(Duration::ZERO), ..Options::default() };
        Self { alone: client.with_options(&none), client }
    }
}

impl Fetch for Getter {
    async fn one(&self, key: Key) -> Reply {
        // Another type: foreign, not absent. An empty string is foreign too.
        again(|| self.alone.get(key.clone())).await.or_else(foreign)
    }

    async fn many(&self, keys: Vec<Key>) -> Vec<Reply> {
        if let [key] = keys.as_slice() {
            return vec![again(|| self.client.get(key.clone())).await.or_else(foreign)];
        }
        let count = keys.len();
        let mut replies = if self.client.is_clustered() {
            let replies = self.pipeline(keys.clone()).await;
            let moved = |reply: &Reply| reply.as_ref().is_err_and(redirected);
            if replies.iter().any(moved) { self.pipeline(keys).await } else { replies }
        } else {
            // What has another type comes as absent, as Redis has it for MGET.
            match self.client.mget::<Vec<Option<Bytes>>, _>(keys).await {
                Ok(values) => values.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            }
        };
        if replies.len() != count {
            // One error for all of them.
            let shared = match replies.pop() {
                Some(Err(error)) => error,
                _ => Error::new(ErrorKind::Protocol, "another number of replies than keys"),
            };
            replies = (0..count).map(|_| Err(shared.clone())).collect();
        }
        replies
    }
}

impl Getter {
    async fn pipeline(&self, keys: Vec<Key>) -> Vec<Reply> {
        let pipeline = self.client.pipeline();
        for key in keys {
            // Only queued here.
            if let Err(error) = pipeline.get::<Value, _>(key).await {
                return vec![Err(error)];
            }
        }
        let replies = pipeline.try_all::<Option<Bytes>>().await;
        replies.into_iter().map(|reply| reply.or_else(foreign)).collect()
    }
}

/// Asks, and once more if the key was on another node: after MOVED fred knows by now where. A second
/// time, its slot is on its way, and where the key is only ASKING would tell.
pub(super) async fn again<T, F>(ask: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    match ask().await {
        Err(error) if redirected(&error) => ask().await,
        answer => answer,
    }
}

/// Whether a node said that another has the key.
pub(super) fn redirected(error: &Error) -> bool {
    // As fred words it when it may not follow.
    *error.kind() == ErrorKind::Routing && error.details().starts_with("Too many redirections")
}

fn foreign(error: Error) -> Reply {
    if is_wrong_type(&error) { Ok(Some(Bytes::new())) } else { Err(error) }
}

pub(super) fn is_wrong_type(error: &Error) -> bool {
    error.details().starts_with("WRONGTYPE")
}
