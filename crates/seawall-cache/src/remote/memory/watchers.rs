//! Who is told of what the store does.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::time::Instant;

use crate::remote::Watcher;
use crate::text;

/// What there is to tell about one text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    /// Its new version.
    pub(super) changed: Option<u64>,
    /// A lease that someone waited for ended.
    pub(super) landed: bool,
}

/// Watchers by namespace.
#[derive(Default)]
pub(super) struct Watchers {
    namespaces: RwLock<HashMap<Box<str>, List>>,
}

type List = Vec<Weak<dyn Watcher>>;

impl Watchers {
    pub(super) fn add(&self, namespace: &str, watcher: Weak<dyn Watcher>) {
        let strong = watcher.upgrade();
        {
            let mut namespaces = self.namespaces.write();
            let watchers = namespaces.entry(namespace.into()).or_default();
            watchers.retain(|watcher| watcher.strong_count() > 0);
            watchers.push(watcher);
        }
        // No message is ever on its way: what was acknowledged was told before.
        if let Some(watcher) = strong {
            watcher.link(0, true);
            watcher.proved(Instant::now() + FOR_EVER);
        }
    }

    /// Tells those who watch `text`. The lock on the store must not be held.
    pub(super) fn tell(&self, text: &str, told: Told) {
        if told.changed.is_none() && !told.landed {
            return;
        }
        for watcher in self.of(text) {
            if told.changed.is_some() {
                watcher.changed(text, told.changed);
            }
            if told.landed {
                watcher.landed(text);
            }
        }
    }

    fn of(&self, text: &str) -> Vec<Arc<dyn Watcher>> {
        let namespaces = self.namespaces.read();
        let watchers = namespaces.get(text::namespace_of(text));
        watchers.into_iter().flatten().filter_map(Weak::upgrade).collect()
    }
}

const FOR_EVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
