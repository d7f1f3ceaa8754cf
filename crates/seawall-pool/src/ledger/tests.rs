use std::collections::VecDeque;
use std::panic::Location;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::{Class, Held, Ledger, Limits, Reason, Take};
use crate::alarm::Alarm;

const SECOND: Duration = Duration::from_secs(1);

/// When nobody waits any more.
fn far() -> Instant {
    Instant::now() + 1_000 * SECOND
}

fn limits(max: usize) -> Limits {
    Limits {
        max,
        min: 0,
        analytics: max,
        waiting: 100,
        connecting: 3,
        uses: u64::MAX,
        idle: 300 * SECOND,
        lifetime: 1_800 * SECOND,
        jitter: 0.0,
        stale: SECOND,
        leak: 60 * SECOND,
    }
}

type Books = Ledger<u64, u64>;

fn books(limits: Limits) -> (Books, Instant) {
    let now = Instant::now();
    (Ledger::new(limits, now), now)
}

/// Opens `count` connections, numbered from zero.
fn open(books: &mut Books, count: u64, now: Instant) {
    for number in 0..count {
        books.connecting += 1;
        assert!(books.connected(number, 0, now).is_none());
    }
}

fn take(books: &mut Books) -> Held<u64> {
    match books.take(Class::Interactive, None) {
        Take::Ready(held) => held,
        Take::Wait | Take::Full | Take::Closed => panic!("none is idle"),
    }
}

fn queue(books: &mut Books, waiters: std::ops::Range<u64>) {
    for waiter in waiters {
        books.wait(Class::Interactive, None, waiter, far());
    }
}

#[test]
fn the_one_used_last_goes_out_first() {
    let (mut books, now) = books(limits(4));
    open(&mut books, 3, now);
    let (a, b) = (take(&mut books), take(&mut books));
    let last = a.connection;
    assert!(books.give_back(b).is_none() && books.give_back(a).is_none());
    assert_eq!(take(&mut books).connection, last);
}

#[test]
fn a_newcomer_does_not_overtake_those_who_wait() {
    let (mut books, now) = books(limits(1));
    open(&mut books, 1, now);
    let held = take(&mut books);
    books.wait(Class::Interactive, None, 7, far());
    assert!(books.give_back(held).is_none());
    assert!(matches!(books.take(Class::Interactive, None), Take::Wait));
    assert_eq!(books.next_grant().map(|(waiter, _)| waiter), Some(7));
}

#[test]
fn whoever_has_the_least_time_is_looked_for_in_time_and_only_those_who_have_none_leave() {
    let (mut books, now) = books(limits(1));
    let at = |seconds: u32| now + seconds * SECOND;
    let wait = |books: &mut Books, waiter, seconds| {
        books.wait(Class::Interactive, None, waiter, at(seconds)).1
    };
    assert_eq!(wait(&mut books, 0, 30), Alarm::Off);
    assert_eq!(wait(&mut books, 1, 31), Alarm::Set);
    assert_eq!(wait(&mut books, 2, 5), Alarm::Earlier);
    assert_eq!(books.wait(Class::Analytics, None, 3, at(4)).1, Alarm::Earlier);
    assert_eq!(books.expire(at(3)), (vec![], Some(at(4))));
    assert_eq!(books.expire(at(5)), (vec![2, 3], Some(at(30))), "whatever line they stand in");
    assert_eq!(wait(&mut books, 4, 32), Alarm::Set);
    open(&mut books, 1, now);
    assert_eq!(books.next_grant().map(|(waiter, _)| waiter), Some(0), "the others in their order");
    assert_eq!(books.expire(at(31)), (vec![1], Some(at(32))));
    assert_eq!(books.expire(at(33)), (vec![4], None));
    assert_eq!(wait(&mut books, 5, 40), Alarm::Off, "nobody looks any more");
    assert_eq!(books.unwatched(), [5]);
    assert_eq!(books.unwatched(), [0u64; 0]);
}

#[test]
fn a_full_line_refuses_and_a_place_that_is_left_is_free_again() {
    let (mut books, _) = books(Limits { waiting: 2, ..limits(1) });
    let (first, _) = books.wait(Class::Interactive, None, 0, far());
    books.wait(Class::Interactive, None, 1, far());
    assert!(matches!(books.take(Class::Interactive, None), Take::Full));
    assert!(matches!(books.take(Class::Analytics, None), Take::Wait), "a line of its own");
    books.forget(Class::Interactive, first);
    assert!(matches!(books.take(Class::Interactive, None), Take::Wait));
}

#[test]
fn analytics_gets_no_more_than_its_share_and_is_not_forgotten() {
    let (mut books, now) = books(Limits { analytics: 1, ..limits(2) });
    open(&mut books, 2, now);
    let Take::Ready(heavy) = books.take(Class::Analytics, None) else { panic!("there are two") };
    assert!(matches!(books.take(Class::Analytics, None), Take::Wait));
    books.wait(Class::Analytics, None, 9, far());
    assert!(books.next_grant().is_none(), "one is idle, for others");
    let light = take(&mut books);
    books.wait(Class::Interactive, None, 5, far());
    assert!(books.give_back(light).is_none());
    assert_eq!(books.next_grant().map(|(waiter, _)| waiter), Some(5), "not the first in line");
    assert!(books.give_back(heavy).is_none());
    assert_eq!(books.next_grant().map(|(waiter, _)| waiter), Some(9));
}

#[test]
fn the_share_of_analytics_comes_free_when_its_connection_dies() {
    let (mut books, now) = books(Limits { analytics: 1, ..limits(2) });
    open(&mut books, 2, now);
    let Take::Ready(heavy) = books.take(Class::Analytics, None) else { panic!("there are two") };
    books.wait(Class::Analytics, None, 9, far());
    assert!(books.next_grant().is_none());
    books.remove(heavy);
    assert_eq!(books.next_grant().map(|(waiter, _)| waiter), Some(9), "the idle one");
}

#[test]
fn no_more_are_opened_at_once_than_may_be_nor_than_are_wanted() {
    let (mut books, _) = books(limits(10));
    assert_eq!(books.claim(), 0);
    queue(&mut books, 0..2);
    assert_eq!((books.claim(), books.claim()), (2, 0));
    queue(&mut books, 2..50);
    assert_eq!((books.claim(), books.claim()), (1, 0));
    books.not_connected();
    assert_eq!(books.claim(), 1);
}

#[test]
fn shrinking_and_growing_while_all_are_out_never_goes_over_the_limit() {
    let (mut books, now) = books(limits(10));
    open(&mut books, 10, now);
    let out: Vec<_> = (0..10).map(|_| take(&mut books)).collect();
    assert!(books.resize(2, 0, 2).is_empty());
    assert!(books.resize(10, 0, 10).is_empty());
    queue(&mut books, 0..20);
    assert_eq!(books.claim(), 0, "ten are out");
    assert!(books.resize(2, 0, 2).is_empty());
    for (back, held) in out.into_iter().enumerate() {
        let closed = books.give_back(held);
        assert_eq!(closed.map(|(_, reason)| reason), (back < 8).then_some(Reason::Surplus));
    }
    assert_eq!(books.counts().open(), 2);
}

#[test]
fn shrinking_a_pool_that_is_not_filled_limits_it() {
    let (mut books, _) = books(limits(10));
    books.resize(2, 0, 2);
    queue(&mut books, 0..10);
    assert_eq!(books.claim(), 2);
    assert_eq!(books.claim(), 0);
}

#[test]
fn connections_end_by_age_by_use_and_by_eviction() {
    let (mut books, now) = books(Limits { uses: 2, lifetime: 10 * SECOND, ..limits(4) });
    open(&mut books, 1, now);
    let held = take(&mut books);
    assert!(books.give_back(held).is_none());
    let held = take(&mut books);
    assert_eq!(books.give_back(held).map(|(_, reason)| reason), Some(Reason::Uses));

    open(&mut books, 2, now);
    let held = take(&mut books);
    let closed = books.review(now + 10 * SECOND, |_| false);
    assert_eq!(closed.len(), 1, "the idle one");
    assert_eq!(books.give_back(held).map(|(_, reason)| reason), Some(Reason::Lifetime));

    open(&mut books, 2, now);
    let held = take(&mut books);
    assert_eq!(books.evict().len(), 1);
    assert_eq!(books.give_back(held).map(|(_, reason)| reason), Some(Reason::Evicted));
    books.connecting += 1;
    let late = books.connected(9, 0, now);
    assert_eq!(late.map(|(_, reason)| reason), Some(Reason::Evicted), "asked for before");
    assert_eq!(books.counts().open(), 0);
}

#[test]
fn idle_ones_go_down_to_the_minimum_coldest_first_and_dead_ones_at_once() {
    let (mut books, now) = books(Limits { min: 2, idle: 5 * SECOND, ..limits(8) });
    open(&mut books, 4, now);
    let closed = books.review(now + SECOND, |connection| *connection == 3);
    assert_eq!(closed, [(3, Reason::Broken)]);
    let closed = books.review(now + 5 * SECOND, |_| false);
    assert_eq!(closed, [(0, Reason::Idle)]);
    assert_eq!(books.claim_spare(), 0);
    books.resize(1, 1, 1);
    assert_eq!(books.counts().open(), 1);
}

#[test]
fn lifetimes_of_connections_opened_together_are_spread() {
    let limits = Limits { jitter: 0.2, lifetime: 100 * SECOND, ..limits(1) };
    let mut lives: Vec<_> = (1..=10).map(|number| limits.lifetime_of(number)).collect();
    lives.sort_unstable();
    assert!(lives[0] >= 80 * SECOND && lives[9] <= 100 * SECOND, "{lives:?}");
    assert!(lives.windows(2).all(|pair| pair[1] - pair[0] > SECOND), "{lives:?}");
}

#[test]
fn a_long_borrow_is_told_once_with_its_place() {
    let (mut books, now) = books(limits(2));
    open(&mut books, 2, now);
    let site = Location::caller();
    let Take::Ready(held) = books.take(Class::Interactive, Some(site)) else { panic!("two") };
    let _unnamed = take(&mut books);
    books.review(now + 59 * SECOND, |_| false);
    assert!(books.overdue().is_empty());
    books.review(now + 60 * SECOND, |_| false);
    let overdue = books.overdue();
    assert_eq!((overdue.len(), overdue[0].site), (1, site));
    assert!(books.overdue().is_empty());
    assert_eq!(books.oldest_borrow().map(|borrow| borrow.held), Some(60 * SECOND));
    books.review(now + 70 * SECOND, |_| false);
    assert!(books.overdue_ended().is_empty(), "it is out still");
    books.give_back(held);
    assert_eq!(books.oldest_borrow(), None);
    let ended = books.overdue_ended();
    assert_eq!((ended.len(), ended[0].site, ended[0].held), (1, site, 70 * SECOND));
    assert!(books.overdue_ended().is_empty(), "told once");
}

#[test]
fn one_unused_for_long_is_marked_and_one_used_just_now_is_not() {
    let (mut books, now) = books(limits(1));
    open(&mut books, 1, now);
    let held = take(&mut books);
    assert!(!held.is_stale());
    books.give_back(held);
    books.review(now + SECOND, |_| false);
    let held = take(&mut books);
    assert!(held.is_stale());
    books.give_back(held);
    assert!(!take(&mut books).is_stale());
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask(bool),
    Leave(prop::sample::Index),
    Return(prop::sample::Index),
    Clean(prop::sample::Index),
    Cleaned(prop::sample::Index),
    Die(prop::sample::Index),
    Connected,
    Refused,
    Resize(usize),
    Evict,
    Pause(bool),
    Tick(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        8 => any::<bool>().prop_map(Step::Ask),
        2 => index().prop_map(Step::Leave),
        6 => index().prop_map(Step::Return),
        2 => index().prop_map(Step::Clean),
        2 => index().prop_map(Step::Cleaned),
        1 => index().prop_map(Step::Die),
        5 => Just(Step::Connected),
        1 => Just(Step::Refused),
        1 => (1usize..8).prop_map(Step::Resize),
        1 => Just(Step::Evict),
        1 => any::<bool>().prop_map(Step::Pause),
        1 => (0u64..400).prop_map(Step::Tick),
    ]
}

/// The books beside what a caller can see of them.
struct World {
    books: Books,
    now: Instant,
    share: usize,
    /// Lent, with their class.
    out: Vec<(Held<u64>, Class)>,
    cleaning: Vec<Held<u64>>,
    /// Epochs of connections being opened.
    connecting: VecDeque<u32>,
    /// Waiting, in order.
    lines: [VecDeque<(u64, u64)>; 2],
    closed: usize,
    opened: usize,
    next: u64,
    paused: bool,
}

fn line(class: Class) -> usize {
    usize::from(class == Class::Analytics)
}

impl World {
    fn run(&mut self, step: Step) {
        match step {
            Step::Ask(heavy) => {
                let class = if heavy { Class::Analytics } else { Class::Interactive };
                match self.books.take(class, None) {
                    Take::Ready(held) => {
                        assert!(self.lines[line(class)].is_empty(), "overtook a waiter");
                        assert!(!self.paused);
                        self.out.push((held, class));
                    }
                    Take::Wait => {
                        self.next += 1;
                        let (number, _) = self.books.wait(class, None, self.next, far());
                        self.lines[line(class)].push_back((number, self.next));
                    }
                    Take::Full => assert_eq!(self.lines[line(class)].len(), 5),
                    Take::Closed => panic!("it is open"),
                }
            }
            Step::Leave(index) => {
                for class in [Class::Interactive, Class::Analytics] {
                    let line = &mut self.lines[line(class)];
                    if !line.is_empty()
                        && let Some((number, _)) = line.remove(index.index(line.len()))
                    {
                        self.books.forget(class, number);
                        return;
                    }
                }
            }
            Step::Return(index) if !self.out.is_empty() => {
                let (held, _) = self.out.swap_remove(index.index(self.out.len()));
                self.closed += usize::from(self.books.give_back(held).is_some());
            }
            Step::Clean(index) if !self.out.is_empty() => {
                let (held, _) = self.out.swap_remove(index.index(self.out.len()));
                self.books.begin_cleaning(&held);
                self.cleaning.push(held);
            }
            Step::Cleaned(index) if !self.cleaning.is_empty() => {
                let held = self.cleaning.swap_remove(index.index(self.cleaning.len()));
                self.closed += usize::from(self.books.give_back(held).is_some());
            }
            Step::Die(index) if !self.out.is_empty() => {
                let (held, _) = self.out.swap_remove(index.index(self.out.len()));
                self.books.remove(held);
                self.closed += 1;
            }
            Step::Connected if !self.connecting.is_empty() => {
                let epoch = self.connecting.pop_front().unwrap();
                self.opened += 1;
                self.closed += usize::from(self.books.connected(0, epoch, self.now).is_some());
            }
            Step::Refused if self.connecting.pop_front().is_some() => {
                self.books.not_connected();
                if self.books.next_disappointed().is_some() {
                    self.pop_first();
                }
            }
            Step::Resize(max) => {
                self.share = max.div_ceil(2);
                self.closed += self.books.resize(max, max.min(2), self.share).len();
            }
            Step::Evict => self.closed += self.books.evict().len(),
            Step::Pause(paused) => {
                self.paused = paused;
                self.books.pause(paused);
            }
            Step::Tick(seconds) => {
                self.now += Duration::from_secs(seconds);
                self.closed += self.books.review(self.now, |_| false).len();
            }
            _ => {}
        }
        let before = self.books.counts();
        self.settle();
        let after = self.books.counts();
        if after.open() + after.connecting > before.open() + before.connecting {
            assert!(after.open() + after.connecting <= self.books.max(), "grew past the limit");
        }
        self.check();
    }

    fn pop_first(&mut self) {
        let first = |line: &VecDeque<(u64, u64)>| line.front().map_or(u64::MAX, |(n, _)| *n);
        let class = usize::from(first(&self.lines[1]) < first(&self.lines[0]));
        self.lines[class].pop_front();
    }

    fn settle(&mut self) {
        while let Some((waiter, held)) = self.books.next_grant() {
            assert!(!self.paused);
            let served = [Class::Interactive, Class::Analytics]
                .into_iter()
                .find(|class| self.lines[line(*class)].front().is_some_and(|(_, w)| *w == waiter));
            let class = served.expect("served out of turn");
            self.lines[line(class)].pop_front();
            self.out.push((held, class));
            if class == Class::Analytics {
                let heavy = self.heavy();
                assert!(heavy <= self.share, "{heavy} over the share");
            }
        }
        let epoch = self.books.epoch();
        for _ in 0..self.books.claim() + self.books.claim_spare() {
            self.connecting.push_back(epoch);
        }
    }

    fn heavy(&self) -> usize {
        self.out.iter().filter(|(_, class)| *class == Class::Analytics).count()
    }

    fn check(&self) {
        let counts = self.books.counts();
        assert_eq!(counts.lent, self.out.len());
        assert_eq!(counts.cleaning, self.cleaning.len());
        assert_eq!(counts.connecting, self.connecting.len());
        assert_eq!(counts.waiting, self.lines[0].len() + self.lines[1].len());
        assert_eq!(counts.open(), self.opened - self.closed, "one was lost or made up");
        if counts.idle > 0 && !self.paused {
            assert!(self.lines[0].is_empty(), "somebody waits beside an idle connection");
            assert!(self.lines[1].is_empty() || self.heavy() >= self.share);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_books_balance_whatever_happens(steps in prop::collection::vec(step(), 0..150)) {
        let (books, now) = books(Limits { analytics: 2, waiting: 5, min: 2, ..limits(4) });
        let mut world = World {
            books,
            now,
            share: 2,
            out: Vec::new(),
            cleaning: Vec::new(),
            connecting: VecDeque::new(),
            lines: [VecDeque::new(), VecDeque::new()],
            closed: 0,
            opened: 0,
            next: 0,
            paused: false,
        };
        for step in steps {
            world.run(step);
        }
        // Everybody goes home.
        world.run(Step::Pause(false));
        world.lines = Default::default();
        let (idle, _) = world.books.close();
        world.closed += idle.len();
        for held in world.out.drain(..).map(|(held, _)| held).chain(world.cleaning.drain(..)) {
            prop_assert!(world.books.give_back(held).is_some());
            world.closed += 1;
        }
        for epoch in world.connecting.drain(..) {
            world.opened += 1;
            prop_assert!(world.books.connected(0, epoch, world.now).is_some());
            world.closed += 1;
        }
        let counts = world.books.counts();
        prop_assert_eq!(counts.open() + counts.connecting + counts.waiting, 0);
        prop_assert_eq!(world.opened, world.closed);
    }
}
