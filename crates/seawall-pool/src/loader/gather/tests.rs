use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use proptest::prelude::*;

use super::{Batch, Bounds, Ear, Gather};
use crate::{Lsn, Token};

fn at(lsn: u64) -> Token {
    Token { system: 1, timeline: 1, lsn: Lsn(lsn) }
}

/// An ear with a number, that may be gone.
#[derive(Debug, Clone)]
struct Numbered(u32, Rc<Cell<bool>>);

impl Ear for Numbered {
    fn is_gone(&self) -> bool {
        self.1.get()
    }
}

fn ear(number: u32) -> Numbered {
    Numbered(number, Rc::default())
}

const BOUNDS: Bounds = Bounds { batch: 3, waiting: 100, prompt: 1, queries: 2 };

fn numbers(batch: &Batch<u8, Numbered>) -> Vec<u32> {
    let ears = batch.keys.values().flat_map(|ears| std::iter::once(&ears.first).chain(&ears.more));
    let mut numbers: Vec<u32> = ears.map(|ear| ear.0).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_key_that_waits_is_asked_once_and_one_that_was_sent_again() {
    let mut gather = Gather::new(BOUNDS);
    gather.join(7, None, ear(0));
    gather.join(7, None, ear(1));
    assert!(gather.begin());
    let sent = gather.next().unwrap();
    assert_eq!((sent.keys.len(), numbers(&sent)), (1, vec![0, 1]));
    gather.join(7, None, ear(2));
    assert!(!gather.begin(), "one is under way");
    assert_eq!(numbers(&gather.next().unwrap()), [2]);
    assert!(gather.next().is_none());
}

#[test]
fn a_known_key_joins_a_full_batch_and_an_unknown_one_the_next() {
    let mut gather = Gather::new(BOUNDS);
    (0..3).for_each(|key| gather.join(key, None, ear(key.into())));
    gather.join(3, None, ear(3));
    gather.join(1, None, ear(4));
    assert!(gather.begin());
    assert_eq!(numbers(&gather.next().unwrap()), [0, 1, 2, 4]);
    assert_eq!(numbers(&gather.next().unwrap()), [3]);
}

#[test]
fn a_position_is_never_served_from_a_batch_that_asks_for_less() {
    let mut gather = Gather::new(BOUNDS);
    gather.join(1, None, ear(0));
    gather.join(1, Some(at(5)), ear(1));
    gather.join(1, Some(at(9)), ear(2));
    gather.join(1, Some(at(7)), ear(3));
    assert!(gather.begin());
    let plain = gather.next().unwrap();
    assert_eq!((plain.after, numbers(&plain)), (None, vec![0]));
    let placed = gather.next().unwrap();
    assert_eq!((placed.after, numbers(&placed)), (Some(at(9)), vec![1, 2, 3]));
}

#[test]
fn positions_of_two_clusters_or_timelines_do_not_share_a_batch() {
    let mut gather = Gather::new(BOUNDS);
    for (number, (system, timeline)) in [(1, 1), (2, 1), (1, 2), (1, 1)].into_iter().enumerate() {
        gather.join(1, Some(Token { system, timeline, lsn: Lsn(5) }), ear(number as u32));
    }
    assert!(gather.begin());
    assert_eq!(numbers(&gather.next().unwrap()), [0, 3]);
    assert_eq!(numbers(&gather.next().unwrap()), [1]);
    assert_eq!(numbers(&gather.next().unwrap()), [2]);
}

#[test]
fn those_who_left_are_not_asked_for_and_make_room() {
    let mut gather = Gather::new(BOUNDS);
    let (gone, also_gone, stays) = (ear(0), ear(1), ear(2));
    gather.join(1, None, gone.clone());
    gather.join(2, None, also_gone.clone());
    gather.join(2, None, stays);
    gone.1.set(true);
    also_gone.1.set(true);
    gather.purge();
    assert_eq!(gather.room(), 99);
    assert!(gather.begin());
    let batch = gather.next().unwrap();
    assert_eq!((batch.keys.len(), numbers(&batch)), (1, vec![2]));
    assert_eq!(gather.room(), 100);
}

#[test]
fn a_slow_query_lets_the_next_go_up_to_the_bound() {
    let mut gather = Gather::new(BOUNDS);
    gather.join(1, None, ear(1));
    assert!(gather.begin());
    gather.next().unwrap();
    gather.join(2, None, ear(2));
    assert!(!gather.begin());
    gather.slowed();
    assert!(gather.begin(), "the first is slow");
    gather.next().unwrap();
    gather.slowed();
    gather.join(3, None, ear(3));
    assert!(!gather.begin(), "two are under way");
    gather.slow_ended();
    assert!(gather.begin());
}

#[test]
fn the_last_query_that_comes_to_nothing_leaves_nobody_waiting() {
    let mut gather = Gather::new(Bounds { prompt: 2, ..BOUNDS });
    gather.join(1, None, ear(1));
    assert!(gather.begin());
    gather.next().unwrap();
    gather.join(2, None, ear(2));
    assert!(gather.begin());
    assert!(gather.failed(false).is_empty(), "the other will send it");
    let left = gather.failed(false);
    assert_eq!(left.iter().map(numbers).collect::<Vec<_>>(), [[2]]);
    assert_eq!(gather.room(), 100);
    gather.join(3, None, ear(3));
    assert!(gather.begin(), "and it goes on");
}

#[test]
fn halves_hold_every_key_once_and_its_ears() {
    let mut gather = Gather::new(Bounds { batch: 100, ..BOUNDS });
    (0..31).for_each(|n| gather.join(n % 17, Some(at(n.into())), ear(n.into())));
    assert!(gather.begin());
    let [one, other] = gather.next().unwrap().halve();
    assert_eq!((one.keys.len(), other.keys.len()), (8, 9));
    assert!(one.keys.keys().all(|key| !other.keys.contains_key(key)));
    assert_eq!((one.after, other.after), (Some(at(30)), Some(at(30))));
    let mut all = [numbers(&one), numbers(&other)].concat();
    all.sort_unstable();
    assert_eq!(all, (0..31).collect::<Vec<_>>());
}

#[test]
fn a_query_that_is_coming_takes_those_who_ask_meanwhile_along() {
    let mut gather = Gather::new(Bounds { prompt: 2, ..BOUNDS });
    gather.join(1, None, ear(1));
    assert!(gather.begin());
    (2..4).for_each(|key| gather.join(key, None, ear(key.into())));
    assert!(!gather.begin(), "they go with the first");
    gather.join(4, None, ear(4));
    assert!(gather.begin(), "a second batch");
    assert_eq!(numbers(&gather.next().unwrap()), [1, 2, 3]);
    // The first takes the second batch too, and the second query finds nothing.
    assert_eq!(numbers(&gather.next().unwrap()), [4]);
    assert!(gather.next().is_none());
    gather.join(5, None, ear(5));
    assert!(gather.begin(), "nobody else is coming");
}

/// A step of a random life.
#[derive(Debug, Clone, Copy)]
enum Step {
    Join {
        key: u8,
        after: Option<u8>,
    },
    Leave(prop::sample::Index),
    /// Of a query that takes its first batch, or of one that had some.
    Next {
        first: bool,
    },
    Slow,
    SlowEnds,
    Purge,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..12_u8, prop::option::weighted(0.3, 0..9_u8))
            .prop_map(|(key, after)| Step::Join { key, after }),
        1 => any::<prop::sample::Index>().prop_map(Step::Leave),
        3 => any::<bool>().prop_map(|first| Step::Next { first }),
        1 => Just(Step::Slow),
        1 => Just(Step::SlowEnds),
        1 => Just(Step::Purge),
    ]
}

proptest! {
    #[test]
    fn everyone_who_stays_is_sent_once_within_all_bounds(
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let bounds = Bounds { batch: 4, waiting: 20, prompt: 2, queries: 3 };
        let mut gather = Gather::new(bounds);
        let mut asked: Vec<(Numbered, u8, Option<Token>)> = Vec::new();
        let mut sent = HashSet::new();
        let (mut coming, mut running, mut slow) = (0, 0, 0);
        let check = |batch: &Batch<u8, Numbered>, sent: &mut HashSet<u32>, asked: &Vec<(Numbered, u8, Option<Token>)>| {
            assert!((1..=4).contains(&batch.keys.len()));
            for (key, ears) in &batch.keys {
                for ear in std::iter::once(&ears.first).chain(&ears.more) {
                    let (_, wanted, after) = &asked[ear.0 as usize];
                    assert_eq!(key, wanted);
                    assert!(super::are_alike(batch.after, *after));
                    assert!(batch.after.map(|it| it.lsn) >= after.map(|it| it.lsn));
                    assert!(!ear.is_gone());
                    assert!(sent.insert(ear.0), "sent twice");
                }
            }
        };
        for step in steps {
            match step {
                Step::Join { key, after } if gather.room() > 0 => {
                    // Of two clusters.
                    let after = after.map(|lsn| Token { system: u64::from(lsn % 2), ..at(lsn.into()) });
                    let ear = ear(u32::try_from(asked.len()).unwrap());
                    asked.push((ear.clone(), key, after));
                    gather.join(key, after, ear);
                }
                Step::Leave(index) if !asked.is_empty() => index.get(&asked).0.1.set(true),
                Step::Next { first } if running + coming > 0 => {
                    if coming > 0 && (first || running == 0) {
                        (coming, running) = (coming - 1, running + 1);
                    }
                    match gather.next() {
                        Some(batch) => check(&batch, &mut sent, &asked),
                        None => running -= 1,
                    }
                }
                // Only one that has a batch can be slow.
                Step::Slow if running > 0 => {
                    gather.slowed();
                    (running, slow) = (running - 1, slow + 1);
                }
                Step::SlowEnds if slow > 0 => {
                    gather.slow_ended();
                    slow -= 1;
                }
                Step::Purge => gather.purge(),
                _ => {}
            }
            coming += usize::from(gather.begin());
            prop_assert!(coming + running <= 2 && coming + running + slow <= 3);
            prop_assert!(gather.waiting() <= 20);
        }
        for _ in 0..slow {
            gather.slow_ended();
        }
        let mut prompt = coming + running + usize::from(gather.begin());
        while prompt > 0 {
            match gather.next() {
                Some(batch) => check(&batch, &mut sent, &asked),
                None => prompt -= 1,
            }
        }
        prop_assert_eq!(gather.waiting(), 0);
        let stayed = asked.iter().filter(|(ear, ..)| !ear.is_gone());
        let lost: HashMap<_, _> = stayed
            .filter(|(ear, ..)| !sent.contains(&ear.0))
            .map(|(ear, key, _)| (ear.0, key))
            .collect();
        prop_assert!(lost.is_empty(), "{:?}", lost);
    }
}
