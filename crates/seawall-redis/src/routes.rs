//! The way of a command to the node that answers it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use fred::clients::{Client, WithOptions};
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::{ClusterHash, CustomCommand, FromValue, Value};
use futures_util::future::{FutureExt as _, select_ok};
use tokio::sync::Notify;

use crate::clients::{Clients, NodeClient};
use crate::reads::Reads;
use crate::topology::Topology;

/// Finds the connection for a node, and another where a node says that another has the key.
///
/// Made by [`Masters`](crate::Masters). Commands have the deadline of
/// [`command_timeout`](crate::Settings::command_timeout); where there is no connection they fail at once.
pub struct Routes {
    topology: Topology,
    clients: Clients,
    /// The masters may have changed.
    doubt: Notify,
    /// Who said so last, and should know.
    hint: AtomicU32,
}

/// Where to send a command, and how.
#[derive(Clone)]
pub struct Way {
    node: u32,
    to: Arc<NodeClient>,
    asking: bool,
}

impl Way {
    /// The node it leads to.
    #[must_use]
    pub fn node(&self) -> u32 {
        self.node
    }

    /// Whether the key is on its way there: only after ASKING it is answered.
    #[must_use]
    pub fn asking(&self) -> bool {
        self.asking
    }

    /// The connection.
    #[must_use]
    pub fn client(&self) -> &Client {
        self.to.client()
    }

    /// The same without a deadline, for who has one: a second timer would cost as much as the rest.
    #[must_use]
    pub fn without_deadline(&self) -> &WithOptions<Client> {
        self.to.alone()
    }

    /// The connection that does nothing but read keys, if it is up. The first who asks for it has it
    /// started. It is for nobody who is [asking](Self::asking).
    #[must_use]
    pub fn reads(&self) -> Option<&Reads> {
        self.to.reads()
    }

    /// Sends a command, after ASKING if need be.
    ///
    /// # Errors
    /// What the node answered, or that it did not.
    pub async fn send<R: FromValue>(
        &self,
        command: &'static str,
        words: Vec<Value>,
    ) -> Result<R, Error> {
        if self.asking {
            return self.after_asking(command, words).await;
        }
        self.client().custom::<Value, _>(plain(command), words).await?.convert()
    }

    /// Sends a command right after ASKING.
    ///
    /// # Errors
    /// What the node answered, or that it did not.
    pub async fn after_asking<R: FromValue>(
        &self,
        command: &'static str,
        words: Vec<Value>,
    ) -> Result<R, Error> {
        let mut replies = self.each_after_asking(command, vec![words]).await;
        replies.pop().unwrap_or_else(|| Err(another_number()))
    }

    /// Sends commands, each right after ASKING, with nothing in between. One reply each, or one
    /// error for all.
    pub async fn each_after_asking<R: FromValue>(
        &self,
        command: &'static str,
        all: Vec<Vec<Value>>,
    ) -> Vec<Result<R, Error>> {
        let (pipeline, count) = (self.client().pipeline(), all.len());
        for words in all {
            // Only queued here.
            let asking = pipeline.custom::<Value, Value>(plain("ASKING"), Vec::new()).await;
            let queued = pipeline.custom::<Value, Value>(plain(command), words).await;
            if let Err(error) = asking.and(queued) {
                return vec![Err(error)];
            }
        }
        let mut replies = pipeline.try_all::<Value>().await;
        if replies.len() == 2 * count {
            let replies = replies.into_iter().skip(1).step_by(2);
            return replies.map(|reply| reply.and_then(Value::convert)).collect();
        }
        match replies.pop() {
            Some(Err(error)) => vec![Err(error)],
            _ => vec![Err(another_number())],
        }
    }
}

impl Routes {
    pub(crate) fn new(clustered: bool) -> Self {
        let hint = AtomicU32::new(NOBODY);
        let topology = if clustered { Topology::cluster() } else { Topology::single() };
        Self { topology, clients: Clients::new(), doubt: Notify::new(), hint }
    }

    /// Which node serves which key.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    pub(crate) fn clients(&self) -> &Clients {
        &self.clients
    }

    /// Ends all connections, for good: every command fails from then on.
    ///
    /// # Errors
    /// If a node did not take it; its connection ends all the same.
    pub async fn close(&self) -> Result<(), Error> {
        self.clients.close().await
    }

    /// Something is odd: [`Masters::follow`](crate::Masters::follow) looks again soon.
    pub fn doubt(&self) {
        self.doubt.notify_one();
    }

    pub(crate) async fn doubted(&self) {
        self.doubt.notified().await;
    }

    /// The way to `node`.
    ///
    /// # Errors
    /// If there is no connection.
    pub fn to(&self, node: u32) -> Result<Way, Error> {
        let to = self.clients.get(node).filter(|to| to.is_connected()).ok_or_else(gone)?;
        Ok(Way { node, to, asking: false })
    }

    /// Whether there is a connection to `node`.
    #[must_use]
    pub fn is_connected(&self, node: u32) -> bool {
        self.clients.is_connected(node)
    }

    /// Asks `node`, and where it says the key is, up to three times. Also returns who answered.
    ///
    /// # Errors
    /// The last answer, or that there is no connection.
    pub async fn ask<T, F>(&self, node: u32, ask: impl Fn(Way) -> F) -> Result<(T, u32), Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut way = self.to(node)?;
        let mut left = MOST_REDIRECTIONS;
        loop {
            let asked = way.node;
            match ask(way).await {
                Ok(answer) => return Ok((answer, asked)),
                Err(error) => match self.redirect(&error, asked) {
                    Some(other) if left > 0 => way = other,
                    _ => return Err(error),
                },
            }
            left -= 1;
        }
    }

    /// The way that `asked` named in its error, if it did and it can be gone. Takes over what a
    /// MOVED tells, and has the masters looked at where something is odd.
    pub fn redirect(&self, error: &Error, asked: u32) -> Option<Way> {
        let Some(redirection) = Redirection::read(error.details()) else {
            if ODD.iter().any(|word| error.details().starts_with(word)) {
                self.doubt.notify_one();
            }
            return None;
        };
        let Redirection { asking, slot, host, port } = redirection;
        if !asking {
            self.hint.store(asked, Ordering::Relaxed);
            self.doubt.notify_one();
        }
        let Some(node) = self.topology.find(host, port, asked) else {
            self.doubt.notify_one();
            return None;
        };
        if !asking {
            self.topology.correct(slot, node);
        }
        self.to(node).ok().map(|way| Way { asking, ..way })
    }

    /// Who knows of a change, said once.
    pub(crate) fn take_hint(&self) -> Option<u32> {
        Some(self.hint.swap(NOBODY, Ordering::Relaxed)).filter(|node| *node != NOBODY)
    }

    /// Whether any node is connected to, and whether all are that serve keys.
    #[must_use]
    pub fn connected(&self) -> (bool, bool) {
        let serving = self.topology.serving();
        let up = |node: &u32| self.is_connected(*node);
        let all = !serving.is_empty() && serving.iter().all(up);
        (serving.iter().any(up), all)
    }

    /// Asks all nodes that are connected to for a sign of life: the first to answer counts.
    ///
    /// # Errors
    /// If there is no connection, or no answer.
    pub async fn ping(&self) -> Result<(), Error> {
        let all = self.clients.all();
        let pings: Vec<_> = all
            .iter()
            .filter(|node| node.is_connected())
            .map(|node| node.client().ping::<()>(None).boxed())
            .collect();
        if pings.is_empty() {
            return Err(gone());
        }
        select_ok(pings).await.map(drop)
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, all) = self.connected();
        let mut routes = f.debug_struct("Routes");
        routes.field("serving", &self.topology.serving()).field("connected", &all);
        routes.finish_non_exhaustive()
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut way = f.debug_struct("Way");
        way.field("node", &self.node).field("asking", &self.asking).finish_non_exhaustive()
    }
}

/// What MOVED and ASK say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Redirection<'a> {
    asking: bool,
    slot: u16,
    /// Empty: that of the node which said so.
    host: &'a str,
    port: u16,
}

impl<'a> Redirection<'a> {
    /// `MOVED 3999 127.0.0.1:6381`
    fn read(details: &'a str) -> Option<Self> {
        let mut words = details.split_ascii_whitespace();
        let asking = match words.next()? {
            "MOVED" => false,
            "ASK" => true,
            _ => return None,
        };
        let slot = words.next()?.parse().ok()?;
        let (host, port) = words.next()?.rsplit_once(':')?;
        let host = if host == "?" { "" } else { host };
        Some(Self { asking, slot, host, port: port.parse().ok()? })
    }
}

/// Whether a node said that another has the key.
#[must_use]
pub fn is_redirection(error: &Error) -> bool {
    Redirection::read(error.details()).is_some()
}

/// There is no connection.
#[must_use]
pub fn gone() -> Error {
    Error::new(ErrorKind::IO, "not connected")
}

/// A reply is missing, or there is one too many.
#[must_use]
pub fn another_number() -> Error {
    Error::new(ErrorKind::Protocol, "another number of replies than keys")
}

/// A command that fred need not find a node for.
#[must_use]
pub fn plain(name: &'static str) -> CustomCommand {
    CustomCommand::new_static(name, ClusterHash::FirstKey, false)
}

/// A slot that moved on since, and is on its way again.
const MOST_REDIRECTIONS: u32 = 3;

/// What a node says that is no master of its cluster, or has lost it.
const ODD: [&str; 4] = ["READONLY", "CLUSTERDOWN", "MASTERDOWN", "LOADING"];

const NOBODY: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(details: &str) -> Option<(bool, u16, &str, u16)> {
        Redirection::read(details).map(|it| (it.asking, it.slot, it.host, it.port))
    }

    #[test]
    fn redirections_are_read() {
        assert_eq!(read("MOVED 3999 127.0.0.1:6381"), Some((false, 3999, "127.0.0.1", 6381)));
        assert_eq!(read("ASK 1 a.example:7"), Some((true, 1, "a.example", 7)));
        assert_eq!(read("MOVED 1 fe80::1:7000"), Some((false, 1, "fe80::1", 7000)));
        assert_eq!(read("MOVED 1 :7000"), Some((false, 1, "", 7000)));
        assert_eq!(read("MOVED 1 ?:7000"), Some((false, 1, "", 7000)));
        for other in ["", "MOVED", "MOVED x h:1", "MOVED 1 h", "MOVED 1 h:x", "ASKED 1 h:1", "ERR"]
        {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
