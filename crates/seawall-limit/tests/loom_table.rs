//! The table of keys under every interleaving, by loom.
//!
//! ```text
//! RUSTFLAGS="--cfg seawall_loom" CARGO_TARGET_DIR=target/loom \
//!     cargo test -p seawall-limit --test loom_table --release
//! ```
//! These are the very files that the limiter's table is made of, over loom's lock, which also
//! finds every way to lock each other up.
#![cfg(seawall_loom)]
#![allow(dead_code, reason = "the table has more than is modelled here")]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "../src/table/mod.rs"]
mod table;

/// What `crate::lock` is to the table, made of loom.
mod lock {
    pub(crate) use loom::sync::MutexGuard;

    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }
}

use loom::sync::Arc;
use loom::thread;

use self::table::{KeyHash, Layout, Table, update_all};

/// Units that a key may have in use; a state is `now + units in use`.
const BURST: u64 = 3;

/// With at least two shards.
fn table() -> Arc<Table> {
    let layout = Layout { ceilings: [BURST].into(), counts: 0, inherit: Box::new(|_, _| {}) };
    Arc::new(Table::new(512, layout))
}

fn key(number: u64) -> KeyHash {
    KeyHash::new(number.wrapping_mul(0x2545_f491_4f6c_dd1d).rotate_left(29) ^ number << 40)
}

/// One unit of one key, if there is one.
fn charge(table: &Table, number: u64, now: u64) -> bool {
    table.update(key(number), now, |words, _, now| admit(&mut words[0], now))
}

fn admit(word: &mut u64, now: u64) -> bool {
    let next = (*word).max(now) + 1;
    let admits = next <= now + BURST;
    if admits {
        *word = next;
    }
    admits
}

/// One unit of each of two keys, or none.
fn both(table: &Table, one: u64, other: u64) -> bool {
    update_all([(table, key(one)), (table, key(other))], [1; 2], |copies, copy_of| {
        let before = *copies;
        let admits = copy_of.iter().all(|index| admit(&mut copies[*index].words_mut()[0], 1));
        if !admits {
            *copies = before;
        }
        admits
    })
}

fn used(table: &Table, number: u64) -> u64 {
    table.peek(key(number), 1, |words, _, _| words[0].saturating_sub(1))
}

#[test]
fn threads_on_one_key_charge_no_more_than_there_is() {
    loom::model(|| {
        let table = table();
        assert!(charge(&table, 1, 1));
        let others = [(); 2].map(|()| {
            let table = Arc::clone(&table);
            thread::spawn(move || u64::from(charge(&table, 1, 1)) + u64::from(charge(&table, 1, 1)))
        });
        let admitted: u64 = others.map(|other| other.join().unwrap()).iter().sum();
        assert_eq!(admitted, BURST - 1);
        assert_eq!(used(&table, 1), BURST);
    });
}

#[test]
fn a_slot_that_is_taken_over_while_its_old_key_comes_back_loses_neither() {
    loom::model(|| {
        let table = table();
        // Its time has passed at 10.
        assert!(charge(&table, 1, 1));
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || (charge(&table, 1, 10), charge(&table, 1, 10)))
        };
        assert!(charge(&table, 2, 10) && charge(&table, 3, 10));
        assert_eq!(other.join().unwrap(), (true, true));
        for (number, until) in [(1, 12), (2, 11), (3, 11)] {
            assert_eq!(table.peek(key(number), 10, |words, _, _| words[0]), until);
        }
    });
}

#[test]
fn joint_decisions_in_opposite_orders_neither_deadlock_nor_lose_a_charge() {
    let shard = |number| key(number).place >> 32 & 1;
    assert_ne!(shard(1), shard(2), "one lock would show nothing");
    loom::model(|| {
        let table = table();
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || u64::from(both(&table, 2, 1)) + u64::from(both(&table, 2, 1)))
        };
        let mine = u64::from(both(&table, 1, 2)) + u64::from(both(&table, 1, 2));
        assert_eq!(mine + other.join().unwrap(), BURST);
        assert_eq!((used(&table, 1), used(&table, 2)), (BURST, BURST));
    });
}

#[test]
fn a_joint_decision_and_single_ones_charge_all_or_none() {
    loom::model(|| {
        let table = table();
        assert!(charge(&table, 1, 1) && charge(&table, 1, 1));
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || charge(&table, 1, 1))
        };
        let joint = both(&table, 2, 1);
        let single = other.join().unwrap();
        assert!(joint != single, "one unit was left");
        assert_eq!((used(&table, 1), used(&table, 2)), (BURST, u64::from(joint)));
    });
}
