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
#[path = "../src/cells/pages.rs"]
mod pages;
#[path = "../src/cells/per_thread.rs"]
mod per_thread;
#[path = "../src/cells/stripe.rs"]
mod stripe;

mod layout {
    pub(crate) const MAX_CELLS: usize = 2;
}

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};

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

    /// The same for what is in a box.
    pub(crate) struct OnceBox<T>(OnceLock<Box<T>>);

    impl<T> Default for OnceBox<T> {
        fn default() -> Self {
            Self::new()
        }
    }

    impl<T> OnceBox<T> {
        pub(crate) fn new() -> Self {
            Self(OnceLock::new())
        }

        pub(crate) fn get(&self) -> Option<&T> {
            self.0.get().map(|value| &**value)
        }

        pub(crate) fn get_or_init(&self, make: impl FnOnce() -> Box<T>) -> &T {
            self.0.get_or_init(make)
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

use self::pages::{Pages, Small, Wide};
use self::sync::OnceBox;

type Words = PerThread<AtomicU64, AtomicU64>;

fn words() -> Arc<Words> {
    Arc::new(PerThread::new())
}

fn add(words: &Words, by: u64) {
    match words.part() {
        Part::Base(word) | Part::Spread(word) => word.store(word.load(Relaxed) + by, Relaxed),
        Part::Rest(word) => {
            word.fetch_add(by, Relaxed);
        }
    }
}

fn total(words: &Words) -> u64 {
    let word = |part| match part {
        Part::Base(word) | Part::Spread(word) | Part::Rest(word) => AtomicU64::load(word, Relaxed),
    };
    words.parts().map(word).sum()
}

fn writer(words: &Arc<Words>, number: u32, times: u64) -> thread::JoinHandle<()> {
    let words = words.clone();
    thread::spawn(move || {
        numbers::set(number);
        (0..times).for_each(|_| add(&words, 1));
    })
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    check_up_to(3, model);
}

fn check_up_to(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
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

fn cells<P: Pages>(stripe: &Stripe<P>) -> u64 {
    let mut counts = [0; pages::BLOCK];
    stripe.pages.read(0, &mut counts);
    counts.iter().sum()
}

/// What a tick does: takes the maximum and reads the cells if there is a maximum, or was one the
/// last time.
fn tick(stripe: &Stripe<Wide>, unsettled: bool, seen: u64) -> (bool, u64) {
    let changed = stripe.head.max().is_some();
    if !(changed || unsettled) {
        return (false, seen);
    }
    let (_, unsettled, seen) = take(stripe, changed);
    (unsettled, seen)
}

fn take(stripe: &Stripe<Wide>, changed: bool) -> (Option<f64>, bool, u64) {
    let max = stripe.head.take_max();
    // One may have come since the look.
    (max, changed || max.is_some(), cells(stripe))
}

#[test]
fn a_tick_that_first_finds_no_maximum_and_then_takes_one_has_the_next_one_look_again() {
    check(|| {
        let stripe = Arc::new(Stripe::<Wide>::default());
        let writer = {
            let stripe = stripe.clone();
            // The larger first: the second leaves the maximum alone.
            thread::spawn(move || {
                stripe.record_many(1, 2.0, 1);
                assert!(stripe.record(1, 1.0));
            })
        };
        // The look found none; the tick before did.
        let (max, unsettled, seen) = take(&stripe, false);
        writer.join().unwrap();
        // If there was none to take either, it is still there for the next tick. Loom does not know:
        // it lets a swap read what was there before a store and yet be the last to write.
        if max.is_some() {
            let (_, seen) = tick(&stripe, unsettled, seen);
            assert_eq!(seen, 2);
        }
    });
}

/// A histogram's stripes: small for the first thread and for all others together, wide for a thread's own.
type Stripes = PerThread<Stripe<Small>, OnceBox<Stripe<Wide>>, OnceBox<Stripe<Small>>>;

fn made<T: Default>(far: &OnceBox<T>) -> &T {
    far.get_or_init(Box::default)
}

fn record(stripes: &Stripes, value: f64) {
    match stripes.part() {
        Part::Base(stripe) => stripe.record_many(0, value, 1),
        Part::Spread(far) => made(far).record_many(0, value, 1),
        Part::Rest(far) => made(far).record_shared(0, value, 1),
    }
}

/// Count, then sum, as a scrape reads them.
fn totals(stripes: &Stripes) -> (u64, f64) {
    let count = stripes.parts().map(|part| match part {
        Part::Base(stripe) => cells(stripe),
        Part::Spread(far) => far.get().map_or(0, cells),
        Part::Rest(far) => far.get().map_or(0, cells),
    });
    let count = count.sum();
    let sum = stripes.parts().map(|part| match part {
        Part::Base(stripe) => stripe.head.sum(),
        Part::Spread(far) => far.get().map_or(0.0, |stripe| stripe.head.sum()),
        Part::Rest(far) => far.get().map_or(0.0, |stripe| stripe.head.sum()),
    });
    (count, sum.sum())
}

#[test]
fn a_histogram_that_outgrows_its_small_stripes_during_a_scrape_loses_nothing() {
    // One more takes minutes.
    check_up_to(1, || {
        let stripes = Arc::new(Stripes::new());
        let writers = [(1, 1), (2, 3)].map(|(number, times)| {
            let stripes = stripes.clone();
            thread::spawn(move || {
                numbers::set(number);
                (0..times).for_each(|_| record(&stripes, 1.0));
            })
        });
        let (count, sum) = totals(&stripes);
        assert!(count as f64 <= sum && sum <= 4.0, "{count} in cells, {sum} in the sum");
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        assert_eq!(totals(&stripes), (4, 4.0));
    });
}

#[test]
fn a_value_in_a_cell_is_in_the_sum_and_what_has_a_maximum_is_in_its_cell() {
    check(|| {
        let stripe = Arc::new(Stripe::<Small>::default());
        let writer = {
            let stripe = stripe.clone();
            thread::spawn(move || {
                stripe.record_many(0, 1.0, 1);
                stripe.record_many(1, 2.0, 1);
            })
        };
        let max = stripe.head.max().unwrap_or_default();
        let count = cells(&stripe);
        let sum = stripe.head.sum();
        assert!(max <= count as f64, "a maximum of {max}, {count} in cells");
        assert!([0.0, 1.0, 3.0][count as usize] <= sum, "{count} in cells, {sum} in the sum");
        writer.join().unwrap();
        assert_eq!((cells(&stripe), stripe.head.sum(), stripe.head.max()), (2, 3.0, Some(2.0)));
    });
}

#[test]
fn whatever_a_tick_that_runs_into_records_does_not_see_the_next_one_sees() {
    check(|| {
        let stripe = Arc::new(Stripe::<Wide>::default());
        let writer = {
            let stripe = stripe.clone();
            // The larger first: the second leaves the maximum alone.
            thread::spawn(move || {
                stripe.record_many(1, 2.0, 1);
                assert!(stripe.record(1, 1.0));
            })
        };
        let (changed, seen) = tick(&stripe, false, 0);
        writer.join().unwrap();
        let (_, seen) = tick(&stripe, changed, seen);
        assert_eq!(seen, 2);
    });
}

#[test]
fn two_threads_on_the_shared_stripe_lose_nothing() {
    check(|| {
        let stripe = Arc::new(Stripe::<Small>::default());
        let other = {
            let stripe = stripe.clone();
            thread::spawn(move || stripe.record_shared(0, 2.0, 1))
        };
        stripe.record_shared(0, 1.0, 1);
        other.join().unwrap();
        assert_eq!((cells(&stripe), stripe.head.sum(), stripe.head.max()), (2, 3.0, Some(2.0)));
    });
}
