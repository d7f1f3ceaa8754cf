//! What the remote tells this node.

use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::Local;
use super::cell::Told;
use super::checks::Check;
use super::entry::node;
use super::table::Changed;
use crate::key::CacheKey;
use crate::remote::Watcher;
use crate::text::{self, Named};

impl<K, V, R> Watcher for Local<K, V, R>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
    R: Send + Sync + 'static,
{
    fn changed(&self, text: &str, version: Option<u64>) {
        match self.parse(text) {
            Some(Named::Entry(key)) => match K::read_key(&key) {
                Some(key) => self.entry_changed(key, version),
                // Which entry that is cannot be said: any.
                None => {
                    self.warn_unreadable();
                    self.distrust();
                }
            },
            Some(Named::Tag(_) | Named::Namespace) => self.mark_changed(text, version),
            None => {}
        }
    }

    fn landed(&self, text: &str) {
        if let Some(Named::Entry(key)) = self.parse(text) {
            match K::read_key(&key) {
                Some(key) => self.table.landed(&key),
                None => self.table.all_landed(),
            }
        }
    }

    fn lost(&self, lost: Option<u32>) {
        self.coherence.lost(lost.map(node));
        self.displace();
    }

    fn link(&self, of: u32, up: bool) {
        self.coherence.link(node(of), up);
        if up {
            self.displace();
        }
    }

    fn proved(&self, at: Instant) {
        self.coherence.proved(self.clock.tick(at));
    }

    fn tells(&self, tells: bool) {
        if tells {
            self.coherence.watched();
        } else {
            self.coherence.unwatched();
        }
        self.displace();
    }
}

impl<K, V, R> Local<K, V, R>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// The entry of `key` was written in L2. Afterwards no look answers with anything older, and
    /// nobody joins a load from before; except that a write of this node stays while its version
    /// is compared, if this may have been its echo.
    pub(crate) fn entry_changed(&self, key: K, version: Option<u64>) {
        if let Changed::Check(entry) = self.table.changed(&key, version) {
            self.check_later(key, entry);
        }
    }

    /// The mark `text` was written in L2. Afterwards no entry is served that was not compared with
    /// it since. And nobody joins a load from before it was advanced; but where only a look at it
    /// can tell whether it was advanced, or made because somebody was the first to ask for it, who
    /// comes waits for that look.
    pub(super) fn mark_changed(&self, text: &str, version: Option<u64>) {
        if let Some(cell) = self.cells.find(text)
            && cell.changed(&self.coherence, version) == Told::Read
        {
            if version.is_some() {
                self.displace();
            }
            self.queue(Check::Mark(cell));
        }
    }

    /// Says once that L1 is of little use here.
    fn warn_unreadable(&self) {
        if !self.unreadable.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                cache = &*self.name,
                "CacheKey::read_key cannot tell which key was changed elsewhere: every change of \
                 any key makes all of L1 be compared with L2"
            );
        }
    }

    /// What `text` names in this cache's namespace.
    fn parse<'a>(&self, text: &'a str) -> Option<Named<'a>> {
        let (namespace, named) = text::parse(text)?;
        (*namespace == *self.name).then_some(named)
    }
}
