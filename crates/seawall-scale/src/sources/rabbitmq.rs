use seawall_signal::Unit;
use serde::Deserialize;

use super::{Probe, Reading, SourceError};
use crate::Http;
use crate::actuate::Boxed;
use crate::client::segment;

/// A queue of RabbitMQ, by its management API.
///
/// Signals: `NAME_ready`, `NAME_unacknowledged`, `NAME_consumers`, and, where the broker keeps such
/// statistics, `NAME_publish_rate`, `NAME_deliver_rate` and `NAME_ack_rate`. The broker collects them
/// every five seconds by default, which their age does not show.
#[derive(Clone, Debug)]
pub struct RabbitQueue {
    http: Http,
    name: Box<str>,
    path: Box<str>,
}

impl RabbitQueue {
    /// `name` begins the signals' names; the default virtual host is `/`.
    #[must_use]
    pub fn new(http: Http, name: &str, virtual_host: &str, queue: &str) -> Self {
        let path = format!("/api/queues/{}/{}", segment(virtual_host), segment(queue));
        Self { http, name: name.into(), path: path.into() }
    }

    async fn ask(&self) -> Result<Vec<Reading>, SourceError> {
        let answer = self.http.get(&self.path).await;
        let answer = answer.map_err(|source| SourceError::Unreachable { source })?;
        if !answer.status().is_success() {
            return Err(SourceError::Refused { status: answer.status().as_u16() });
        }
        let queue: Queue = serde_json::from_slice(answer.body())
            .map_err(|error| SourceError::Answer { source: Some(Box::new(error)) })?;
        let mut readings = Vec::new();
        let mut add = |suffix: &str, value: Option<f64>, unit| {
            let signal = format!("{}_{suffix}", self.name);
            readings.extend(value.map(|value| Reading::new(&signal, value, unit)));
        };
        // A queue whose node is down is known by name only: that is no empty queue.
        let empty = || SourceError::Empty { signal: format!("{}_ready", self.name).into() };
        let ready = queue.messages_ready.ok_or_else(empty)?;
        add("ready", Some(ready), Unit::Count);
        add("unacknowledged", queue.messages_unacknowledged, Unit::Count);
        add("consumers", queue.consumers, Unit::Count);
        let statistics = queue.message_stats.unwrap_or_default();
        let rate = |details: Option<Details>| details.map(|details| details.rate);
        add("publish_rate", rate(statistics.publish_details), Unit::PerSecond);
        add("deliver_rate", rate(statistics.deliver_get_details), Unit::PerSecond);
        add("ack_rate", rate(statistics.ack_details), Unit::PerSecond);
        Ok(readings)
    }
}

impl Probe for RabbitQueue {
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&self) -> Boxed<'_, Result<Vec<Reading>, SourceError>> {
        Box::pin(self.ask())
    }
}

#[derive(Deserialize)]
struct Queue {
    messages_ready: Option<f64>,
    messages_unacknowledged: Option<f64>,
    consumers: Option<f64>,
    message_stats: Option<Statistics>,
}

#[derive(Default, Deserialize)]
struct Statistics {
    publish_details: Option<Details>,
    deliver_get_details: Option<Details>,
    ack_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    rate: f64,
}
