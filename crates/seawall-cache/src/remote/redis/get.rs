//! Reading keys of one node, in as few commands as can be.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use fred::error::{Error, ErrorKind};
use fred::interfaces::KeysInterface;
use fred::types::{Key, Value};
use futures_util::future::join_all;
use seawall_redis::{Carry, Replies, Routes, Unasked, Way, another_number};

/// What is under one key, and which node said so.
pub(super) type Reply = Result<(Option<Bytes>, u32), Error>;

/// Reads keys as one MGET, or on a cluster, where an MGET is for keys of one slot, as one pipeline
/// of GETs.
#[derive(Clone)]
pub(super) struct Getter {
    routes: Arc<Routes>,
}

impl Getter {
    pub(super) fn new(routes: Arc<Routes>) -> Self {
        Self { routes }
    }
}

impl Carry for Getter {
    type Ask = Key;
    type Reply = Reply;

    async fn one(&self, node: u32, key: Key) -> Reply {
        if !self.routes.topology().is_cluster() {
            // There is nowhere else to go: the key need not be kept.
            let way = self.routes.to(node)?;
            let answer = way.without_deadline().get(key).await.or_else(foreign);
            return answer.map(|bytes| (bytes, node));
        }
        let get = |way: Way| {
            let key = key.clone();
            async move {
                let answer = if way.asking() {
                    way.after_asking("GET", vec![key.into()]).await
                } else {
                    way.without_deadline().get(key).await
                };
                answer.or_else(foreign)
            }
        };
        self.routes.ask(node, get).await
    }

    async fn many(&self, node: u32, keys: Vec<Key>, replies: &Replies<Reply>) {
        for (place, reply) in self.all(node, keys).await.into_iter().enumerate() {
            replies.tell(place, reply);
        }
    }

    fn unasked(&self, why: Unasked) -> Reply {
        Err(match why {
            Unasked::Full => Error::new(ErrorKind::Backpressure, "too many reads wait"),
            Unasked::Late => Error::new(ErrorKind::Timeout, "no answer in time"),
            _ => Error::new(ErrorKind::Canceled, "shut down"),
        })
    }
}

impl Getter {
    /// One reply a key, in order.
    pub(super) async fn all(&self, node: u32, keys: Vec<Key>) -> Vec<Reply> {
        let all = keys.len();
        let way = match self.routes.to(node) {
            Ok(way) => way,
            Err(error) => return vec![Err(error); all],
        };
        if !self.routes.topology().is_cluster() {
            let replies = self.read(&way, keys).await;
            return replies.into_iter().map(|reply| reply.map(|bytes| (bytes, node))).collect();
        }
        let replies = self.read(&way, keys.clone()).await;
        let mut replies: Vec<Reply> = replies.into_iter().map(|it| Ok((it?, node))).collect();
        // Those that another has. A slot that is on its way once more is not followed further.
        let mut elsewhere = BTreeMap::<(u32, bool), (Way, Vec<usize>)>::new();
        for (place, reply) in replies.iter().enumerate() {
            if let Err(error) = reply
                && let Some(way) = self.routes.redirect(error, node)
            {
                let (_, places) =
                    elsewhere.entry((way.node(), way.asking())).or_insert((way, Vec::new()));
                places.push(place);
            }
        }
        let again = elsewhere.into_values().map(async |(way, places)| {
            let keys = places.iter().map(|place| keys[*place].clone()).collect();
            let read = self.read(&way, keys).await;
            places.into_iter().zip(read.into_iter().map(move |it| Ok((it?, way.node()))))
        });
        for (place, reply) in join_all(again).await.into_iter().flatten() {
            replies[place] = reply;
        }
        replies
    }

    /// One reply a key, in order.
    async fn read(&self, way: &Way, keys: Vec<Key>) -> Vec<Result<Option<Bytes>, Error>> {
        let count = keys.len();
        let mut replies = if way.asking() {
            let words = keys.into_iter().map(|key| vec![key.into()]).collect();
            way.each_after_asking("GET", words).await
        } else if let [key] = keys.as_slice() {
            vec![way.client().get(key.clone()).await]
        } else if self.routes.topology().is_cluster() {
            pipeline(way, keys).await
        } else {
            // What has another type comes as absent, as Redis has it for MGET.
            match way.client().mget::<Vec<Option<Bytes>>, _>(keys).await {
                Ok(values) if values.len() == count => return values.into_iter().map(Ok).collect(),
                Ok(_) => vec![Err(another_number())],
                Err(error) => vec![Err(error)],
            }
        };
        if replies.len() != count {
            // One error for all of them.
            let shared = match replies.pop() {
                Some(Err(error)) => error,
                _ => another_number(),
            };
            return vec![Err(shared); count];
        }
        replies.into_iter().map(|reply| reply.or_else(foreign)).collect()
    }
}

async fn pipeline(way: &Way, keys: Vec<Key>) -> Vec<Result<Option<Bytes>, Error>> {
    let pipeline = way.client().pipeline();
    for key in keys {
        // Only queued here.
        if let Err(error) = pipeline.get::<Value, _>(key).await {
            return vec![Err(error)];
        }
    }
    pipeline.try_all().await
}

/// Another type: foreign, not absent. An empty string is foreign too.
pub(super) fn foreign(error: Error) -> Result<Option<Bytes>, Error> {
    if is_wrong_type(&error) { Ok(Some(Bytes::new())) } else { Err(error) }
}

pub(super) fn is_wrong_type(error: &Error) -> bool {
    error.details().starts_with("WRONGTYPE")
}
