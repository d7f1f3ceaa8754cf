//! Who is told of what, and how far each link has proved to be complete.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use metrics::{counter, gauge};
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use crate::remote::{Tracking, Watcher};
use crate::text;

/// Watchers by namespace, and the state of the links that tell them.
///
/// Watchers are called with no lock held that they could need. The events of one node come from one task, in order.
pub(super) struct Board {
    key_prefix: Box<str>,
    /// Whether writes are told at all, or only the ends of leases.
    tracking: bool,
    watchers: RwLock<HashMap<Box<str>, Watchers>>,
    links: Mutex<Links>,
    /// Whether all nodes have refused, as watchers were told last. Held while they are told.
    refused: Mutex<bool>,
}

/// Those of one namespace.
type Watchers = Arc<[Weak<dyn Watcher>]>;

#[derive(Default)]
struct Links {
    /// Moves with every change, so that a newcomer can see that it was told something old.
    changes: u64,
    /// Only those that joined and have not left.
    nodes: BTreeMap<u32, Link>,
    /// Nothing is listened to any more.
    closed: bool,
    /// The last that was told as proved.
    proved: Option<Instant>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Link {
    up: bool,
    /// Hears of the ends of leases.
    hears: bool,
    /// The server will not have it.
    refused: bool,
    proved: Option<Instant>,
}

/// Why messages may have been missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missed {
    /// There was no connection.
    Reconnect,
    /// More came than there was room for.
    Lag,
    /// The server was flushed, or evicted the canary.
    Flush,
    /// Slots went to another master.
    Moved,
}

impl Missed {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Reconnect => "reconnect",
            Self::Lag => "lag",
            Self::Flush => "flush",
            Self::Moved => "moved",
        }
    }
}

impl Board {
    pub(super) fn new(key_prefix: &str, tracking: bool) -> Self {
        Self {
            key_prefix: key_prefix.into(),
            tracking,
            watchers: RwLock::default(),
            links: Mutex::default(),
            refused: Mutex::new(false),
        }
    }

    /// Tells `watcher` of `namespace` from now on, and what the links are like. `false`: no writes
    /// will be told, only the ends of leases.
    pub(super) fn watch(&self, namespace: &str, watcher: Weak<dyn Watcher>) -> bool {
        let newcomer = watcher.upgrade();
        {
            let mut watchers = self.watchers.write();
            let known = watchers.remove(namespace);
            let living = known.iter().flat_map(|known| known.iter());
            let living = living.filter(|watcher| watcher.strong_count() > 0).cloned();
            let all = living.chain([watcher]).collect();
            watchers.insert(namespace.into(), all);
        }
        // Told from here on if that changes.
        if !self.tracking || *self.refused.lock() {
            return false;
        }
        let Some(newcomer) = newcomer else { return true };
        loop {
            let (seen, nodes) = {
                let links = self.links.lock();
                (links.changes, links.nodes.clone())
            };
            for (node, link) in nodes.iter().filter(|(_, link)| !link.refused) {
                newcomer.link(*node, link.up);
            }
            // A link's own task may have told of a change in between, and been overtaken.
            if self.links.lock().changes == seen {
                return true;
            }
        }
    }

    /// These keys were written.
    pub(super) fn changed<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) {
        let mut last: (&str, Vec<Arc<dyn Watcher>>) = ("", Vec::new());
        for text in keys.filter_map(|key| self.text(key)) {
            let namespace = text::namespace_of(text);
            if namespace != last.0 {
                last = (namespace, self.of(namespace));
            }
            for watcher in &last.1 {
                watcher.changed(text, None);
            }
        }
    }

    /// The lease of `key` ended, says `node`. Only one of the nodes is listened to: they all say
    /// the same.
    pub(super) fn landed(&self, node: u32, key: &[u8]) {
        let first = self.links.lock().nodes.iter().find(|(_, link)| link.hears).map(|(it, _)| *it);
        let Some(text) = self.text(key).filter(|_| first == Some(node)) else { return };
        for watcher in self.of(text::namespace_of(text)) {
            watcher.landed(text);
        }
    }

    /// `node` is one to listen to: until it is, nothing is proved.
    pub(super) fn joins(&self, node: u32) {
        let mut links = self.links.lock();
        if !links.closed {
            links.changes += 1;
            links.nodes.insert(node, Link::default());
        }
    }

    /// Nothing is listened to any more.
    pub(super) fn close(&self) {
        let nodes = {
            let mut links = self.links.lock();
            links.changes += 1;
            links.closed = true;
            std::mem::take(&mut links.nodes)
        };
        for node in nodes.into_keys() {
            show(node, false);
            self.tell_all(|watcher| watcher.link(node, false));
        }
    }

    /// `node` is a master no more.
    pub(super) fn leaves(&self, node: u32) {
        let known = {
            let mut links = self.links.lock();
            links.changes += 1;
            links.nodes.remove(&node).is_some()
        };
        if known {
            show(node, false);
            self.tell_all(|watcher| watcher.link(node, false));
            self.tell_if_refused(false);
        }
    }

    /// `node` is listened to from now on, and it hears of the ends of leases if it `hears`. What
    /// it and the nodes in `also` did before may have been missed.
    pub(super) fn armed(&self, node: u32, hears: bool, also: &[u32]) {
        for node in also {
            self.lost(*node, Missed::Moved);
        }
        self.lost(node, Missed::Reconnect);
        // After that: a link that is up says that nothing was missed.
        let proved = None;
        if self.change(node, |link| link.refused = false).is_some() {
            self.tell_if_refused(true);
        }
        self.up(node, |link| *link = Link { up: true, hears, refused: false, proved });
    }

    /// `node` hears of the ends of leases, and of nothing else.
    pub(super) fn hears(&self, node: u32) {
        self.change(node, |link| link.hears = true);
    }

    /// `node` answers again, and nothing was missed.
    pub(super) fn answers(&self, node: u32) {
        self.up(node, |link| link.up = true);
    }

    /// `node` does not answer.
    pub(super) fn silent(&self, node: u32) {
        if self.change(node, |link| link.up = false).is_some_and(|before| before.up) {
            show(node, false);
            self.tell_all(|watcher| watcher.link(node, false));
        }
    }

    /// The connection to `node` is gone.
    pub(super) fn down(&self, node: u32) {
        self.silent(node);
        self.change(node, |link| link.hears = false);
    }

    /// `node` will not have it. Returns whether that is news.
    pub(super) fn refused(&self, node: u32) -> bool {
        let before = self.change(node, |link| link.refused = true);
        self.tell_if_refused(false);
        before.is_some_and(|before| !before.refused)
    }

    /// Tells watchers when there is nobody any more who will tell of writes, and when there is
    /// somebody again, as soon as one is `armed`.
    fn tell_if_refused(&self, armed: bool) {
        let mut told = self.refused.lock();
        let all = {
            let nodes = &self.links.lock().nodes;
            !nodes.is_empty() && nodes.values().all(|link| link.refused)
        };
        let refused = !armed && (all || *told);
        if *told != refused {
            *told = refused;
            self.tell_all(|watcher| watcher.tells(!refused));
        }
    }

    /// Messages of `node` may have been missed until now.
    pub(super) fn lost(&self, node: u32, why: Missed) {
        counter!("seawall_cache_missed_total", "reason" => why.as_str()).increment(1);
        self.tell_all(|watcher| watcher.lost(Some(node)));
    }

    /// All that `node` acknowledged before `at` was told.
    pub(super) fn proved(&self, node: u32, at: Instant) {
        let all = {
            let mut links = self.links.lock();
            let Some(link) = links.nodes.get_mut(&node) else { return };
            link.proved = Some(at);
            let all = links.nodes.values().map(|link| link.proved).min().flatten();
            if all <= links.proved {
                return;
            }
            links.proved = all;
            all
        };
        if let Some(at) = all {
            self.tell_all(|watcher| watcher.proved(at));
        }
    }

    pub(super) fn status(&self) -> Tracking {
        let links = self.links.lock();
        let all = |is: fn(&Link) -> bool| links.nodes.values().all(is);
        match () {
            () if !self.tracking => Tracking::Off,
            () if links.nodes.is_empty() => Tracking::Down,
            () if all(|link| link.refused) => Tracking::Refused,
            () if all(|link| link.up) => Tracking::Up,
            () => Tracking::Down,
        }
    }

    /// Changes a link so that it is up, and tells of it, if it is known.
    fn up(&self, node: u32, change: impl FnOnce(&mut Link)) {
        if self.change(node, change).is_none() {
            return;
        }
        show(node, true);
        self.tell_all(|watcher| watcher.link(node, true));
        // It may have left in between, and that been told first.
        if !self.links.lock().nodes.contains_key(&node) {
            show(node, false);
            self.tell_all(|watcher| watcher.link(node, false));
        }
    }

    /// Changes a link that is known. Returns what it was; `None`: it left, and its task has yet to
    /// hear of it.
    fn change(&self, node: u32, change: impl FnOnce(&mut Link)) -> Option<Link> {
        let mut links = self.links.lock();
        links.changes += 1;
        let link = links.nodes.get_mut(&node)?;
        let before = *link;
        change(link);
        Some(before)
    }

    fn text<'a>(&self, key: &'a [u8]) -> Option<&'a str> {
        std::str::from_utf8(key).ok()?.strip_prefix(&*self.key_prefix)
    }

    fn of(&self, namespace: &str) -> Vec<Arc<dyn Watcher>> {
        let watchers = self.watchers.read().get(namespace).cloned();
        watchers.iter().flat_map(|all| all.iter()).filter_map(Weak::upgrade).collect()
    }

    fn tell_all(&self, tell: impl Fn(&dyn Watcher)) {
        let all: Vec<Watchers> = self.watchers.read().values().cloned().collect();
        for watcher in all.iter().flat_map(|all| all.iter()).filter_map(Weak::upgrade) {
            tell(&*watcher);
        }
    }
}

/// Looked up each time: it changes a few times a day.
fn show(node: u32, up: bool) {
    gauge!("seawall_cache_tracking_up", "node" => node.to_string()).set(f64::from(u8::from(up)));
}

#[cfg(test)]
mod tests;
