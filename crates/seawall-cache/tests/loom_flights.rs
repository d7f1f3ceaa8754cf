//! The table of fences and flights under every interleaving, by loom.
//!
//! ```text
//! RUSTFLAGS="--cfg seawall_loom" CARGO_TARGET_DIR=target/loom \
//!     cargo test -p seawall-cache --test loom_flights --release
//! ```
//! The table is the very file that the cache is built from, over loom's locks. Around it stands
//! the least that makes a protocol: an origin, an L2 with versions that tells of changes, readers
//! and writers. Each test names the race; loom finds its schedules.
#![cfg(seawall_loom)]
#![allow(dead_code, reason = "the table has more than is modelled here")]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "../src/local/table.rs"]
mod table;

/// What `crate::sync` is to the table, made of loom.
mod sync {
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

use std::hash::{BuildHasherDefault, DefaultHasher};

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use self::table::{Changed, Hold, Item, Joined, Kept, Landing, Shelf, Table};

const KEY: u8 = 1;

/// An entry: the value is its version. As in the cache, a clone shares nothing with it.
struct Entry {
    version: u64,
    value: u64,
    echo: AtomicBool,
}

impl Entry {
    fn new(version: u64, value: u64) -> Self {
        Self { version, value, echo: AtomicBool::new(false) }
    }
}

impl Clone for Entry {
    fn clone(&self) -> Self {
        let echo = AtomicBool::new(self.echo.load(Ordering::Relaxed));
        Self { version: self.version, value: self.value, echo }
    }
}

impl Item for Entry {
    fn version(&self) -> u64 {
        self.version
    }

    fn source(&self) -> u64 {
        0
    }

    fn await_echo(&self) {
        self.echo.store(true, Ordering::Relaxed);
    }

    fn take_echo(&self) -> bool {
        self.echo.swap(false, Ordering::Relaxed)
    }

    fn is(&self, other: &Self) -> bool {
        self.version == other.version && self.value == other.value
    }
}

/// An engine with room for one key.
#[derive(Default)]
struct One(Mutex<Option<Entry>>);

impl Shelf<u8> for One {
    type Item = Entry;

    fn peek<T>(&self, _: &u8, look: impl FnOnce(&Entry) -> T) -> Option<T> {
        self.0.lock().unwrap().as_ref().map(look)
    }

    fn peek_any<T>(&self, key: &u8, look: impl FnOnce(&Entry) -> T) -> Option<T> {
        self.peek(key, look)
    }

    fn insert(&self, _: u8, item: Entry) {
        *self.0.lock().unwrap() = Some(item);
    }

    fn remove(&self, _: &u8) {
        *self.0.lock().unwrap() = None;
    }
}

/// The answer of a load: `None` while it runs.
#[derive(Clone, Default)]
struct Flight(Arc<(Mutex<Option<Result<u64, ()>>>, Condvar)>);

impl Flight {
    fn end(&self, answer: Result<u64, ()>) {
        *self.0.0.lock().unwrap() = Some(answer);
        self.0.1.notify_all();
    }

    fn wait(&self) -> Result<u64, ()> {
        let mut answer = self.0.0.lock().unwrap();
        loop {
            match *answer {
                Some(answer) => return answer,
                None => answer = self.0.1.wait(answer).unwrap(),
            }
        }
    }
}

#[derive(Clone, Default)]
struct Nobody;

impl Landing for Nobody {
    fn wake(&self) {}
}

type Hasher = BuildHasherDefault<DefaultHasher>;

/// One node: its table, and what it reads from.
struct Node {
    table: Table<u8, One, Flight, Nobody, Hasher>,
    loads: AtomicUsize,
    checks: AtomicUsize,
}

impl Node {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            table: Table::new(One::default(), 1, Hasher::default()),
            loads: AtomicUsize::new(0),
            checks: AtomicUsize::new(0),
        })
    }

    fn look(&self) -> Option<u64> {
        self.table.shelf().peek(&KEY, |entry| entry.value)
    }

    /// `get_or_load`, as the cache does it. `load` brings a version and a value.
    fn get_or_load(&self, load: impl FnOnce(&mut Hold) -> (u64, u64)) -> Result<u64, ()> {
        if let Some(value) = self.look() {
            return Ok(value);
        }
        let flight = Flight::default();
        match self.table.join(&KEY, || self.look(), || flight.clone()) {
            Joined::Hit(value) => Ok(value),
            Joined::Wait(flight) => flight.wait(),
            Joined::Lead(mut hold) => {
                self.loads.fetch_add(1, Ordering::Relaxed);
                let (version, value) = load(&mut hold);
                self.checked(self.table.fill(&KEY, &hold, Entry::new(version, value)));
                self.table.release(&KEY, &hold);
                flight.end(Ok(value));
                Ok(value)
            }
        }
    }

    fn changed(&self, version: Option<u64>) {
        if let Changed::Check(_) = self.table.changed(&KEY, version) {
            self.checks.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn checked(&self, kept: Kept) {
        if kept == Kept::Check {
            self.checks.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn remove(&self) {
        let hold = self.table.hold(&KEY);
        self.table.remove(&KEY);
        self.table.release(&KEY, &hold);
    }
}

/// An L2 with one key. Several writes may be told of in one message.
#[derive(Default)]
struct L2(Mutex<Store>);

#[derive(Default)]
struct Store {
    version: u64,
    tombstone: Option<u64>,
    untold: bool,
}

impl L2 {
    fn write(&self) -> u64 {
        let mut store = self.0.lock().unwrap();
        store.version += 1;
        store.untold = true;
        store.version
    }

    /// Stores only over `seen`.
    fn fill(&self, seen: u64) -> Option<u64> {
        let mut store = self.0.lock().unwrap();
        (store.version == seen).then(|| {
            store.version += 1;
            store.untold = true;
            store.version
        })
    }

    fn version(&self) -> u64 {
        self.0.lock().unwrap().version
    }

    fn remove(&self) -> u64 {
        let mut store = self.0.lock().unwrap();
        store.version += 1;
        store.tombstone = Some(store.version);
        store.version
    }

    /// The version of what is there, if it is no tombstone.
    fn read(&self) -> Option<u64> {
        let store = self.0.lock().unwrap();
        Some(store.version).filter(|version| store.tombstone != Some(*version))
    }

    /// Delivers what is to be told, if anything is.
    fn tell(&self, node: &Node) {
        let untold = std::mem::take(&mut self.0.lock().unwrap().untold);
        if untold {
            node.changed(None);
        }
    }
}

/// All schedules with at most three preemptions, or as many as `LOOM_MAX_PREEMPTIONS` says; loom's
/// authors found two or three to show nearly all bugs. Without a bound one race takes hours.
fn model(race: impl Fn() + Sync + Send + 'static) {
    let mut schedules = loom::model::Builder::new();
    schedules.preemption_bound = schedules.preemption_bound.or(Some(3));
    schedules.check(race);
}

#[test]
fn two_callers_that_miss_at_once_load_once() {
    model(|| {
        let node = Node::new();
        let other = {
            let node = Arc::clone(&node);
            thread::spawn(move || node.get_or_load(|_| (0, 7)))
        };
        assert_eq!(node.get_or_load(|_| (0, 7)), Ok(7));
        assert_eq!(other.join().unwrap(), Ok(7));
        assert_eq!(node.loads.load(Ordering::Relaxed), 1);
        assert_eq!(node.table.held(), 0);
    });
}

#[test]
fn after_a_removal_nobody_gets_what_two_loads_from_before_it_bring() {
    model(|| {
        let node = Node::new();
        let origin = Arc::new(AtomicUsize::new(1));
        let callers = [(); 2].map(|()| {
            let (node, origin) = (Arc::clone(&node), Arc::clone(&origin));
            thread::spawn(move || {
                node.get_or_load(|_| (0, origin.load(Ordering::SeqCst) as u64)).unwrap()
            })
        });
        origin.store(2, Ordering::SeqCst);
        node.remove();
        assert_ne!(node.look(), Some(1));
        let read = node.get_or_load(|_| (0, origin.load(Ordering::SeqCst) as u64));
        assert_eq!(read, Ok(2), "who comes after the removal joins no load from before");
        for caller in callers {
            caller.join().unwrap();
        }
        assert_eq!(node.look(), Some(2));
        assert_eq!(node.table.held(), 0);
    });
}

#[test]
fn a_leader_that_ends_without_an_answer_leaves_nobody_waiting_and_no_flight_behind() {
    model(|| {
        let node = Node::new();
        let cancelled = {
            let node = Arc::clone(&node);
            thread::spawn(move || {
                let flight = Flight::default();
                match node.table.join(&KEY, || node.look(), || flight.clone()) {
                    Joined::Lead(hold) => {
                        node.table.release(&KEY, &hold);
                        flight.end(Err(()));
                    }
                    Joined::Wait(flight) => assert_eq!(flight.wait(), Ok(7)),
                    Joined::Hit(value) => assert_eq!(value, 7),
                }
            })
        };
        let callers = [0, 1].map(|_| {
            let node = Arc::clone(&node);
            thread::spawn(move || node.get_or_load(|_| (0, 7)))
        });
        let answers = callers.map(|caller| caller.join().unwrap());
        cancelled.join().unwrap();
        for answer in answers {
            assert!(matches!(answer, Ok(7) | Err(())));
        }
        assert_eq!(node.get_or_load(|_| (0, 7)), Ok(7), "the next one works");
        assert!(node.loads.load(Ordering::Relaxed) <= 2);
        assert_eq!(node.table.held(), 0);
    });
}

#[test]
fn after_a_change_was_told_no_fill_from_before_it_is_in() {
    for told in [false, true] {
        model(move || {
            let (node, l2) = (Node::new(), Arc::new(L2::default()));
            l2.write();
            let reader = {
                let (node, l2) = (Arc::clone(&node), Arc::clone(&l2));
                thread::spawn(move || {
                    let hold = node.table.hold(&KEY);
                    let version = l2.version();
                    let _ = node.table.fill(&KEY, &hold, Entry::new(version, version));
                    node.table.release(&KEY, &hold);
                })
            };
            let version = l2.write();
            node.changed(told.then_some(version));
            let seen = node.look();
            assert!(seen.is_none_or(|seen| seen >= version), "{seen:?} after {version} was told");
            reader.join().unwrap();
            assert!(node.look().is_none_or(|seen| seen >= version));
            assert_eq!(node.table.held(), 0);
        });
    }
}

#[test]
fn who_comes_after_a_change_was_told_joins_no_load_from_before_it() {
    for told in [false, true] {
        model(move || {
            let (node, l2) = (Node::new(), Arc::new(L2::default()));
            l2.write();
            let caller = {
                let (node, l2) = (Arc::clone(&node), Arc::clone(&l2));
                thread::spawn(move || {
                    node.get_or_load(|_| {
                        let version = l2.version();
                        (version, version)
                    })
                })
            };
            let version = l2.write();
            node.changed(told.then_some(version));
            let read = node.get_or_load(|_| {
                let version = l2.version();
                (version, version)
            });
            assert_eq!(read, Ok(version));
            caller.join().unwrap().unwrap();
            assert_eq!(node.table.held(), 0);
        });
    }
}

#[test]
fn an_echo_that_stands_for_anothers_write_too_never_leaves_ours_unchecked() {
    model(|| {
        let (node, l2) = (Node::new(), Arc::new(L2::default()));
        let other = {
            let (node, l2) = (Arc::clone(&node), Arc::clone(&l2));
            thread::spawn(move || {
                l2.write();
                l2.tell(&node);
            })
        };
        let mut hold = node.table.hold(&KEY);
        node.table.send(&KEY, &mut hold);
        let version = l2.write();
        node.checked(node.table.end_write(&KEY, &hold, Entry::new(version, version), true));
        node.table.release(&KEY, &hold);
        l2.tell(&node);
        other.join().unwrap();
        l2.tell(&node);
        let newest = l2.version();
        assert!(
            node.look().is_none_or(|seen| seen == newest)
                || node.checks.load(Ordering::Relaxed) > 0,
            "{:?} is served, {newest} was told, nobody checks",
            node.look()
        );
        assert_eq!(node.table.held(), 0);
    });
}

#[test]
fn an_echo_that_comes_between_a_fill_and_its_insertion_is_not_lost() {
    model(|| {
        let (node, l2) = (Node::new(), Arc::new(L2::default()));
        let other = {
            let (node, l2) = (Arc::clone(&node), Arc::clone(&l2));
            thread::spawn(move || {
                l2.tell(&node);
                l2.write();
                l2.tell(&node);
            })
        };
        let mut hold = node.table.hold(&KEY);
        let seen = l2.version();
        node.table.send(&KEY, &mut hold);
        if let Some(version) = l2.fill(seen) {
            node.checked(node.table.fill(&KEY, &hold, Entry::new(version, version)));
        }
        node.table.release(&KEY, &hold);
        other.join().unwrap();
        l2.tell(&node);
        let newest = l2.version();
        assert!(
            node.look().is_none_or(|seen| seen == newest)
                || node.checks.load(Ordering::Relaxed) > 0
        );
        assert_eq!(node.table.held(), 0);
    });
}

#[test]
fn a_set_a_removal_and_a_load_leave_what_l2_has_or_nothing() {
    model(|| {
        let (node, l2) = (Node::new(), Arc::new(L2::default()));
        l2.write();
        let set = {
            let (node, l2) = (Arc::clone(&node), Arc::clone(&l2));
            thread::spawn(move || {
                let hold = node.table.hold(&KEY);
                let version = l2.write();
                let _ = node.table.end_write(&KEY, &hold, Entry::new(version, version), true);
                node.table.release(&KEY, &hold);
            })
        };
        let load = {
            let (node, l2) = (Arc::clone(&node), Arc::clone(&l2));
            thread::spawn(move || {
                let hold = node.table.hold(&KEY);
                if let Some(version) = l2.read() {
                    let _ = node.table.fill(&KEY, &hold, Entry::new(version, version));
                }
                node.table.release(&KEY, &hold);
            })
        };
        // As the cache removes: here, in L2, here again.
        let hold = node.table.hold(&KEY);
        node.table.remove(&KEY);
        let tombstone = l2.remove();
        node.table.remove(&KEY);
        node.table.release(&KEY, &hold);
        assert!(node.look().is_none_or(|seen| seen > tombstone), "removed");
        set.join().unwrap();
        load.join().unwrap();
        let newest = l2.version();
        assert!(node.look().is_none_or(|seen| seen == newest));
        assert_eq!(node.table.held(), 0);
    });
}
