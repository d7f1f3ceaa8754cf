//! What each host said last, and who may send now.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::RandomState;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::fields::Advice;

/// The hosts that said something, or are being asked.
pub(crate) struct Hosts {
    map: Mutex<HashMap<Box<str>, Arc<Host>, RandomState>>,
    most: usize,
}

impl Hosts {
    pub(crate) fn new(most: usize) -> Self {
        Self { map: Mutex::default(), most }
    }

    /// `None` if there is no room for another.
    pub(crate) fn get(&self, name: &str, now: Instant) -> Option<Arc<Host>> {
        let mut map = self.map.lock();
        if let Some(host) = map.get(name) {
            return Some(Arc::clone(host));
        }
        if map.len() >= self.most {
            map.retain(|_, host| Arc::strong_count(host) > 1 || host.is_limited(now));
        }
        (map.len() < self.most).then(|| {
            let host = Arc::new(Host::default());
            map.insert(name.into(), Arc::clone(&host));
            host
        })
    }
}

/// One host, as far as it told.
#[derive(Default)]
pub(crate) struct Host {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Requests that were sent and not answered.
    inflight: u64,
    limit: Limit,
}

#[derive(Default, Clone, Copy)]
enum Limit {
    #[default]
    None,
    /// Nothing until then; and then one request at a time, until its answer.
    Blocked { until: Instant },
    /// So many until then, if no answer says otherwise.
    Left { count: u64, until: Instant },
}

impl Host {
    /// Takes the right to send, or tells until when to wait, at the most.
    pub(crate) fn try_send(self: &Arc<Self>, now: Instant) -> Result<Sent, Instant> {
        let mut state = self.state.lock();
        match state.limit {
            Limit::Blocked { until } | Limit::Left { count: 0, until } if until > now => {
                return Err(until);
            }
            // The block is over: one goes ahead, and others follow if it takes long.
            Limit::Blocked { .. } => {
                state.limit = Limit::Left { count: 0, until: now + AHEAD };
            }
            Limit::Left { count, until } if until > now => {
                state.limit = Limit::Left { count: count - 1, until };
            }
            Limit::Left { .. } | Limit::None => state.limit = Limit::None,
        }
        state.inflight += 1;
        Ok(Sent { host: Arc::clone(self) })
    }

    /// Resolves when an answer came that may let somebody send.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    fn is_limited(&self, now: Instant) -> bool {
        match self.state.lock().limit {
            Limit::None => false,
            Limit::Blocked { until } | Limit::Left { until, .. } => until > now,
        }
    }
}

/// A request on its way. Dropped without an answer, it says nothing of the host.
pub(crate) struct Sent {
    host: Arc<Host>,
}

impl Sent {
    /// Takes in what the answer says.
    pub(crate) fn answered(self, advice: Advice, most: Duration, now: Instant) {
        let mut state = self.host.state.lock();
        let others = state.inflight.saturating_sub(1);
        let blocked = match state.limit {
            Limit::Blocked { until } if until > now => Some(until),
            _ => None,
        };
        let wait = advice.wait.map(|wait| now + wait.min(most));
        state.limit = match (wait.max(blocked), advice.left) {
            // Of two blocks the later ends last, and no answer to an earlier request lifts it.
            (Some(until), _) => Limit::Blocked { until },
            // Those on their way will take theirs.
            (None, Some((count, time))) => {
                Limit::Left { count: count.saturating_sub(others), until: now + time.min(most) }
            }
            (None, None) => Limit::None,
        };
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        let mut state = self.host.state.lock();
        state.inflight = state.inflight.saturating_sub(1);
        drop(state);
        self.host.changed.notify_waiters();
    }
}

/// How long the first request after a block has the host to itself.
const AHEAD: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
