//! Who has which connection, who waits, and how many more may be opened.
//!
//! A state machine without IO and without a clock: it is told the time, and
//! says what to open, to close and to hand over. One connection is at any time
//! in one of four places: idle, lent, being cleaned, or being opened; the four
//! together never grow past the limit, whatever the limit was before.

mod config;
mod slots;
mod waiting;

use std::panic::Location;

use tokio::time::Instant;

use crate::alarm::Alarm;
pub(crate) use config::{Class, Limits};
pub(crate) use slots::{Borrow, Held};
use slots::{Page, Place, Slots};
use waiting::{Queues, Waiter};

/// The books of one node. `C` is a connection, `W` what a waiter is told through.
pub(crate) struct Ledger<C, W> {
    limits: Limits,
    /// The time, as last told.
    now: Instant,
    /// The last one is the warmest and goes out first.
    idle: Vec<Held<C>>,
    slots: Slots,
    connecting: usize,
    queues: Queues<W>,
    /// When somebody looks next whose time is up; none while nobody does.
    alarm: Option<Instant>,
    /// Connections of an earlier epoch are not kept.
    epoch: u32,
    /// Connections opened so far.
    opened: u64,
    /// Callers so far, and connections lent to them.
    asked: u64,
    lends: u64,
    paused: bool,
    closed: bool,
}

/// What comes of asking for a connection.
pub(crate) enum Take<C> {
    /// Here it is.
    Ready(Held<C>),
    /// None is free: [`Ledger::wait`] for one.
    Wait,
    /// None is free, and as many wait as may.
    Full,
    Closed,
}

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It was dead.
    Broken,
    /// Older than its lifetime.
    Lifetime,
    /// Lent as often as it may be.
    Uses,
    /// Unused for long.
    Idle,
    /// From before an eviction.
    Evicted,
    /// More than the pool may have.
    Surplus,
    /// What ran on it could not be stopped, or its session not be reset.
    Unsettled,
    /// The pool is closed.
    Shutdown,
}

/// How many there are of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) idle: usize,
    pub(crate) lent: usize,
    pub(crate) cleaning: usize,
    pub(crate) connecting: usize,
    pub(crate) waiting: usize,
}

impl Counts {
    /// Connections open.
    pub(crate) fn open(&self) -> usize {
        self.idle + self.lent + self.cleaning
    }
}

impl<C, W> Ledger<C, W> {
    pub(crate) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            now,
            idle: Vec::new(),
            slots: Slots::default(),
            connecting: 0,
            queues: Queues::default(),
            alarm: None,
            epoch: 0,
            opened: 0,
            asked: 0,
            lends: 0,
            paused: false,
            closed: false,
        }
    }

    /// Asks for a connection. Whoever waits already goes first.
    pub(crate) fn take(&mut self, class: Class, site: Option<Site>) -> Take<C> {
        if self.closed {
            return Take::Closed;
        }
        self.asked += 1;
        if !self.paused
            && self.queues.is_empty(class)
            && self.admits(class)
            && let Some(held) = self.idle.pop()
        {
            return Take::Ready(self.lend(held, class, site));
        }
        if self.queues.len(class) >= self.limits.waiting { Take::Full } else { Take::Wait }
    }

    /// How many would be in front of one who stands in line now, and the connections that come free
    /// for them; none if more may be opened.
    pub(crate) fn ahead(&self, class: Class) -> Option<(usize, usize)> {
        if self.paused || self.total() < self.limits.max {
            return None;
        }
        Some(match class {
            Class::Interactive => (self.queues.waiting(), self.limits.max),
            Class::Analytics => (self.queues.len(class), self.limits.analytics),
        })
    }

    /// Stands in line, until that time; returns the number to [`forget`](Self::forget), and whether
    /// anybody looks in time.
    pub(crate) fn wait(
        &mut self,
        class: Class,
        site: Option<Site>,
        handle: W,
        until: Instant,
    ) -> (u64, Alarm) {
        let alarm = match self.alarm {
            Some(alarm) if alarm <= until => Alarm::Set,
            Some(_) => Alarm::Earlier,
            None => Alarm::Off,
        };
        if alarm != Alarm::Set {
            self.alarm = Some(until);
        }
        (self.queues.push(class, Waiter { handle, site, until }), alarm)
    }

    /// Takes those out of the line whose time is up. When to do so again; none if nobody is left, and
    /// then the alarm is off.
    pub(crate) fn expire(&mut self, now: Instant) -> (Vec<W>, Option<Instant>) {
        let late = self.queues.expire(now);
        self.alarm = self.queues.next_end();
        (late, self.alarm)
    }

    /// Takes those out of the line whose time is up, for one who looks now and then; the alarm
    /// stays as it is.
    pub(crate) fn forgotten(&mut self, now: Instant) -> Vec<W> {
        self.queues.expire(now)
    }

    /// The alarm is off while somebody waits: all are taken out of the line, to stand in it anew.
    pub(crate) fn unwatched(&mut self) -> Vec<W> {
        if self.alarm.take().is_none() {
            return Vec::new();
        }
        std::iter::from_fn(|| self.next_disappointed()).collect()
    }

    /// A waiter left. Nothing to do if it was served already.
    pub(crate) fn forget(&mut self, class: Class, number: u64) {
        self.queues.remove(class, number);
    }

    /// An idle connection and the waiter to hand it to, if there are both.
    /// To be called after each change until it gives none.
    pub(crate) fn next_grant(&mut self) -> Option<(W, Held<C>)> {
        if self.paused || self.idle.is_empty() {
            return None;
        }
        let (class, waiter) = self.queues.pop(self.admits(Class::Analytics))?;
        let held = self.idle.pop()?;
        Some((waiter.handle, self.lend(held, class, waiter.site)))
    }

    /// Takes the longest waiting one out of the line, to be told bad news.
    pub(crate) fn next_disappointed(&mut self) -> Option<W> {
        self.queues.pop(true).map(|(_, waiter)| waiter.handle)
    }

    /// A connection came back clean. It is returned if it is not to be kept.
    pub(crate) fn give_back(&mut self, held: Held<C>) -> Option<(C, Reason)> {
        if let Some(reason) = self.unfit(&held) {
            return Some((self.remove(held), reason));
        }
        self.slots.page(held.slot).idle_since = self.now;
        self.slots.put(held.slot, Place::Idle);
        self.idle.push(held);
        None
    }

    /// A lent connection is to be cleaned; until then it is neither lent nor idle.
    pub(crate) fn begin_cleaning(&mut self, held: &Held<C>) {
        self.slots.put(held.slot, Place::Cleaning);
    }

    /// A connection that is lent or being cleaned is gone for good.
    pub(crate) fn remove(&mut self, held: Held<C>) -> C {
        self.slots.free(held.slot);
        held.connection
    }

    /// How many connections to open now, which count as being opened from here
    /// on: one for each waiter that could have it and none is being opened for.
    pub(crate) fn claim(&mut self) -> usize {
        if self.paused {
            return 0;
        }
        let wanted = self.queues.len(Class::Interactive)
            + self.queues.len(Class::Analytics).min(self.analytics_left());
        self.claim_up_to(wanted.saturating_sub(self.connecting))
    }

    /// How many connections to open so that there are as many as the node is to keep.
    pub(crate) fn claim_spare(&mut self) -> usize {
        self.claim_up_to(self.limits.min.saturating_sub(self.total()))
    }

    /// What a connection being opened is to be tagged with.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// A connection that was claimed is there. It is returned if it is not
    /// wanted any more.
    pub(crate) fn connected(
        &mut self,
        connection: C,
        epoch: u32,
        now: Instant,
    ) -> Option<(C, Reason)> {
        self.connecting -= 1;
        self.now = self.now.max(now);
        if self.closed {
            return Some((connection, Reason::Shutdown));
        }
        if self.total() >= self.limits.max {
            return Some((connection, Reason::Surplus));
        }
        if epoch != self.epoch {
            return Some((connection, Reason::Evicted));
        }
        self.opened += 1;
        let expires = self.now + self.limits.lifetime_of(self.opened);
        let page = Page { epoch, uses: 0, expires, idle_since: self.now };
        let slot = self.slots.allot(Place::Idle, page);
        self.idle.push(Held { connection, slot, stale: false });
        None
    }

    /// A connection that was claimed will not come.
    pub(crate) fn not_connected(&mut self) {
        self.connecting -= 1;
    }

    /// Whether anybody would be served by a connection that is being opened.
    pub(crate) fn is_connecting_needed(&self) -> bool {
        !self.closed && (self.queues.waiting() > 0 || self.counts().open() < self.limits.min)
    }

    /// Looks over the idle connections: returns those to close.
    pub(crate) fn review(
        &mut self,
        now: Instant,
        is_dead: impl Fn(&C) -> bool,
    ) -> Vec<(C, Reason)> {
        self.now = self.now.max(now);
        let mut spare = self.total().saturating_sub(self.limits.min);
        let mut closing = Vec::new();
        for held in std::mem::take(&mut self.idle) {
            let idle_since = self.slots.page(held.slot).idle_since;
            let unused = self.now.saturating_duration_since(idle_since);
            let reason = if is_dead(&held.connection) {
                Some(Reason::Broken)
            } else if spare > 0 && unused >= self.limits.idle {
                Some(Reason::Idle)
            } else {
                self.unfit(&held)
            };
            match reason {
                Some(reason) => {
                    spare = spare.saturating_sub(1);
                    closing.push((self.remove(held), reason));
                }
                None => self.idle.push(held),
            }
        }
        closing
    }

    /// Borrows that have lasted too long, each told once.
    pub(crate) fn overdue(&mut self) -> Vec<Borrow> {
        self.slots.overdue(self.now, self.limits.leak)
    }

    /// Those of them that have ended since the last call; how long they lasted is known to within
    /// the time between two calls.
    pub(crate) fn overdue_ended(&mut self) -> Vec<Borrow> {
        self.slots.ended(self.now)
    }

    /// The longest borrow with a known place in the code.
    pub(crate) fn oldest_borrow(&self) -> Option<Borrow> {
        self.slots.oldest(self.now)
    }

    /// Sets new sizes; returns the idle connections that are too many. Those
    /// lent are closed when they come back.
    pub(crate) fn resize(&mut self, max: usize, min: usize, analytics: usize) -> Vec<C> {
        (self.limits.max, self.limits.min, self.limits.analytics) = (max, min, analytics);
        let surplus = self.total().saturating_sub(max).min(self.idle.len());
        let coldest: Vec<_> = self.idle.drain(..surplus).collect();
        coldest.into_iter().map(|held| self.remove(held)).collect()
    }

    /// No connection opened so far is lent again; returns those that are idle.
    pub(crate) fn evict(&mut self) -> Vec<C> {
        self.epoch = self.epoch.wrapping_add(1);
        let idle = std::mem::take(&mut self.idle);
        idle.into_iter().map(|held| self.remove(held)).collect()
    }

    pub(crate) fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Ends it; returns the idle connections and those who wait.
    pub(crate) fn close(&mut self) -> (Vec<C>, Vec<W>) {
        self.closed = true;
        let waiters = std::iter::from_fn(|| self.next_disappointed()).collect();
        (self.evict(), waiters)
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            idle: self.idle.len(),
            lent: self.slots.lent(),
            cleaning: self.slots.cleaning(),
            connecting: self.connecting,
            waiting: self.queues.waiting(),
        }
    }

    /// Callers so far, and connections lent to them.
    pub(crate) fn flow(&self) -> (u64, u64) {
        (self.asked, self.lends)
    }

    pub(crate) fn max(&self) -> usize {
        self.limits.max
    }

    /// Of those, for analytics.
    pub(crate) fn max_analytics(&self) -> usize {
        self.limits.analytics
    }

    pub(crate) fn min(&self) -> usize {
        self.limits.min
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether somebody may be waiting for connections to come back.
    pub(crate) fn is_draining(&self) -> bool {
        self.paused || self.closed
    }

    fn lend(&mut self, mut held: Held<C>, class: Class, site: Option<Site>) -> Held<C> {
        self.lends += 1;
        let page = self.slots.page(held.slot);
        page.uses += 1;
        held.stale = self.now.saturating_duration_since(page.idle_since) >= self.limits.stale;
        self.slots.put(held.slot, Place::Lent { class, since: self.now, site, told: false });
        held
    }

    fn unfit(&mut self, held: &Held<C>) -> Option<Reason> {
        let page = *self.slots.page(held.slot);
        if self.closed {
            Some(Reason::Shutdown)
        } else if page.epoch != self.epoch {
            Some(Reason::Evicted)
        } else if self.total() > self.limits.max {
            Some(Reason::Surplus)
        } else if page.uses >= self.limits.uses {
            Some(Reason::Uses)
        } else if page.expires <= self.now {
            Some(Reason::Lifetime)
        } else {
            None
        }
    }

    fn admits(&self, class: Class) -> bool {
        class == Class::Interactive || self.analytics_left() > 0
    }

    fn analytics_left(&self) -> usize {
        self.limits.analytics.saturating_sub(self.slots.lent_to_analytics())
    }

    fn claim_up_to(&mut self, wanted: usize) -> usize {
        if self.closed {
            return 0;
        }
        let room = self.limits.max.saturating_sub(self.total());
        let at_once = self.limits.connecting.saturating_sub(self.connecting);
        let count = wanted.min(room).min(at_once);
        self.connecting += count;
        count
    }

    /// Every connection, those being opened included.
    fn total(&self) -> usize {
        self.slots.used() + self.connecting
    }
}

/// A place in the code.
pub(crate) type Site = &'static Location<'static>;

#[cfg(test)]
mod tests;
