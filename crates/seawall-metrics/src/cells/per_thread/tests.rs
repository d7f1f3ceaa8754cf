use std::sync::atomic::AtomicU64;
use std::thread;

use super::*;

type Words = PerThread<AtomicU64, AtomicU64>;

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

#[test]
fn what_one_thread_writes_stays_in_one_word() {
    let words = Words::new();
    (0..1000).for_each(|_| add(&words, 1));
    assert_eq!(words.base.load(Relaxed), 1000);
    assert!(words.spread.get().is_none());
}

#[test]
fn a_series_touched_now_and_then_by_others_stays_small() {
    let words = Words::new();
    add(&words, 1);
    for _ in 0..PATIENCE {
        thread::scope(|scope| {
            scope.spawn(|| add(&words, 1));
        });
    }
    assert!(words.spread.get().is_none());
    assert_eq!(total(&words), u64::from(PATIENCE) + 1);
}

#[test]
fn a_number_that_passes_from_thread_to_thread_goes_on_where_the_last_one_ended() {
    let words = Words::new();
    for _ in 0..2_000 {
        thread::scope(|scope| {
            scope.spawn(|| add(&words, 1));
            scope.spawn(|| add(&words, 1));
        });
    }
    assert_eq!(total(&words), 4_000);
}

#[test]
fn records_while_thread_locals_are_destroyed_count() {
    struct Late(&'static Words);
    impl Drop for Late {
        fn drop(&mut self) {
            add(self.0, 1);
        }
    }
    thread_local! {
        static LATE: std::cell::RefCell<Option<Late>> = const { std::cell::RefCell::new(None) };
    }
    let words: &'static Words = Box::leak(Box::new(Words::new()));
    for early in [true, false] {
        thread::spawn(move || {
            // Destroyed in the reverse order of their first use, or in no order at all.
            if early {
                add(words, 1);
            }
            LATE.set(Some(Late(words)));
            if !early {
                add(words, 1);
            }
        })
        .join()
        .unwrap();
    }
    assert_eq!(total(words), 4);
}

#[test]
fn an_addition_from_inside_the_making_of_storage_is_neither_lost_nor_stuck() {
    /// Adds to the storage it is to become part of, as an allocator that
    /// counts allocations would.
    struct Nosy(AtomicU64);
    thread_local! {
        static INSIDE: std::cell::Cell<Option<&'static PerThread<Nosy, Nosy>>> =
            const { std::cell::Cell::new(None) };
    }
    impl Nosy {
        fn load(&self) -> u64 {
            self.0.load(Relaxed)
        }
    }
    impl Default for Nosy {
        fn default() -> Self {
            if let Some(storage) = INSIDE.get() {
                add_to(storage);
            }
            Self(AtomicU64::new(0))
        }
    }
    fn add_to(storage: &PerThread<Nosy, Nosy>) {
        match storage.part() {
            Part::Base(Nosy(word)) | Part::Spread(Nosy(word)) | Part::Rest(Nosy(word)) => {
                word.fetch_add(1, Relaxed);
            }
        }
    }
    let storage: &'static PerThread<Nosy, Nosy> = Box::leak(Box::new(PerThread::new()));
    add_to(storage);
    let spreads = move || {
        INSIDE.set(Some(storage));
        (0..=PATIENCE).for_each(|_| add_to(storage));
    };
    thread::spawn(spreads).join().unwrap();
    assert!(storage.spread.get().is_some());
    let word = |part| match part {
        Part::Base(nosy) | Part::Spread(nosy) | Part::Rest(nosy) => Nosy::load(nosy),
    };
    let total: u64 = storage.parts().map(word).sum();
    assert_eq!(total, 1 + u64::from(PATIENCE) + 1 + FIRST as u64);
}
