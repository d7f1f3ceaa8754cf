//! The slots and their queue under every interleaving, by loom.
//!
//! ```text
//! RUSTFLAGS="--cfg seawall_loom" CARGO_TARGET_DIR=target/loom \
//!     cargo test -p seawall-limit --test loom_slots --release
//! ```
//! These are the very files that the guard is built from, over loom's locks and atomics.
#![cfg(seawall_loom)]
#![allow(dead_code, reason = "the queue has more than is modelled here")]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests")]

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

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

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

struct Model {
    slots: Slots<Bell>,
    limit: usize,
    running: AtomicUsize,
    served: AtomicUsize,
}

impl Model {
    fn new(limit: usize) -> Arc<Self> {
        let pace = Pace { interval: 100, target: 10, service: 0 };
        Arc::new(Self {
            slots: Slots::new(limit, 4, pace),
            limit,
            running: AtomicUsize::new(0),
            served: AtomicUsize::new(0),
        })
    }

    /// One request from its arrival to its end.
    fn serve(&self) {
        if !self.slots.try_enter() {
            match self.slots.enter((0, 1_000), 1, bell) {
                Entry::Admitted => {}
                Entry::Rejected(reason) => panic!("rejected: {reason:?}"),
                Entry::Queued(ticket) => loop {
                    match self.slots.poll(&ticket, bell) {
                        Some(Verdict::Admitted { .. }) => break,
                        Some(Verdict::Rejected(reason)) => panic!("rejected: {reason:?}"),
                        None => thread::park(),
                    }
                },
            }
        }
        self.work();
    }

    fn work(&self) {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(running <= self.limit, "{running} run at once");
        self.running.fetch_sub(1, Ordering::SeqCst);
        self.served.fetch_add(1, Ordering::SeqCst);
        self.slots.leave(0);
    }

    fn assert_at_rest(&self) {
        assert_eq!(self.slots.taken(), 0);
        assert_eq!(self.slots.waiting(), 0);
        assert!(self.slots.try_enter(), "the way past the lock is open");
    }
}

/// All schedules with at most three preemptions, or as many as `LOOM_MAX_PREEMPTIONS` says.
fn model(race: impl Fn() + Sync + Send + 'static) {
    let mut schedules = loom::model::Builder::new();
    schedules.preemption_bound = schedules.preemption_bound.or(Some(3));
    schedules.check(race);
}

#[test]
fn a_slot_that_comes_free_while_another_queues_is_not_lost() {
    model(|| {
        let model = Model::new(1);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.serve())
        };
        model.serve();
        other.join().unwrap();
        assert_eq!(model.served.load(Ordering::SeqCst), 2);
        model.assert_at_rest();
    });
}

#[test]
fn three_requests_for_one_slot_are_served_one_at_a_time() {
    model(|| {
        let model = Model::new(1);
        let others = [(); 2].map(|()| {
            let model = Arc::clone(&model);
            thread::spawn(move || model.serve())
        });
        model.serve();
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(model.served.load(Ordering::SeqCst), 3);
        model.assert_at_rest();
    });
}

#[test]
fn a_waiter_that_gives_up_as_it_is_let_in_gives_the_slot_back() {
    model(|| {
        let model = Model::new(1);
        assert!(model.slots.try_enter());
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || match model.slots.enter((0, 1_000), 1, bell) {
                Entry::Admitted => model.slots.leave(0),
                Entry::Queued(ticket) => {
                    if let Some(Verdict::Admitted { .. }) = model.slots.abandon(&ticket) {
                        model.slots.leave(0);
                    }
                }
                Entry::Rejected(reason) => panic!("rejected: {reason:?}"),
            })
        };
        model.slots.leave(0);
        other.join().unwrap();
        model.assert_at_rest();
    });
}

#[test]
fn a_limit_that_rises_lets_those_in_who_wait() {
    model(|| {
        let model = Model::new(2);
        let pace = Pace { interval: 100, target: 10, service: 0 };
        model.slots.adjust(1, pace, 0);
        assert!(model.slots.try_enter());
        let other = {
            let model = Arc::clone(&model);
            // The one slot is never given back before this is served.
            thread::spawn(move || model.serve())
        };
        model.slots.adjust(2, pace, 0);
        other.join().unwrap();
        model.slots.leave(0);
        model.assert_at_rest();
    });
}
