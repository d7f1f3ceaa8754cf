//! Those who wait, in the order they came.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::{Class, Site};

pub(super) struct Waiter<W> {
    pub(super) handle: W,
    pub(super) site: Option<Site>,
    /// When its time is up.
    pub(super) until: Instant,
}

/// A line for each class; numbers tell who came first over both.
pub(super) struct Queues<W> {
    interactive: VecDeque<(u64, Waiter<W>)>,
    analytics: VecDeque<(u64, Waiter<W>)>,
    next: u64,
}

impl<W> Default for Queues<W> {
    fn default() -> Self {
        Self { interactive: VecDeque::new(), analytics: VecDeque::new(), next: 0 }
    }
}

impl<W> Queues<W> {
    pub(super) fn push(&mut self, class: Class, waiter: Waiter<W>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.line_mut(class).push_back((number, waiter));
        number
    }

    /// Who came first, of those whose class may have a connection.
    pub(super) fn pop(&mut self, analytics: bool) -> Option<(Class, Waiter<W>)> {
        let first = |line: &VecDeque<(u64, Waiter<W>)>| line.front().map(|(number, _)| *number);
        let class = match (first(&self.interactive), first(&self.analytics).filter(|_| analytics)) {
            (None, None) => return None,
            (Some(_), None) => Class::Interactive,
            (Some(interactive), Some(analytics)) if interactive < analytics => Class::Interactive,
            (_, Some(_)) => Class::Analytics,
        };
        self.line_mut(class).pop_front().map(|(_, waiter)| (class, waiter))
    }

    /// Takes out those whose time is up, wherever they stand: who has tried elsewhere before
    /// has less of it left than who came first.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<W> {
        let mut late = Vec::new();
        for line in [&mut self.interactive, &mut self.analytics] {
            // In place, and in order.
            for _ in 0..line.len() {
                match line.pop_front() {
                    Some((_, waiter)) if waiter.until <= now => late.push(waiter.handle),
                    Some(other) => line.push_back(other),
                    None => break,
                }
            }
        }
        late
    }

    /// The earliest time at which one is up.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.interactive.iter().chain(&self.analytics).map(|(_, waiter)| waiter.until).min()
    }

    pub(super) fn remove(&mut self, class: Class, number: u64) {
        let line = self.line_mut(class);
        if let Ok(at) = line.binary_search_by_key(&number, |(number, _)| *number) {
            line.remove(at);
        }
    }

    pub(super) fn is_empty(&self, class: Class) -> bool {
        self.line(class).is_empty()
    }

    pub(super) fn len(&self, class: Class) -> usize {
        self.line(class).len()
    }

    pub(super) fn waiting(&self) -> usize {
        self.interactive.len() + self.analytics.len()
    }

    fn line(&self, class: Class) -> &VecDeque<(u64, Waiter<W>)> {
        match class {
            Class::Interactive => &self.interactive,
            Class::Analytics => &self.analytics,
        }
    }

    fn line_mut(&mut self, class: Class) -> &mut VecDeque<(u64, Waiter<W>)> {
        match class {
            Class::Interactive => &mut self.interactive,
            Class::Analytics => &mut self.analytics,
        }
    }
}
