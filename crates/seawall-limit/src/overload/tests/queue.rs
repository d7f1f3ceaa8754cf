use std::cell::RefCell;
use std::rc::Rc;

use proptest::prelude::*;

use super::super::queue::{Pace, Queue, Ticket, Verdict, Wake, Wakes};
use super::super::reason::Reason;

struct Bell(Rc<RefCell<Vec<u8>>>, u8);

impl Wake for Bell {
    fn wake(self) {
        self.0.borrow_mut().push(self.1);
    }
}

const PACE: Pace = Pace { interval: 100, target: 5, service: 10 };
const NEVER: u64 = u64::MAX;

struct Line {
    queue: Queue<Bell>,
    woken: Rc<RefCell<Vec<u8>>>,
}

impl Line {
    fn new(max: usize) -> Self {
        Self { queue: Queue::new(max, PACE), woken: Rc::default() }
    }

    fn push(&mut self, now: u64, deadline: u64, class: u8, name: u8) -> Result<Ticket, Reason> {
        let mut wakes = Wakes::new();
        let bell = Bell(Rc::clone(&self.woken), name);
        let result = self.queue.push((now, deadline), class, bell, &mut wakes);
        wakes.wake();
        result
    }

    fn admit(&mut self, now: u64) -> bool {
        let mut wakes = Wakes::new();
        let admitted = self.queue.admit_next(now, &mut wakes);
        wakes.wake();
        admitted
    }

    fn expire(&mut self, now: u64) {
        let mut wakes = Wakes::new();
        self.queue.expire(now, &mut wakes);
        wakes.wake();
    }

    fn verdict(&mut self, ticket: &Ticket) -> Option<Verdict> {
        let woken = Rc::clone(&self.woken);
        self.queue.poll(ticket, || Bell(woken, 0))
    }

    fn woken(&self) -> Vec<u8> {
        self.woken.take()
    }
}

#[test]
fn first_come_first_served_until_the_queue_stands_and_then_the_newest() {
    let mut line = Line::new(10);
    let _tickets: Vec<_> = (1..=4).map(|name| line.push(0, NEVER, 1, name).unwrap()).collect();
    assert!(line.admit(50));
    assert_eq!(line.woken(), [1]);
    assert!(line.admit(101));
    assert_eq!(line.woken(), [4]);
}

#[test]
fn a_higher_class_goes_first_however_late_it_comes() {
    let mut line = Line::new(10);
    let _low = line.push(0, NEVER, 0, 1).unwrap();
    let _high = line.push(9, NEVER, 3, 2).unwrap();
    assert!(line.admit(9));
    assert_eq!(line.woken(), [2]);
}

#[test]
fn once_the_queue_stands_a_short_wait_is_too_long_for_what_can_be_shed() {
    let mut line = Line::new(10);
    let _first = line.push(0, NEVER, 1, 1).unwrap();
    let fresh = line.push(98, NEVER, 1, 2).unwrap();
    let critical = line.push(0, NEVER, 3, 3).unwrap();
    line.expire(100);
    assert!(line.woken().is_empty(), "it does not stand for long enough");
    line.expire(101);
    // The critical one waited for an interval as well.
    assert_eq!(line.woken(), [1, 3]);
    assert_eq!(line.verdict(&critical), Some(Verdict::Rejected(Reason::QueueDelay)));
    assert_eq!(line.verdict(&fresh), None);
}

#[test]
fn a_request_that_cannot_finish_by_its_deadline_is_never_started() {
    let mut line = Line::new(10);
    assert_eq!(line.push(0, 9, 1, 1), Err(Reason::Deadline));
    let late = line.push(0, 30, 1, 2).unwrap();
    let patient = line.push(0, NEVER, 1, 3).unwrap();
    assert!(line.admit(21), "the next one is admitted");
    assert_eq!(line.verdict(&late), Some(Verdict::Rejected(Reason::Deadline)));
    assert_eq!(line.verdict(&patient), Some(Verdict::Admitted { since: 0, at: 21 }));
}

#[test]
fn a_full_queue_makes_room_for_a_higher_class_only() {
    let mut line = Line::new(2);
    let oldest = line.push(0, NEVER, 1, 1).unwrap();
    let _other = line.push(1, NEVER, 1, 2).unwrap();
    assert_eq!(line.push(2, NEVER, 1, 3), Err(Reason::QueueFull));
    assert!(line.push(2, NEVER, 2, 4).is_ok());
    assert_eq!(line.woken(), [1]);
    assert_eq!(line.verdict(&oldest), Some(Verdict::Rejected(Reason::QueueFull)));
}

#[test]
fn a_place_that_was_given_up_is_used_again() {
    let mut line = Line::new(2);
    for _ in 0..1_000 {
        let ticket = line.push(0, NEVER, 1, 1).unwrap();
        let other = line.push(0, NEVER, 1, 2).unwrap();
        assert_eq!(line.queue.leave(&ticket), None);
        assert!(line.admit(0));
        assert_eq!(line.queue.leave(&other), Some(Verdict::Admitted { since: 0, at: 0 }));
        assert_eq!(line.queue.waiting(), 0);
    }
}

proptest! {
    /// Whatever happens, each request has one verdict, and nobody is forgotten.
    #[test]
    fn every_request_gets_one_verdict(steps in prop::collection::vec((0..5_u8, 0..4_u8), 1..200)) {
        let mut line = Line::new(8);
        let mut waiting = Vec::<Ticket>::new();
        let (mut pushed, mut refused, mut left) = (0, 0, 0);
        for (now, (step, class)) in steps.iter().enumerate() {
            let now = now as u64 * 3;
            match step {
                0 | 1 => {
                    pushed += 1;
                    match line.push(now, now + 40, *class, 1) {
                        Ok(ticket) => waiting.push(ticket),
                        Err(_) => refused += 1,
                    }
                }
                2 => drop(line.admit(now)),
                3 => line.expire(now),
                _ => {
                    if let Some(ticket) = waiting.pop() {
                        let _ = line.queue.leave(&ticket);
                        left += 1;
                    }
                }
            }
            prop_assert!(line.queue.waiting() <= 8);
        }
        while line.admit(1_000_000) {}
        let told = waiting.iter().filter(|ticket| line.verdict(ticket).is_some()).count();
        prop_assert_eq!(told + refused + left, pushed);
        prop_assert_eq!(line.queue.waiting(), 0);
    }
}
