//! What stands in front of the service: ours, and what others would put there.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::super::config::OverloadConfig;
use super::super::engine::{Core, Outcome};
use super::super::priority::Priority;
use super::super::queue::{Ticket, Verdict, Wake};
use super::super::slots::Entry;

pub(super) type Job = usize;

/// What becomes of jobs, as the world is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    Start(Job),
    Reject(Job),
}

pub(super) trait Guard {
    /// A job comes. Tells when to ask again, if it has to wait.
    fn arrive(
        &mut self,
        now: u64,
        job: Job,
        priority: &Priority,
        news: &mut Vec<News>,
    ) -> Option<u64>;
    /// The time of a waiting job is over.
    fn expire(&mut self, _now: u64, _job: Job, _news: &mut Vec<News>) {}
    fn finish(&mut self, now: u64, started: u64, news: &mut Vec<News>);
    fn limit(&self) -> usize;
}

pub(super) struct Ours {
    pub(super) core: Core<Bell>,
    waiting: HashMap<Job, (Ticket, Priority)>,
    rung: Rc<RefCell<Vec<Job>>>,
}

pub(super) struct Bell {
    job: Job,
    rung: Rc<RefCell<Vec<Job>>>,
}

impl Wake for Bell {
    fn wake(self) {
        self.rung.borrow_mut().push(self.job);
    }
}

impl Ours {
    pub(super) fn new() -> Self {
        let core = Core::new(&OverloadConfig::default(), 0);
        Self { core, waiting: HashMap::new(), rung: Rc::default() }
    }

    fn bell(&self, job: Job) -> Bell {
        Bell { job, rung: Rc::clone(&self.rung) }
    }

    fn settle(&mut self, news: &mut Vec<News>) {
        loop {
            let Some(job) = self.rung.borrow_mut().pop() else { return };
            let Some((ticket, priority)) = self.waiting.remove(&job) else { continue };
            match self.core.poll(&priority, &ticket, || self.bell(job)) {
                None => drop(self.waiting.insert(job, (ticket, priority))),
                Some(Verdict::Admitted { .. }) => news.push(News::Start(job)),
                Some(Verdict::Rejected(_)) => news.push(News::Reject(job)),
            }
        }
    }
}

impl Guard for Ours {
    fn arrive(
        &mut self,
        now: u64,
        job: Job,
        priority: &Priority,
        news: &mut Vec<News>,
    ) -> Option<u64> {
        let entry = self.core.arrive(now, priority, u64::MAX, Some(|| self.bell(job)));
        let until = match entry {
            Entry::Admitted => {
                news.push(News::Start(job));
                None
            }
            Entry::Rejected(_) => {
                news.push(News::Reject(job));
                None
            }
            Entry::Queued(ticket) => {
                self.waiting.insert(job, (ticket, *priority));
                Some(now + self.core.max_wait())
            }
        };
        self.settle(news);
        until
    }

    fn expire(&mut self, now: u64, job: Job, news: &mut Vec<News>) {
        if let Some((ticket, priority)) = self.waiting.remove(&job) {
            let reason = Some(super::super::reason::Reason::QueueDelay);
            match self.core.abandon(now, &priority, &ticket, reason) {
                Some(Verdict::Admitted { .. }) => news.push(News::Start(job)),
                _ => news.push(News::Reject(job)),
            }
        }
        self.settle(news);
    }

    fn finish(&mut self, now: u64, started: u64, news: &mut Vec<News>) {
        self.core.record(now, started, Outcome::Success);
        self.core.leave(now, false);
        self.settle(news);
    }

    fn limit(&self) -> usize {
        self.core.status().limit
    }
}

/// tower's `ConcurrencyLimit` under `LoadShed`: a number that somebody chose, no queue.
pub(super) struct Fixed {
    pub(super) limit: usize,
    inflight: usize,
}

impl Fixed {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, inflight: 0 }
    }
}

impl Guard for Fixed {
    fn arrive(&mut self, _: u64, job: Job, _: &Priority, news: &mut Vec<News>) -> Option<u64> {
        if self.inflight < self.limit {
            self.inflight += 1;
            news.push(News::Start(job));
        } else {
            news.push(News::Reject(job));
        }
        None
    }

    fn finish(&mut self, _: u64, _: u64, _: &mut Vec<News>) {
        self.inflight -= 1;
    }

    fn limit(&self) -> usize {
        self.limit
    }
}

/// Netflix's Gradient2 with its defaults, as its source has it.
pub(super) struct Gradient2 {
    limit: f64,
    long: f64,
    samples: f64,
    inflight: usize,
}

impl Gradient2 {
    pub(super) fn new() -> Self {
        Self { limit: 20.0, long: 0.0, samples: 0.0, inflight: 0 }
    }
}

impl Guard for Gradient2 {
    fn arrive(&mut self, _: u64, job: Job, _: &Priority, news: &mut Vec<News>) -> Option<u64> {
        if self.inflight < self.limit as usize {
            self.inflight += 1;
            news.push(News::Start(job));
        } else {
            news.push(News::Reject(job));
        }
        None
    }

    fn finish(&mut self, now: u64, started: u64, _: &mut Vec<News>) {
        let inflight = self.inflight as f64;
        self.inflight -= 1;
        let short = (now - started) as f64;
        // The first ten samples are averaged, then an exponential average over 600.
        self.samples += 1.0;
        let factor = if self.samples <= 10.0 { 1.0 / self.samples } else { 2.0 / 601.0 };
        self.long += (short - self.long) * factor;
        if self.long / short > 2.0 {
            self.long *= 0.95;
        }
        if inflight < self.limit / 2.0 {
            return;
        }
        let gradient = (1.5 * self.long / short).clamp(0.5, 1.0);
        let next = self.limit * gradient + 4.0;
        self.limit = (self.limit * 0.8 + next * 0.2).clamp(20.0, 200.0);
    }

    fn limit(&self) -> usize {
        self.limit as usize
    }
}
