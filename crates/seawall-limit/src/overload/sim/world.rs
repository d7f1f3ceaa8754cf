//! Clients and the service.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::super::priority::{Criticality, Priority};
use super::guards::{Guard, Job, News};

pub(super) const MS: u64 = 1_000_000;
pub(super) const SECOND: u64 = 1_000 * MS;

/// How things are from a moment on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    /// Requests a second.
    pub(super) rate: f64,
    pub(super) workers: usize,
    /// Mean time that a worker takes, in ms, exponentially distributed.
    pub(super) work: f64,
    /// Time that the dependency takes, in ms.
    pub(super) dependency: f64,
    /// The share of requests whose work takes fifty times as long.
    pub(super) slow: f64,
    /// How often a client comes back that was turned away or got no answer in time.
    pub(super) retries: u8,
    /// How long a client waits for an answer, in ms.
    pub(super) patience: u64,
}

pub(super) const FAIR: Weather = Weather {
    rate: 500.0,
    workers: 20,
    work: 20.0,
    dependency: 0.0,
    slow: 0.0,
    retries: 0,
    patience: 1_000,
};

#[derive(Debug, Clone, Copy)]
struct Client {
    born: u64,
    started: u64,
    priority: Priority,
    user: u64,
    tries: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Weather(usize),
    Arrival,
    Again(Job),
    /// The dependency answered.
    Ready(Job),
    /// A worker is done.
    Done(Job),
    Expire(Job),
    Look,
}

/// What was seen in a second.
#[derive(Debug, Clone, Default)]
pub(super) struct Second {
    pub(super) offered: [u64; 4],
    /// Answers in time, by class.
    pub(super) served: [u64; 4],
    pub(super) rejected: [u64; 4],
    pub(super) late: u64,
    /// Each latency in ns, from the client's first try to the answer.
    pub(super) latencies: Vec<u64>,
    pub(super) limit: usize,
    /// Those turned away and those served, as user times four plus class.
    pub(super) turned_away: Vec<u64>,
    pub(super) let_in: Vec<u64>,
}

pub(super) struct World<G> {
    pub(super) guard: G,
    weathers: Vec<(u64, Weather)>,
    weather: Weather,
    now: u64,
    order: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    clients: Vec<Client>,
    busy: usize,
    line: VecDeque<Job>,
    rng: Rng,
    pub(super) seconds: Vec<Second>,
}

impl<G: Guard> World<G> {
    pub(super) fn new(guard: G, seed: u64, weathers: &[(u64, Weather)]) -> Self {
        let mut world = Self {
            guard,
            weathers: weathers.to_vec(),
            weather: weathers[0].1,
            now: 0,
            order: 0,
            events: BinaryHeap::new(),
            clients: Vec::new(),
            busy: 0,
            line: VecDeque::new(),
            rng: Rng(seed),
            seconds: Vec::new(),
        };
        for (index, (at, _)) in weathers.iter().enumerate() {
            world.at(at * SECOND, Event::Weather(index));
        }
        world.at(0, Event::Arrival);
        world.at(SECOND, Event::Look);
        world
    }

    /// Runs to the end of that second, and gives the seconds since the start.
    pub(super) fn run(&mut self, until: u64) -> &[Second] {
        while self.now < until * SECOND && self.step() {}
        &self.seconds
    }

    /// The next event, if there is one.
    fn step(&mut self) -> bool {
        let Some(Reverse((at, _, event))) = self.events.pop() else { return false };
        self.now = at;
        let mut news = Vec::new();
        self.happen(event, &mut news);
        while let Some(item) = news.pop() {
            match item {
                News::Start(job) => self.start(job),
                News::Reject(job) => self.reject(job),
            }
        }
        true
    }

    fn happen(&mut self, event: Event, news: &mut Vec<News>) {
        match event {
            Event::Weather(index) => {
                self.weather = self.weathers[index].1;
                self.work();
            }
            Event::Arrival => {
                let gap = self.rng.exponential(1e9 / self.weather.rate);
                self.at(self.now + gap, Event::Arrival);
                let client = self.client();
                let class = client.priority.criticality() as usize;
                self.clients.push(client);
                self.second().offered[class] += 1;
                self.ask(self.clients.len() - 1, news);
            }
            Event::Again(job) => self.ask(job, news),
            Event::Expire(job) => self.guard.expire(self.now, job, news),
            Event::Ready(job) => {
                self.line.push_back(job);
                self.work();
            }
            Event::Done(job) => {
                self.busy -= 1;
                self.done(job, news);
                self.work();
            }
            Event::Look => {
                let limit = self.guard.limit();
                self.at(self.now + SECOND, Event::Look);
                let last = (self.now / SECOND) as usize - 1;
                self.at_second(last).limit = limit;
            }
        }
    }

    fn client(&mut self) -> Client {
        let user = self.rng.below(1_000);
        let criticality = match self.rng.below(100) {
            0..5 => Criticality::CriticalPlus,
            5..15 => Criticality::Critical,
            15..75 => Criticality::SheddablePlus,
            _ => Criticality::Sheddable,
        };
        let priority = Priority::new(criticality).user(&user);
        Client { born: self.now, started: 0, priority, user, tries: 0 }
    }

    fn ask(&mut self, job: Job, news: &mut Vec<News>) {
        let priority = self.clients[job].priority;
        if let Some(until) = self.guard.arrive(self.now, job, &priority, news) {
            self.at(until, Event::Expire(job));
        }
    }

    fn start(&mut self, job: Job) {
        self.clients[job].started = self.now;
        let delay = (self.weather.dependency * MS as f64) as u64;
        self.at(self.now + delay, Event::Ready(job));
    }

    fn work(&mut self) {
        while self.busy < self.weather.workers
            && let Some(job) = self.line.pop_front()
        {
            self.busy += 1;
            let slow = self.weather.slow > 0.0 && self.rng.unit() < self.weather.slow;
            let mean = self.weather.work * if slow { 50.0 } else { 1.0 };
            let time = self.rng.exponential(mean * MS as f64);
            self.at(self.now + time, Event::Done(job));
        }
    }

    fn done(&mut self, job: Job, news: &mut Vec<News>) {
        let Client { born, started, priority, user, .. } = self.clients[job];
        self.guard.finish(self.now, started, news);
        let latency = self.now - born;
        let in_time = latency <= self.weather.patience * MS;
        let second = self.second();
        second.latencies.push(latency);
        second.let_in.push(user * 4 + priority.criticality() as u64);
        if in_time {
            second.served[priority.criticality() as usize] += 1;
        } else {
            second.late += 1;
            self.come_back(job);
        }
    }

    fn reject(&mut self, job: Job) {
        let Client { priority, user, .. } = self.clients[job];
        let second = self.second();
        second.rejected[priority.criticality() as usize] += 1;
        second.turned_away.push(user * 4 + priority.criticality() as u64);
        self.come_back(job);
    }

    fn come_back(&mut self, job: Job) {
        if self.clients[job].tries < self.weather.retries {
            self.clients[job].tries += 1;
            let wait = 50 * MS + self.rng.below(100 * MS);
            self.at(self.now + wait, Event::Again(job));
        }
    }

    fn at(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.events.push(Reverse((at, self.order, event)));
    }

    fn second(&mut self) -> &mut Second {
        self.at_second((self.now / SECOND) as usize)
    }

    fn at_second(&mut self, index: usize) -> &mut Second {
        if self.seconds.len() <= index {
            self.seconds.resize(index + 1, Second::default());
        }
        &mut self.seconds[index]
    }
}

/// What was seen in some seconds.
pub(super) struct Sum(Second);

impl Sum {
    pub(super) fn of(seconds: &[Second]) -> Self {
        let mut sum = Second::default();
        for second in seconds {
            for class in 0..4 {
                sum.offered[class] += second.offered[class];
                sum.served[class] += second.served[class];
                sum.rejected[class] += second.rejected[class];
            }
            sum.late += second.late;
            sum.latencies.extend(&second.latencies);
        }
        sum.latencies.sort_unstable();
        Self(sum)
    }

    pub(super) fn served(&self) -> u64 {
        self.0.served.iter().sum()
    }

    pub(super) fn rejected(&self) -> u64 {
        self.0.rejected.iter().sum()
    }

    pub(super) fn offered(&self) -> u64 {
        self.0.offered.iter().sum()
    }

    /// The share of a class that was served in time.
    pub(super) fn success(&self, class: Criticality) -> f64 {
        self.0.served[class as usize] as f64 / self.0.offered[class as usize].max(1) as f64
    }

    /// In milliseconds.
    pub(super) fn percentile(&self, share: f64) -> f64 {
        let last = self.0.latencies.len().saturating_sub(1);
        let at = (last as f64 * share) as usize;
        self.0.latencies.get(at).map_or(f64::NAN, |latency| *latency as f64 / MS as f64)
    }
}

/// splitmix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn exponential(&mut self, mean: f64) -> u64 {
        (-mean * (1.0 - self.unit()).ln()) as u64
    }
}
