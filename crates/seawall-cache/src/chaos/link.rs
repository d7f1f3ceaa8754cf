//! The messages of a remote on their way to a watcher: late, or cut off.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use super::remote::Shared;
use crate::remote::Watcher;

/// Stands between the remote and one watcher. Messages keep their order. While the link is broken
/// they are lost, and the watcher is told so when it is mended, as the contract of a remote asks.
pub(super) struct Link {
    this: Weak<Link>,
    shared: Arc<Shared>,
    watcher: Weak<dyn Watcher>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    broken: bool,
    queue: VecDeque<(Instant, Message)>,
    /// Whether a task works the queue off.
    running: bool,
}

#[derive(Clone)]
enum Message {
    Changed(Box<str>, Option<u64>),
    Landed(Box<str>),
    Lost(Option<u32>),
    Link(u32, bool),
    Proved(Instant),
}

impl Link {
    pub(super) fn new(shared: &Arc<Shared>, watcher: Weak<dyn Watcher>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            shared: Arc::clone(shared),
            watcher,
            state: Mutex::default(),
        })
    }

    pub(super) fn is_live(&self) -> bool {
        self.watcher.strong_count() > 0
    }

    /// What was under way is lost.
    pub(super) fn cut(&self) {
        {
            let mut state = self.state.lock();
            state.broken = true;
            state.queue.clear();
        }
        self.tell(&Message::Link(0, false));
    }

    pub(super) fn mend(&self) {
        self.state.lock().broken = false;
        self.tell(&Message::Link(0, true));
        self.tell(&Message::Lost(None));
    }

    fn pass(&self, message: Message) {
        let delay = self.shared.message_delay();
        let mut state = self.state.lock();
        if state.broken {
            return;
        }
        if delay.is_zero() && state.queue.is_empty() && !state.running {
            drop(state);
            self.tell(&message);
            return;
        }
        let after = state.queue.back().map_or_else(Instant::now, |(due, _)| *due);
        state.queue.push_back((after.max(Instant::now() + delay), message));
        if !std::mem::replace(&mut state.running, true)
            && let Some(this) = self.this.upgrade()
        {
            tokio::spawn(async move { this.deliver().await });
        }
    }

    async fn deliver(&self) {
        loop {
            let due = {
                let mut state = self.state.lock();
                let Some((due, _)) = state.queue.front() else {
                    state.running = false;
                    return;
                };
                *due
            };
            sleep_until(due).await;
            let message = {
                let mut state = self.state.lock();
                // It may have been cut, and something else come in its place.
                match state.queue.front() {
                    Some((due, _)) if *due <= Instant::now() => state.queue.pop_front(),
                    _ => None,
                }
            };
            if let Some((_, message)) = message {
                self.tell(&message);
            }
        }
    }

    fn tell(&self, message: &Message) {
        let Some(watcher) = self.watcher.upgrade() else { return };
        match message {
            Message::Changed(text, version) => watcher.changed(text, *version),
            Message::Landed(text) => watcher.landed(text),
            Message::Lost(node) => watcher.lost(*node),
            Message::Link(node, up) => watcher.link(*node, *up),
            Message::Proved(at) => watcher.proved(*at),
        }
    }
}

impl Watcher for Link {
    fn changed(&self, text: &str, version: Option<u64>) {
        self.pass(Message::Changed(text.into(), version));
    }

    fn landed(&self, text: &str) {
        self.pass(Message::Landed(text.into()));
    }

    fn lost(&self, node: Option<u32>) {
        self.pass(Message::Lost(node));
    }

    fn link(&self, node: u32, up: bool) {
        self.pass(Message::Link(node, up));
    }

    fn proved(&self, at: Instant) {
        self.pass(Message::Proved(at));
    }

    // Known without a message.
    fn tells(&self, tells: bool) {
        if let Some(watcher) = self.watcher.upgrade() {
            watcher.tells(tells);
        }
    }
}
