//! What deciding allocates, counted in a process of its own.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "tests")]
#![expect(unsafe_code, reason = "an allocator cannot be counted without")]

#[path = "shared/ten.rs"]
mod ten;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use seawall_scale::capacity::{Planner, PlannerConfig, Service};
use seawall_scale::{Busy, Dependency, Engine, Forecast, PlanFeed, Policy, Scalability, Zero};
use seawall_signal::{Signals, Unit};
use tokio::time::Instant;

/// The system's allocator, counted.
struct Counted;

static LIVE: AtomicI64 = AtomicI64::new(0);
static MADE: AtomicU64 = AtomicU64::new(0);

fn bytes(layout: Layout) -> i64 {
    i64::try_from(layout.size()).unwrap_or(i64::MAX)
}

// SAFETY: it hands everything on to the system's allocator as it came; only numbers are kept.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        MADE.fetch_add(1, Relaxed);
        LIVE.fetch_add(bytes(layout), Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(bytes(layout), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

/// What decides by signals, and what remembers besides.
fn policy() -> Policy {
    let busy = Busy {
        waiting: Some("signal_15".into()),
        rising: Some(Duration::from_secs(60)),
        ..Busy::at("signal_16")
    };
    Policy {
        min: 0,
        forecasts: vec![Forecast::plan("plan")],
        dependencies: vec![Dependency { busy: Some(busy), ..Dependency::new("db", 2000, 15) }],
        scalability: Some(Scalability::new("signal_17", "signal_18 > 0.5".parse().unwrap())),
        zero: Some(Zero::on("signal_19")),
        cooldown_down: Duration::from_secs(60),
        ..ten::policy()
    }
}

/// An engine with a planner, and what it sees.
struct Run {
    engine: Engine,
    feed: PlanFeed,
    signals: Signals,
    now: Instant,
    tick: u32,
}

impl Run {
    fn new() -> Self {
        let service = Service { rate: 0.1, slots: 8, wait: 1.0 / 3.0 };
        let planner = Planner::new(PlannerConfig::default(), service, 15.0);
        Self {
            engine: Engine::new(policy(), 10).unwrap(),
            feed: PlanFeed::new(planner, "signal_14"),
            signals: Signals::new(),
            now: Instant::now() + Duration::from_secs(100_000),
            tick: 0,
        }
    }

    /// Ticks of a load that comes back every hundred of them.
    fn ticks(&mut self, count: u32) {
        for _ in 0..count {
            self.tick += 1;
            self.now += Duration::from_secs(15);
            let wave = f64::from(self.tick % 100) / 100.0;
            for index in 0..20 {
                let level = (wave + f64::from(index) * 0.01).min(1.0);
                self.signals.set(ten::NAMES[index as usize], level, Unit::Ratio, self.now);
            }
            if self.tick.is_multiple_of(100) {
                // Some are lost, so that sizes change for as long as it runs.
                self.engine.observe(10);
            }
            let (policy, state) = (self.engine.policy(), self.engine.state());
            self.feed.publish(&mut self.signals, policy, state, self.now);
            let _ = self.engine.tick(&self.signals, self.now);
        }
    }

    /// How many events are kept, and of when the last is.
    fn events(&self) -> (usize, Option<Instant>) {
        let events = self.engine.events();
        (events.len(), events.last().map(|event| event.at))
    }
}

#[test]
fn deciding_for_days_takes_no_more_memory_and_no_more_allocations_than_for_hours() {
    let mut run = Run::new();
    // A day and a half: windows and rings are full, and the planner remembers a day.
    run.ticks(8_000);
    let (live, made) = (LIVE.load(Relaxed), MADE.load(Relaxed));
    run.ticks(500);
    let each = (MADE.load(Relaxed) - made) / 500;
    // A day and a half.
    let before = LIVE.load(Relaxed);
    let events = run.events();
    run.ticks(8_000);
    let grew = LIVE.load(Relaxed) - before;
    let made = MADE.load(Relaxed);
    run.ticks(500);
    let later = (MADE.load(Relaxed) - made) / 500;
    println!(
        "{live} bytes live; {grew} more a day and a half later; {each} and {later} allocations a tick"
    );
    assert_eq!((events.0, run.events().0), (256, 256), "the ring of events is full");
    assert!(run.events().1 > events.1, "and turns");
    // The reasons of the 256 events in it differ in length.
    assert!(grew < 65_536, "{grew} bytes");
    assert!(later <= each + each / 20 + 1, "{each} and then {later} allocations a tick");
    assert!(each < 200, "{each} allocations a tick");
}
