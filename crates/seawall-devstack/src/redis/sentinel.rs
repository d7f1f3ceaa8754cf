//! A Redis master, its replica, and the sentinels that watch them.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{POLL, Redis, Reply, Role};
use crate::error::Error;

/// A Redis master with one replica, and three sentinels that make the replica master when two of
/// them find the master dead, about two seconds after it is killed or paused.
///
/// A former master that comes back is made a replica of the new one.
#[derive(Debug)]
pub struct RedisSentinel {
    servers: Vec<Redis>,
    sentinels: Vec<Redis>,
}

impl RedisSentinel {
    pub(crate) const fn new(servers: Vec<Redis>, sentinels: Vec<Redis>) -> Self {
        Self { servers, sentinels }
    }

    /// The two servers: the first master and its replica.
    #[must_use]
    pub fn servers(&self) -> &[Redis] {
        &self.servers
    }

    /// The sentinels.
    #[must_use]
    pub fn sentinels(&self) -> &[Redis] {
        &self.sentinels
    }

    /// The name by which sentinels know the master: `seawall`.
    #[must_use]
    pub const fn service(&self) -> &'static str {
        SERVICE
    }

    /// `redis-sentinel://127.0.0.1:PORT?node=..&sentinelServiceName=seawall`, as fred reads it,
    /// with the addresses of the sentinels.
    #[must_use]
    pub fn url(&self) -> String {
        let mut url = String::from("redis-sentinel://");
        for (index, node) in self.sentinels.iter().enumerate() {
            url.push_str(["", "?node=", "&node="][index.min(2)]);
            url.push_str(&node.addr().to_string());
        }
        url + "&sentinelServiceName=" + SERVICE
    }

    /// The server that all sentinels in reach agree is master; it may be down.
    ///
    /// # Errors
    /// [`Error::Deadline`] if they do not agree within `deadline`.
    pub async fn master(&self, deadline: Duration) -> Result<&Redis, Error> {
        let end = Instant::now() + deadline;
        loop {
            if let Some(master) = self.agreed().await {
                return Ok(master);
            }
            self.go_on(end, "agreement of the sentinels", deadline).await?;
        }
    }

    /// Waits until the sentinels have made another server master than `before`, and it says that
    /// it is one. Returns it.
    ///
    /// # Errors
    /// [`Error::Deadline`] if that is not so within `deadline`.
    pub async fn wait_failover(&self, before: &Redis, deadline: Duration) -> Result<&Redis, Error> {
        let end = Instant::now() + deadline;
        loop {
            if let Some(master) = self.agreed().await.filter(|it| it.port() != before.port())
                && has(master, &["INFO", "replication"], "role:master").await
            {
                return Ok(master);
            }
            self.go_on(end, "another master", deadline).await?;
        }
    }

    /// Waits until the replica follows its master and the sentinels could replace it.
    ///
    /// # Errors
    /// [`Error::Deadline`] if that is not so within `deadline`.
    pub async fn wait_ready(&self, deadline: Duration) -> Result<(), Error> {
        let end = Instant::now() + deadline;
        while !self.is_ready().await {
            self.go_on(end, "a replica and a quorum of sentinels", deadline).await?;
        }
        Ok(())
    }

    async fn is_ready(&self) -> bool {
        let Some(master) = self.agreed().await else { return false };
        for server in self.servers.iter().filter(|it| it.port() != master.port()) {
            if !has(server, &["INFO", "replication"], "master_link_status:up").await {
                return false;
            }
        }
        for sentinel in &self.sentinels {
            let others = "num-other-sentinels\n2";
            if sentinel.command(&["SENTINEL", "CKQUORUM", SERVICE]).await.is_err()
                || !has(sentinel, &["SENTINEL", "MASTER", SERVICE], others).await
                || !has(sentinel, &["SENTINEL", "REPLICAS", SERVICE], "master-link-status\nok")
                    .await
            {
                return false;
            }
        }
        true
    }

    async fn agreed(&self) -> Option<&Redis> {
        let mut ports = Vec::new();
        for sentinel in &self.sentinels {
            let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE];
            if let Ok(reply) = sentinel.command(&words).await {
                ports.push(flat(&reply));
            }
        }
        ports.dedup();
        let [agreed] = ports.as_slice() else { return None };
        let port: u16 = agreed.lines().last()?.parse().ok()?;
        self.servers.iter().find(|server| server.port() == port)
    }

    async fn go_on(
        &self,
        end: Instant,
        what: &'static str,
        deadline: Duration,
    ) -> Result<(), Error> {
        match self.sentinels.first() {
            Some(sentinel) if Instant::now() >= end => Err(sentinel.deadline(what, deadline)),
            _ => {
                sleep(POLL).await;
                Ok(())
            }
        }
    }
}

/// The lines of `sentinel.conf` for the sentinel at `index`, which knows all others from the start:
/// finding them would take it two seconds, and the replica ten.
pub(super) fn lines(watched: &Watched<'_>, index: usize) -> String {
    let Watched { servers, sentinels } = watched;
    let mut lines = format!("sentinel myid {}\n", id(index));
    if let [master, replicas @ ..] = servers {
        lines.push_str(&format!(
            "sentinel monitor {SERVICE} 127.0.0.1 {master} {QUORUM}\n\
             sentinel down-after-milliseconds {SERVICE} 1000\n\
             sentinel failover-timeout {SERVICE} 5000\n"
        ));
        for replica in replicas {
            lines.push_str(&format!("sentinel known-replica {SERVICE} 127.0.0.1 {replica}\n"));
        }
    }
    for (other, port) in sentinels.iter().enumerate().filter(|(other, _)| *other != index) {
        let id = id(other);
        lines.push_str(&format!("sentinel known-sentinel {SERVICE} 127.0.0.1 {port} {id}\n"));
    }
    lines
}

/// The ports of the servers, master first, and of all sentinels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watched<'a> {
    pub(crate) servers: &'a [u16],
    pub(crate) sentinels: &'a [u16],
}

impl<'a> Watched<'a> {
    /// The role of the sentinel at `index`.
    pub(crate) const fn sentinel(self, index: usize) -> Role<'a> {
        Role::Sentinel { watched: self, index }
    }
}

/// 40 hexadecimal digits.
fn id(index: usize) -> String {
    format!("{:040x}", index + 1)
}

async fn has(server: &Redis, command: &[&str], part: &str) -> bool {
    server.command(command).await.is_ok_and(|reply| flat(&reply).contains(part))
}

/// The words of a reply, each in a line.
fn flat(reply: &Reply) -> String {
    match reply {
        Reply::Array(items) => items.iter().map(flat).collect::<Vec<_>>().join("\n"),
        other => other.text().unwrap_or_default(),
    }
}

const SERVICE: &str = "seawall";
const QUORUM: usize = 2;
