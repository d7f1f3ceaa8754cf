//! The line of those who wait for a slot.
//!
//! Bounded. The highest class goes first; within a class the oldest, and the newest once the
//! queue has stood for an interval: then not all can be served in time, and serving the oldest
//! would serve all of them late (adaptive LIFO). From then on, whoever waited longer than a
//! short target is turned away (CoDel as Facebook uses it). A newcomer of a higher class takes
//! the place of the oldest of the lowest when the queue is full. Pure: times are in nanoseconds.

use super::reason::Reason;

/// Where a waiting request is kept, until its holder takes the verdict.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u32);

/// What is to be told of its verdict. Called without a lock.
pub(crate) trait Wake {
    fn wake(self);
}

/// How long is too long, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// A queue that stands for longer is no burst. Also what may be waited before that.
    pub(crate) interval: u64,
    /// What may be waited after that.
    pub(crate) target: u64,
    /// The least that serving a request takes.
    pub(crate) service: u64,
}

#[derive(Debug)]
enum State {
    Free,
    Waiting,
    Admitted { at: u64 },
    Rejected(Reason),
}

#[derive(Debug)]
struct Node<W> {
    waker: Option<W>,
    state: State,
    since: u64,
    deadline: u64,
    class: u8,
    /// Towards the older and the newer of its class; of a free node, the next free one.
    older: u32,
    newer: u32,
}

#[derive(Debug, Clone, Copy)]
struct Ends {
    oldest: u32,
    newest: u32,
}

#[derive(Debug)]
pub(crate) struct Queue<W> {
    nodes: Vec<Node<W>>,
    free: u32,
    classes: [Ends; CLASSES],
    waiting: usize,
    max: usize,
    pace: Pace,
    /// Since when it has not been empty.
    stands_since: u64,
    /// The least that waited since it was last asked.
    least: usize,
}

impl<W: Wake> Queue<W> {
    pub(crate) fn new(max: usize, pace: Pace) -> Self {
        Self {
            nodes: Vec::new(),
            free: NONE,
            classes: [Ends { oldest: NONE, newest: NONE }; CLASSES],
            waiting: 0,
            max,
            pace,
            stands_since: 0,
            least: 0,
        }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(crate) fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
    }

    /// Whether it stood, without being empty once, since this was last asked; and whether it has
    /// for an interval.
    pub(crate) fn stood(&mut self, now: u64) -> Stood {
        let always = self.least > 0;
        self.least = self.waiting;
        Stood { always, long: always && self.is_standing(now) }
    }

    fn is_standing(&self, now: u64) -> bool {
        self.waiting > 0 && now.saturating_sub(self.stands_since) > self.pace.interval
    }

    /// Puts a request in line, or says why not. Whoever makes room for it is in `wakes`.
    pub(crate) fn push(
        &mut self,
        (now, deadline): (u64, u64),
        class: u8,
        waker: W,
        wakes: &mut Wakes<W>,
    ) -> Result<Ticket, Reason> {
        if now.saturating_add(self.pace.service) > deadline {
            return Err(Reason::Deadline);
        }
        if self.waiting >= self.max && !self.displace(class, wakes) {
            return Err(Reason::QueueFull);
        }
        if self.waiting == 0 {
            self.stands_since = now;
        }
        self.waiting += 1;
        let ends = &mut self.classes[usize::from(class)];
        let older = ends.newest;
        let node = Node {
            waker: Some(waker),
            state: State::Waiting,
            since: now,
            deadline,
            class,
            older,
            newer: NONE,
        };
        let at = if self.free == NONE {
            self.nodes.push(node);
            self.nodes.len() as u32 - 1
        } else {
            let at = self.free;
            self.free = self.nodes[at as usize].newer;
            self.nodes[at as usize] = node;
            at
        };
        let ends = &mut self.classes[usize::from(class)];
        ends.newest = at;
        if older == NONE {
            ends.oldest = at;
        } else {
            self.nodes[older as usize].newer = at;
        }
        Ok(Ticket(at))
    }

    /// Turns away the oldest of the lowest class, if that is below `class`.
    fn displace(&mut self, class: u8, wakes: &mut Wakes<W>) -> bool {
        let lower = &self.classes[..usize::from(class)];
        let Some(oldest) = lower.iter().map(|ends| ends.oldest).find(|at| *at != NONE) else {
            return false;
        };
        self.settle(oldest, State::Rejected(Reason::QueueFull), wakes);
        true
    }

    /// Turns away those that waited too long, as far as `wakes` has room.
    pub(crate) fn expire(&mut self, now: u64, wakes: &mut Wakes<W>) {
        for class in 0..CLASSES {
            let patience = self.patience(now, class as u8);
            while !wakes.is_full() {
                let oldest = self.classes[class].oldest;
                let Some(node) = self.nodes.get(oldest as usize) else { break };
                if now.saturating_sub(node.since) <= patience {
                    break;
                }
                self.settle(oldest, State::Rejected(Reason::QueueDelay), wakes);
            }
        }
    }

    /// What one of `class` may wait. Requests that matter are not turned away for a short wait.
    fn patience(&self, now: u64, class: u8) -> u64 {
        let short = class < FIRST_CRITICAL && self.is_standing(now);
        if short { self.pace.target } else { self.pace.interval }
    }

    /// Gives a slot to the next in line. False if nobody is left.
    pub(crate) fn admit_next(&mut self, now: u64, wakes: &mut Wakes<W>) -> bool {
        while !wakes.is_full() {
            let newest_first = self.is_standing(now);
            let Some(ends) = self.classes.iter().rev().find(|ends| ends.oldest != NONE) else {
                return false;
            };
            let at = if newest_first { ends.newest } else { ends.oldest };
            if now.saturating_add(self.pace.service) > self.nodes[at as usize].deadline {
                self.settle(at, State::Rejected(Reason::Deadline), wakes);
                continue;
            }
            self.settle(at, State::Admitted { at: now }, wakes);
            return true;
        }
        false
    }

    /// Takes the verdict, if there is one: true for a slot. Otherwise remembers the waker.
    pub(crate) fn poll(&mut self, ticket: &Ticket, waker: impl FnOnce() -> W) -> Option<Verdict> {
        let node = &mut self.nodes[ticket.0 as usize];
        let verdict = match node.state {
            State::Admitted { at } => Verdict::Admitted { since: node.since, at },
            State::Rejected(reason) => Verdict::Rejected(reason),
            State::Free | State::Waiting => {
                node.waker = Some(waker());
                return None;
            }
        };
        self.release(ticket.0);
        Some(verdict)
    }

    /// Leaves the line, whatever the verdict, which is given back if there was one.
    pub(crate) fn leave(&mut self, ticket: &Ticket) -> Option<Verdict> {
        let node = &self.nodes[ticket.0 as usize];
        let verdict = match node.state {
            State::Admitted { at } => Some(Verdict::Admitted { since: node.since, at }),
            State::Rejected(reason) => Some(Verdict::Rejected(reason)),
            State::Free => None,
            State::Waiting => {
                self.unlink(ticket.0);
                None
            }
        };
        self.release(ticket.0);
        verdict
    }

    fn settle(&mut self, at: u32, state: State, wakes: &mut Wakes<W>) {
        self.unlink(at);
        let node = &mut self.nodes[at as usize];
        node.state = state;
        if let Some(waker) = node.waker.take() {
            wakes.push(waker);
        }
    }

    fn unlink(&mut self, at: u32) {
        let Node { older, newer, class, .. } = self.nodes[at as usize];
        let ends = &mut self.classes[usize::from(class)];
        if older == NONE {
            ends.oldest = newer;
        } else {
            self.nodes[older as usize].newer = newer;
        }
        let ends = &mut self.classes[usize::from(class)];
        if newer == NONE {
            ends.newest = older;
        } else {
            self.nodes[newer as usize].older = older;
        }
        self.waiting -= 1;
        self.least = self.least.min(self.waiting);
    }

    fn release(&mut self, at: u32) {
        let node = &mut self.nodes[at as usize];
        node.state = State::Free;
        node.waker = None;
        node.newer = self.free;
        self.free = at;
    }
}

/// Whether somebody waited all the time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stood {
    /// Since it was last asked.
    pub(crate) always: bool,
    /// The same, and for an interval.
    pub(crate) long: bool,
}

/// How waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// With a slot; `since` is when the wait began, `at` when the slot was taken.
    Admitted { since: u64, at: u64 },
    /// Without.
    Rejected(Reason),
}

/// Those to be woken once the lock is free.
pub(crate) struct Wakes<W> {
    wakers: [Option<W>; WAKES],
    count: usize,
}

impl<W: Wake> Wakes<W> {
    pub(crate) fn new() -> Self {
        Self { wakers: [const { None }; WAKES], count: 0 }
    }

    pub(crate) fn is_full(&self) -> bool {
        // One is kept free for whoever is displaced.
        self.count + 1 >= WAKES
    }

    fn push(&mut self, waker: W) {
        if let Some(place) = self.wakers.get_mut(self.count) {
            *place = Some(waker);
            self.count += 1;
        }
    }

    pub(crate) fn wake(self) {
        for waker in self.wakers.into_iter().flatten() {
            waker.wake();
        }
    }
}

const CLASSES: usize = 4;
const FIRST_CRITICAL: u8 = 2;
const WAKES: usize = 16;
const NONE: u32 = u32::MAX;
