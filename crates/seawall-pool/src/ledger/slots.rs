//! Where each connection is.

use std::time::Duration;

use tokio::time::Instant;

use super::{Class, Site};

/// A connection with the number of its page in the books. Not to be dropped: it goes back
/// through the ledger. Small, as it is moved from hand to hand.
#[must_use]
pub(crate) struct Held<C> {
    pub(crate) connection: C,
    pub(super) slot: usize,
    pub(super) stale: bool,
}

/// What is known of a connection.
#[derive(Clone, Copy)]
pub(super) struct Page {
    pub(super) epoch: u32,
    pub(super) uses: u64,
    pub(super) expires: Instant,
    pub(super) idle_since: Instant,
}

impl<C> Held<C> {
    /// Whether it was unused for so long that it should be looked at before use.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale
    }
}

/// A connection that is lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Borrow {
    /// Where it was taken.
    pub(crate) site: Site,
    /// For how long it has been out.
    pub(crate) held: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Free,
    Idle,
    Lent { class: Class, since: Instant, site: Option<Site>, told: bool },
    Cleaning,
}

/// One slot a connection, with counts kept beside them.
#[derive(Default)]
pub(super) struct Slots {
    slots: Vec<Place>,
    /// Of the slots that are not free; of the others what was.
    pages: Vec<Page>,
    free: Vec<usize>,
    interactive: usize,
    analytics: usize,
    cleaning: usize,
    /// Borrows that were told of as too long and have ended since.
    ended: Vec<(Site, Instant)>,
}

impl Slots {
    pub(super) fn allot(&mut self, place: Place, page: Page) -> usize {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Place::Free);
            self.pages.push(page);
            self.slots.len() - 1
        });
        self.pages[slot] = page;
        self.put(slot, place);
        slot
    }

    pub(super) fn page(&mut self, slot: usize) -> &mut Page {
        &mut self.pages[slot]
    }

    pub(super) fn free(&mut self, slot: usize) {
        self.put(slot, Place::Free);
        self.free.push(slot);
    }

    pub(super) fn put(&mut self, slot: usize, place: Place) {
        let before = std::mem::replace(&mut self.slots[slot], place);
        if let Some(count) = self.count(before) {
            *count -= 1;
        }
        if let Place::Lent { since, site: Some(site), told: true, .. } = before {
            self.ended.push((site, since));
        }
        if let Some(count) = self.count(place) {
            *count += 1;
        }
    }

    pub(super) fn used(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn lent(&self) -> usize {
        self.interactive + self.analytics
    }

    pub(super) fn lent_to_analytics(&self) -> usize {
        self.analytics
    }

    pub(super) fn cleaning(&self) -> usize {
        self.cleaning
    }

    pub(super) fn overdue(&mut self, now: Instant, limit: Duration) -> Vec<Borrow> {
        let mut found = Vec::new();
        for place in &mut self.slots {
            if let Place::Lent { since, site: Some(site), told, .. } = place {
                let held = now.saturating_duration_since(*since);
                if !*told && held >= limit {
                    *told = true;
                    found.push(Borrow { site, held });
                }
            }
        }
        found
    }

    /// Borrows that were told of and have ended since the last call.
    pub(super) fn ended(&mut self, now: Instant) -> Vec<Borrow> {
        let held = |since: Instant| now.saturating_duration_since(since);
        self.ended.drain(..).map(|(site, since)| Borrow { site, held: held(since) }).collect()
    }

    pub(super) fn oldest(&self, now: Instant) -> Option<Borrow> {
        let borrows = self.slots.iter().filter_map(|place| match place {
            Place::Lent { since, site: Some(site), .. } => {
                Some(Borrow { site, held: now.saturating_duration_since(*since) })
            }
            _ => None,
        });
        borrows.max_by_key(|borrow| borrow.held)
    }

    fn count(&mut self, place: Place) -> Option<&mut usize> {
        match place {
            Place::Free | Place::Idle => None,
            Place::Lent { class: Class::Interactive, .. } => Some(&mut self.interactive),
            Place::Lent { class: Class::Analytics, .. } => Some(&mut self.analytics),
            Place::Cleaning => Some(&mut self.cleaning),
        }
    }
}
