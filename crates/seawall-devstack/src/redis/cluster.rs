//! Three Redis masters that share the slots, and their replicas.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{POLL, Redis};
use crate::error::Error;

/// A Redis cluster of three masters, each with a third of the slots and, if asked for, a replica.
///
/// A node without a replica that is down or paused for five seconds fails the whole cluster, as
/// Redis does by default when slots are not covered. One with a replica is replaced by it some
/// seconds later.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
    replicas: Vec<Redis>,
}

impl RedisCluster {
    pub(crate) const fn new(nodes: Vec<Redis>, replicas: Vec<Redis>) -> Self {
        Self { nodes, replicas }
    }

    /// The nodes that are masters at first, in the order of their slots.
    #[must_use]
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// Their replicas at first, in the same order; empty without.
    #[must_use]
    pub fn replicas(&self) -> &[Redis] {
        &self.replicas
    }

    /// `redis-cluster://127.0.0.1:PORT?node=127.0.0.1:PORT&node=127.0.0.1:PORT`, as
    /// fred reads it. Clients with another notation take the nodes' addresses.
    #[must_use]
    pub fn url(&self) -> String {
        let mut url = String::from("redis-cluster://");
        for (index, node) in self.nodes.iter().enumerate() {
            url.push_str(["", "?node=", "&node="][index.min(2)]);
            url.push_str(&node.addr().to_string());
        }
        url
    }

    /// Empties all nodes.
    ///
    /// # Errors
    /// As [`Redis::command`].
    pub async fn flush(&self) -> Result<(), Error> {
        for node in &self.nodes {
            node.flush().await?;
        }
        Ok(())
    }

    /// Waits until every node finds the cluster in order and all slots served, and replicas follow
    /// their masters.
    ///
    /// # Errors
    /// [`Error::Deadline`] if that is not so within `deadline`.
    pub async fn wait_ready(&self, deadline: Duration) -> Result<(), Error> {
        let end = Instant::now() + deadline;
        for node in self.all() {
            while !self.is_ready(node).await {
                if Instant::now() >= end {
                    return Err(node.deadline("agreement of the cluster's nodes", deadline));
                }
                sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// Gives each node its slots and makes them known to one another.
    pub(crate) async fn form(&self, deadline: Duration) -> Result<(), Error> {
        for (index, node) in self.nodes.iter().enumerate() {
            let slots: Vec<String> = (0..SLOTS)
                .filter(|slot| slot * self.nodes.len() / SLOTS == index)
                .map(|slot| slot.to_string())
                .collect();
            let mut words = vec!["CLUSTER", "ADDSLOTS"];
            words.extend(slots.iter().map(String::as_str));
            node.command(&words).await?;
            // Different ones, or the nodes would first have to settle a tie.
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]).await?;
        }
        if let Some(first) = self.nodes.first() {
            for node in self.all().skip(1) {
                let port = first.port().to_string();
                node.command(&["CLUSTER", "MEET", &first.host(), &port]).await?;
            }
        }
        let end = Instant::now() + deadline;
        for (master, replica) in self.nodes.iter().zip(&self.replicas) {
            let id = master.command(&["CLUSTER", "MYID"]).await?.text().unwrap_or_default();
            // An error until it has heard of its master.
            while let Err(error) = replica.command(&["CLUSTER", "REPLICATE", &id]).await {
                if Instant::now() >= end {
                    return Err(error);
                }
                sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// Masters and then replicas, as they are at first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Redis> {
        self.nodes.iter().chain(&self.replicas)
    }

    async fn is_ready(&self, node: &Redis) -> bool {
        let Ok(reply) = node.command(&["CLUSTER", "INFO"]).await else {
            return false;
        };
        let info = reply.text().unwrap_or_default();
        let has = |line: &str| info.lines().any(|it| it == line);
        has("cluster_state:ok")
            && has(&format!("cluster_slots_ok:{SLOTS}"))
            && has(&format!("cluster_known_nodes:{}", self.all().count()))
            && self.follows(node).await
    }

    /// Whether it is a master or follows one.
    async fn follows(&self, node: &Redis) -> bool {
        if self.replicas.is_empty() {
            return true;
        }
        let reply = node.command(&["INFO", "replication"]).await;
        let info = reply.ok().and_then(|reply| reply.text()).unwrap_or_default();
        info.contains("role:master") || info.contains("master_link_status:up")
    }
}

const SLOTS: usize = 16_384;
