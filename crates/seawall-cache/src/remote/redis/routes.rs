//! The way of a command to the node that answers it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::{ClusterHash, CustomCommand, FromValue, Value};
use futures_util::future::{FutureExt as _, select_ok};
use tokio::sync::Notify;

use super::clients::{Clients, NodeClient};
use super::topology::Topology;

/// Finds the connection for a node, and another where a node says that another has the key.
pub(super) struct Routes {
    pub(super) topology: Topology,
    pub(super) clients: Clients,
    /// The masters may have changed.
    pub(super) doubt: Notify,
    /// Who said so last, and should know.
    hint: AtomicU32,
}

/// Where to send a command, and how.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) node: u32,
    to: Arc<NodeClient>,
    /// The key is on its way there: only after ASKING it is answered.
    pub(super) asking: bool,
}

impl Way {
    pub(super) fn client(&self) -> &Client {
        self.to.client()
    }

    /// For who has a deadline: see [`NodeClient::alone`].
    pub(super) fn to(&self) -> &NodeClient {
        &self.to
    }

    /// Sends a command right after ASKING.
    pub(super) async fn after_asking<R: FromValue>(
        &self,
        command: &'static str,
        words: Vec<Value>,
    ) -> Result<R, Error> {
        let mut replies = self.each_after_asking(command, vec![words]).await;
        replies.pop().unwrap_or_else(|| Err(another_number()))
    }

    /// Sends commands, each right after ASKING, with nothing in between. One reply each, or one
    /// error for all.
    pub(super) async fn each_after_asking<R: FromValue>(
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
    pub(super) fn new(topology: Topology) -> Self {
        let hint = AtomicU32::new(NOBODY);
        Self { topology, clients: Clients::new(), doubt: Notify::new(), hint }
    }

    /// The way to `node`, if there is a connection.
    pub(super) fn to(&self, node: u32) -> Result<Way, Error> {
        let to = self.clients.get(node).filter(|to| to.is_connected()).ok_or_else(gone)?;
        Ok(Way { node, to, asking: false })
    }

    /// Asks `node`, and where it says the key is. Also returns who answered.
    pub(super) async fn ask<T, F>(
        &self,
        node: u32,
        ask: impl Fn(Way) -> F,
    ) -> Result<(T, u32), Error>
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
    pub(super) fn redirect(&self, error: &Error, asked: u32) -> Option<Way> {
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
    pub(super) fn take_hint(&self) -> Option<u32> {
        Some(self.hint.swap(NOBODY, Ordering::Relaxed)).filter(|node| *node != NOBODY)
    }

    /// Whether any node is connected to, and whether all are that serve keys.
    pub(super) fn connected(&self) -> (bool, bool) {
        let serving = self.topology.serving();
        let up = |node: &u32| self.to(*node).is_ok();
        let all = !serving.is_empty() && serving.iter().all(up);
        (serving.iter().any(up), all)
    }

    /// Asks all nodes that are connected to for a sign of life: the first to answer counts.
    pub(super) async fn ping(&self) -> Result<(), Error> {
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
pub(super) fn is_redirection(error: &Error) -> bool {
    Redirection::read(error.details()).is_some()
}

pub(super) fn gone() -> Error {
    Error::new(ErrorKind::IO, "not connected")
}

pub(super) fn another_number() -> Error {
    Error::new(ErrorKind::Protocol, "another number of replies than keys")
}

/// A command that fred need not find a node for.
pub(super) fn plain(name: &'static str) -> CustomCommand {
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
