use fred::clients::Client;
use fred::error::ErrorKind;
use fred::interfaces::ClientLike;
use fred::types::{ClusterHash, CustomCommand, Value};
use seawall_signal::Unit;

use super::{Probe, Reading, SourceError};
use crate::actuate::Boxed;

/// A number that Redis knows, as one signal. The client is yours: connected, and with the TLS,
/// name and timeouts that it needs.
#[derive(Clone, Debug)]
pub struct Redis {
    client: Client,
    signal: Box<str>,
    query: RedisQuery,
}

/// What to ask Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedisQuery {
    /// The length of a list; 0 if there is none, for Redis keeps no empty lists.
    ListLength {
        /// The list.
        key: Box<str>,
    },
    /// Entries of a stream that a group was given and has not acknowledged.
    StreamPending {
        /// The stream.
        key: Box<str>,
        /// The group of consumers.
        group: Box<str>,
    },
    /// Entries of a stream that a group has not been given yet. Redis 7 and later; after some
    /// deletions Redis does not know it, which counts as no number.
    StreamLag {
        /// The stream.
        key: Box<str>,
        /// The group of consumers.
        group: Box<str>,
    },
    /// A number of `INFO`, such as `used_memory` or `connected_clients`. Of one node only: not for
    /// clusters.
    Info {
        /// The field.
        field: Box<str>,
        /// What it counts.
        unit: Unit,
    },
}

impl Redis {
    /// Asks by `client`.
    #[must_use]
    pub fn new(client: Client, signal: &str, query: RedisQuery) -> Self {
        Self { client, signal: signal.into(), query }
    }

    async fn ask(&self) -> Result<Vec<Reading>, SourceError> {
        let signal = || self.signal.clone();
        let (number, unit) = match &self.query {
            RedisQuery::ListLength { key } => {
                (self.say("LLEN", 0, &[key]).await?.as_f64(), Unit::Count)
            }
            RedisQuery::StreamPending { key, group } => {
                let summary = self.say("XPENDING", 0, &[key, group]).await?;
                let first = summary.into_array().into_iter().next();
                (first.and_then(|it| it.as_f64()), Unit::Count)
            }
            RedisQuery::StreamLag { key, group } => {
                let groups = self.say("XINFO", 1, &["GROUPS", key]).await?;
                (lag(groups, group), Unit::Count)
            }
            RedisQuery::Info { field, unit } => {
                let info = self.say("INFO", 0, &["everything"]).await?;
                (info.as_str().and_then(|info| of_info(&info, field)), *unit)
            }
        };
        let value = number.ok_or_else(|| SourceError::Empty { signal: signal() })?;
        if !value.is_finite() {
            return Err(SourceError::NotANumber { signal: signal() });
        }
        Ok(vec![Reading::new(&self.signal, value, unit)])
    }

    /// `key_at` is the place of the key among the arguments, for clusters.
    async fn say(
        &self,
        command: &'static str,
        key_at: usize,
        arguments: &[&str],
    ) -> Result<Value, SourceError> {
        let command = CustomCommand::new_static(command, ClusterHash::Offset(key_at), false);
        let arguments: Vec<Value> = arguments.iter().map(|it| Value::from(*it)).collect();
        self.client.custom(command, arguments).await.map_err(|error| {
            let source = Box::new(error);
            match source.kind() {
                ErrorKind::IO
                | ErrorKind::Timeout
                | ErrorKind::Canceled
                | ErrorKind::Backpressure => SourceError::Unreachable { source },
                _ => SourceError::Failed { source },
            }
        })
    }
}

/// Of all groups, the lag of one; each is a list, or a map, of names and values.
fn lag(groups: Value, group: &str) -> Option<f64> {
    groups.into_array().into_iter().find_map(|it| {
        let fields = it.into_array();
        let field = |name: &str| {
            let mut pairs = fields.chunks_exact(2);
            let found = pairs.find(|pair| pair[0].as_str().is_some_and(|it| it == name));
            found.map(|pair| &pair[1])
        };
        let named = field("name").and_then(Value::as_str).is_some_and(|it| it == group);
        if named { field("lag").and_then(Value::as_f64) } else { None }
    })
}

fn of_info(info: &str, field: &str) -> Option<f64> {
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(name, _)| *name == field)?.1.trim().parse().ok()
}

impl Probe for Redis {
    fn name(&self) -> &str {
        &self.signal
    }

    fn read(&self) -> Boxed<'_, Result<Vec<Reading>, SourceError>> {
        Box::pin(self.ask())
    }
}
