//! Permits over the slots under every interleaving, by loom.
//!
//! ```text
//! RUSTFLAGS="--cfg seawall_loom" CARGO_TARGET_DIR=target/loom \
//!     cargo test -p seawall-limit --test loom_permits --release
//! ```
//! The permit, the slots and the queue are the very files of the guard, over loom's locks and
//! atomics. What stands in for the guard between them counts what it is told.
#![cfg(seawall_loom)]
#![allow(dead_code, reason = "the queue and the permit have more than is modelled here")]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "../src/overload/permit.rs"]
mod permit;
#[path = "../src/overload/queue.rs"]
mod queue;
#[path = "../src/overload/reason.rs"]
mod reason;
#[path = "../src/overload/slots.rs"]
mod slots;

/// What `super::sync` is to the slots, made of loom.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};

    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }
}

/// What the permit knows of the engine.
mod engine {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Outcome {
        Success,
        Failure,
    }
}

/// What the permit knows of the guard.
mod handle {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicUsize, Ordering};

    use super::Bell;
    use super::engine::Outcome;
    use super::slots::Slots;

    #[derive(Clone)]
    pub struct Overload(pub(crate) Arc<Core>);

    pub(crate) struct Core {
        pub(crate) slots: Slots<Bell>,
        pub(crate) succeeded: AtomicUsize,
        pub(crate) given_up: AtomicUsize,
    }

    impl Overload {
        pub(crate) fn now(&self) -> u64 {
            0
        }

        pub(crate) fn core(&self) -> &Core {
            &self.0
        }
    }

    impl Core {
        pub(crate) fn record(&self, _: u64, _: u64, outcome: Outcome) {
            if outcome == Outcome::Success {
                self.succeeded.fetch_add(1, Ordering::SeqCst);
            }
        }

        pub(crate) fn leave(&self, now: u64, unrecorded: bool) {
            if unrecorded {
                self.given_up.fetch_add(1, Ordering::SeqCst);
            }
            self.slots.leave(now);
        }
    }
}

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use self::engine::Outcome;
use self::handle::{Core, Overload};
use self::permit::Permit;
use self::queue::{Pace, Verdict, Wake};
use self::slots::{Entry, Slots};

/// A waker that is a thread's.
struct Bell(thread::Thread);

impl Wake for Bell {
    fn wake(self) {
        self.0.unpark();
    }
}

fn bell() -> Bell {
    Bell(thread::current())
}

const PACE: Pace = Pace { interval: 100, target: 10, service: 0 };

fn guard(limit: usize) -> Overload {
    Overload(Arc::new(Core {
        slots: Slots::new(limit, 4, PACE),
        succeeded: AtomicUsize::new(0),
        given_up: AtomicUsize::new(0),
    }))
}

impl Overload {
    /// As the guard makes one: at once, or out of the line. One that will not wait gives its place
    /// up, or the slot if that was faster.
    fn acquire(&self, patient: bool) -> Option<Permit> {
        let slots = &self.0.slots;
        let permit = || Some(Permit::new(self.clone(), 0));
        if slots.try_enter() {
            return permit();
        }
        let ticket = match slots.enter((0, 1_000), 1, bell) {
            Entry::Admitted => return permit(),
            Entry::Rejected(reason) => panic!("rejected: {reason:?}"),
            Entry::Queued(ticket) => ticket,
        };
        if !patient {
            let faster = slots.abandon(&ticket);
            return faster.and_then(|verdict| match verdict {
                Verdict::Admitted { .. } => permit(),
                Verdict::Rejected(reason) => panic!("rejected: {reason:?}"),
            });
        }
        loop {
            match slots.poll(&ticket, bell) {
                Some(Verdict::Admitted { .. }) => return permit(),
                Some(Verdict::Rejected(reason)) => panic!("rejected: {reason:?}"),
                None => thread::park(),
            }
        }
    }

    fn told(&self) -> (usize, usize) {
        (self.0.succeeded.load(Ordering::SeqCst), self.0.given_up.load(Ordering::SeqCst))
    }

    fn assert_at_rest(&self) {
        assert_eq!((self.0.slots.taken(), self.0.slots.waiting()), (0, 0));
        assert!(self.0.slots.try_enter(), "the way past the lock is open");
    }
}

/// All schedules with at most three preemptions, or as many as `LOOM_MAX_PREEMPTIONS` says.
fn model(race: impl Fn() + Sync + Send + 'static) {
    let mut schedules = loom::model::Builder::new();
    schedules.preemption_bound = schedules.preemption_bound.or(Some(3));
    schedules.check(race);
}

#[test]
fn a_permit_that_is_finished_and_one_that_is_dropped_each_give_one_slot_back() {
    model(|| {
        let guard = guard(1);
        let other = {
            let guard = guard.clone();
            thread::spawn(move || drop(guard.acquire(true)))
        };
        if let Some(permit) = guard.acquire(true) {
            permit.finish(Outcome::Success);
        }
        other.join().unwrap();
        assert_eq!(guard.told(), (1, 1));
        guard.assert_at_rest();
    });
}

#[test]
fn a_permit_that_was_recorded_and_goes_with_its_body_counts_once() {
    model(|| {
        let guard = guard(1);
        let other = {
            let guard = guard.clone();
            thread::spawn(move || {
                let mut permit = guard.acquire(true).unwrap();
                permit.record(Outcome::Success);
                permit.record(Outcome::Success);
                // The body, on another thread than the head.
                thread::spawn(move || drop(permit)).join().unwrap();
            })
        };
        let mut permit = guard.acquire(true).unwrap();
        permit.record(Outcome::Failure);
        permit.finish(Outcome::Success);
        other.join().unwrap();
        assert_eq!(guard.told(), (1, 0), "only the first outcome counts");
        guard.assert_at_rest();
    });
}

#[test]
fn a_request_that_is_cancelled_in_line_as_a_permit_is_dropped_leaks_none() {
    model(|| {
        let guard = guard(1);
        let held = guard.acquire(true).unwrap();
        let others = [false, true].map(|patient| {
            let guard = guard.clone();
            thread::spawn(move || drop(guard.acquire(patient)))
        });
        drop(held);
        for other in others {
            other.join().unwrap();
        }
        guard.assert_at_rest();
    });
}

#[test]
fn a_limit_that_falls_under_permits_that_are_out_takes_none_back_and_lets_none_in() {
    model(|| {
        let guard = guard(2);
        let (first, second) = (guard.acquire(true).unwrap(), guard.acquire(true).unwrap());
        let other = {
            let guard = guard.clone();
            thread::spawn(move || {
                drop(first);
                drop(second);
                guard.acquire(true).unwrap().finish(Outcome::Success);
            })
        };
        guard.0.slots.adjust(1, PACE, 0);
        other.join().unwrap();
        assert_eq!(guard.told(), (1, 2));
        guard.assert_at_rest();
    });
}
