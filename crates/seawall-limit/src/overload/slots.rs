//! Slots: who may run now. Free slots are taken and given back without a lock; the queue's lock
//! is for those who find none, and for those who leave while somebody waits.
//!
//! One word has the number of taken slots, and a bit that says that somebody may wait. While the
//! bit is set, slots are taken under the queue's lock only, so nobody overtakes the queue. It is
//! set before the number is looked at for the last time; whoever gives a slot back afterwards sees
//! it and hands the slot on. So no slot stays free while somebody waits.

use super::queue::{Pace, Queue, Stood, Ticket, Verdict, Wake, Wakes};
use super::reason::Reason;
use super::sync::{AtomicU64, Mutex, Ordering};

#[derive(Debug)]
pub(crate) struct Slots<W> {
    /// Taken slots, and [`QUEUED`].
    word: AtomicU64,
    limit: AtomicU64,
    queue: Mutex<Queue<W>>,
}

/// What an arrival comes to.
#[derive(Debug)]
pub(crate) enum Entry {
    Admitted,
    Queued(Ticket),
    Rejected(Reason),
}

impl<W: Wake> Slots<W> {
    pub(crate) fn new(limit: usize, queue: usize, pace: Pace) -> Self {
        Self {
            word: AtomicU64::new(0),
            limit: AtomicU64::new(limit as u64),
            queue: Mutex::new(Queue::new(queue, pace)),
        }
    }

    /// Slots that are taken.
    pub(crate) fn taken(&self) -> usize {
        (self.word.load(Ordering::Relaxed) & TAKEN) as usize
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        if self.word.load(Ordering::Relaxed) & QUEUED == 0 {
            0
        } else {
            self.queue.lock().waiting()
        }
    }

    /// Takes a slot that is free and that nobody waits for.
    pub(crate) fn try_enter(&self) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            // The bit is above all numbers, so this also sees that nobody waits.
            if word >= limit {
                return false;
            }
            match self.word.compare_exchange_weak(
                word,
                word + 1,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(current) => word = current,
            }
        }
    }

    /// Takes a slot or a place in line. `times` are now and the deadline.
    pub(crate) fn enter(&self, times: (u64, u64), class: u8, waker: impl FnOnce() -> W) -> Entry {
        let mut wakes = Wakes::new();
        let entry = {
            let mut queue = self.queue.lock();
            let word = self.word.fetch_or(QUEUED, Ordering::AcqRel);
            if queue.waiting() == 0 && word & TAKEN < self.limit.load(Ordering::Relaxed) {
                self.word.fetch_add(1, Ordering::AcqRel);
                self.word.fetch_and(!QUEUED, Ordering::AcqRel);
                return Entry::Admitted;
            }
            let entry = match queue.push(times, class, waker(), &mut wakes) {
                Ok(ticket) => Entry::Queued(ticket),
                Err(reason) => Entry::Rejected(reason),
            };
            self.settle(&queue);
            entry
        };
        wakes.wake();
        entry
    }

    /// Gives a slot back; the next in line gets it.
    pub(crate) fn leave(&self, now: u64) {
        if self.word.fetch_sub(1, Ordering::AcqRel) & QUEUED != 0 {
            self.hand_out(now);
        }
    }

    /// The verdict on a place in line, if it is there. Takes the ticket out if it is.
    pub(crate) fn poll(&self, ticket: &Ticket, waker: impl FnOnce() -> W) -> Option<Verdict> {
        self.queue.lock().poll(ticket, waker)
    }

    /// Gives a place in line up, or takes the verdict that was faster. A slot that comes with it
    /// is the caller's to give back.
    pub(crate) fn abandon(&self, ticket: &Ticket) -> Option<Verdict> {
        let mut queue = self.queue.lock();
        let verdict = queue.leave(ticket);
        self.settle(&queue);
        verdict
    }

    /// Whether somebody waited all the time since this was last asked.
    pub(crate) fn stood(&self, now: u64) -> Stood {
        self.queue.lock().stood(now)
    }

    /// Changes the number of slots and the queue's times.
    pub(crate) fn adjust(&self, limit: usize, pace: Pace, now: u64) {
        self.queue.lock().set_pace(pace);
        self.limit.store(limit as u64, Ordering::Relaxed);
        self.hand_out(now);
    }

    /// Gives free slots to those who wait, and turns away those who waited too long.
    pub(crate) fn hand_out(&self, now: u64) {
        loop {
            let mut wakes = Wakes::new();
            let more = {
                let mut queue = self.queue.lock();
                queue.expire(now, &mut wakes);
                // While anybody waits, numbers grow under this lock only.
                let limit = self.limit.load(Ordering::Relaxed);
                while queue.waiting() > 0
                    && self.word.load(Ordering::Acquire) & TAKEN < limit
                    && queue.admit_next(now, &mut wakes)
                {
                    self.word.fetch_add(1, Ordering::AcqRel);
                }
                self.settle(&queue);
                wakes.is_full()
            };
            wakes.wake();
            if !more {
                return;
            }
        }
    }

    /// Opens the way past the lock when nobody waits. Called under the queue's lock.
    fn settle(&self, queue: &Queue<W>) {
        if queue.waiting() == 0 {
            self.word.fetch_and(!QUEUED, Ordering::AcqRel);
        }
    }
}

const QUEUED: u64 = 1 << 63;
const TAKEN: u64 = QUEUED - 1;
