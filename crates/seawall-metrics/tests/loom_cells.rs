//! The cells under every interleaving, by loom.
//!
//! ```text
//! RUSTFLAGS="--cfg seawall_loom" CARGO_TARGET_DIR=target/loom \
//!     cargo test -p seawall-metrics --test loom_cells --release
//! ```
//! These are the very files that counters and histograms are built from, over loom's atomics.
#![cfg(seawall_loom)]
#![allow(dead_code, unreachable_pub, reason = "the cells have more than is modelled here")]
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

#[path = "../src/cells/float.rs"]
mod float;
#[path = "../src/cells/per_thread.rs"]
mod per_thread;
#[path = "../src/cells/stripe.rs"]
mod stripe;

mod layout {
    pub(crate) const MAX_CELLS: usize = 2;
}

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};

    use loom::sync::Mutex;
    use loom::sync::atomic::AtomicBool;

    /// What std's is to the cells, in a way that loom understands.
    pub(crate) struct OnceLock<T> {
        value: std::sync::OnceLock<T>,
        made: AtomicBool,
        making: Mutex<()>,
    }

    impl<T> Default for OnceLock<T> {
        fn default() -> Self {
            Self::new()
        }
    }

    impl<T> OnceLock<T> {
        pub(crate) fn new() -> Self {
            let (made, making) = (AtomicBool::new(false), Mutex::new(()));
            Self { value: std::sync::OnceLock::new(), made, making }
        }

        pub(crate) fn get(&self) -> Option<&T> {
            if self.made.load(Ordering::Acquire) { self.value.get() } else { None }
        }

        pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
            let _alone = self.making.lock().unwrap();
            let value = self.value.get_or_init(make);
            self.made.store(true, Ordering::Release);
            value
        }
    }
}

/// Thread numbers that the model hands out itself.
mod numbers {
    use std::cell::Cell;

    pub(crate) const SHARED: u32 = u32::MAX;
    pub(crate) const LAST: u32 = 8;

    loom::thread_local! {
        static NUMBER: Cell<u32> = Cell::new(SHARED);
    }

    pub(crate) fn set(number: u32) {
        NUMBER.with(|own| own.set(number));
    }

    pub(crate) fn peek() -> u32 {
        NUMBER.with(Cell::get)
    }

    pub(crate) fn slot() -> u32 {
        peek()
    }

    pub(crate) fn suspended<T>(make: impl FnOnce() -> T) -> T {
        make()
    }
}

use loom::sync::atomic::{AtomicU64, Ordering::Relaxed};
use loom::sync::{Arc, Mutex};
use loom::thread;

use self::numbers::SHARED;
use self::per_thread::{Part, PerThread};
use self::stripe::Stripe;

type Words = PerThread<AtomicU64>;

fn words() -> Arc<Words> {
    Arc::new(PerThread::new())
}

fn add(words: &Words, by: u64) {
    match words.part() {
        Part::Own(word) => word.store(word.load(Relaxed) + by, Relaxed),
        Part::Shared(word) => {
            word.fetch_add(by, Relaxed);
        }
    }
}

fn total(words: &Words) -> u64 {
    words.parts().map(|word| word.load(Relaxed)).sum()
}

fn writer(words: &Arc<Words>, number: u32, times: u64) -> thread::JoinHandle<()> {
    let words = words.clone();
    thread::spawn(move || {
        numbers::set(number);
        (0..times).for_each(|_| add(&words, 1));
    })
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn two_threads_that_claim_and_outgrow_a_word_lose_nothing() {
    check(|| {
        let words = words();
        let (one, two) = (writer(&words, 1, 3), writer(&words, 2, 3));
        let seen = total(&words);
        let again = total(&words);
        assert!(seen <= again && again <= 6, "{seen} then {again}");
        one.join().unwrap();
        two.join().unwrap();
        assert_eq!(total(&words), 6);
    });
}

#[test]
fn a_thread_without_a_number_beside_two_with_one_loses_nothing() {
    check(|| {
        let words = words();
        let (one, two) = (writer(&words, 1, 2), writer(&words, 2, 3));
        numbers::set(SHARED);
        add(&words, 1);
        add(&words, 1);
        one.join().unwrap();
        two.join().unwrap();
        assert_eq!(total(&words), 7);
    });
}

#[test]
fn a_number_that_changes_hands_takes_the_word_with_it() {
    check(|| {
        let words = words();
        let free = Arc::new(Mutex::new(true));
        let holders: Vec<_> = (0..2)
            .map(|_| {
                let (words, free) = (words.clone(), free.clone());
                thread::spawn(move || {
                    let mine = std::mem::replace(&mut *free.lock().unwrap(), false);
                    numbers::set(if mine { 1 } else { SHARED });
                    add(&words, 1);
                    add(&words, 1);
                    if mine {
                        *free.lock().unwrap() = true;
                    }
                })
            })
            .collect();
        holders.into_iter().for_each(|holder| holder.join().unwrap());
        assert_eq!(total(&words), 4);
    });
}

fn cells(stripe: &Stripe) -> u64 {
    let mut counts = [0; stripe::PAGE_CELLS];
    stripe.read_page(0, &mut counts);
    counts.iter().sum()
}

#[test]
fn a_record_that_is_announced_is_in_its_cell_and_its_value_in_the_sum() {
    check(|| {
        let stripe = Arc::new(Stripe::default());
        let writer = {
            let stripe = stripe.clone();
            thread::spawn(move || {
                stripe.record_alone(0, 1.0, 1);
                stripe.record_alone(1, 1.0, 1);
            })
        };
        let announced = stripe.records();
        let count = cells(&stripe);
        let sum = stripe.sum();
        assert!(announced <= count, "{announced} announced, {count} in cells");
        assert!(count as f64 <= sum, "{count} in cells, {sum} in the sum");
        writer.join().unwrap();
        assert_eq!((cells(&stripe), stripe.sum(), stripe.records()), (2, 2.0, 2));
    });
}

#[test]
fn two_threads_on_the_shared_stripe_lose_nothing() {
    check(|| {
        let stripe = Arc::new(Stripe::default());
        let other = {
            let stripe = stripe.clone();
            thread::spawn(move || stripe.record_shared(0, 2.0, 1))
        };
        stripe.record_shared(0, 1.0, 1);
        other.join().unwrap();
        assert_eq!((cells(&stripe), stripe.sum(), stripe.max()), (2, 3.0, Some(2.0)));
    });
}
