//! What does a decision on ten policies of every kind cost, with and without a forecast, and for
//! each of ten thousand groups?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

#[path = "../crates/seawall-scale/tests/shared/ten.rs"]
mod ten;

use std::hint::black_box;
use std::time::Duration;

use bench_harness::{Bench, Role, Row, Subject};
use seawall_scale::capacity::{Planner, PlannerConfig, Service};
use seawall_scale::{Engine, Forecast, PlanFeed, Policy, State, decide};
use seawall_signal::{Signals, Unit};
use tokio::time::Instant;

fn main() -> std::io::Result<()> {
    let now = Instant::now();
    let calm = signals(0.5, now);
    let busy = signals(0.95, now);
    let policy = ten::policy();
    policy.validate().unwrap();
    let state = State::new(10);

    let mut bench = Bench::new("scale_engine");
    bench.case(
        "decide, 20 signals, 10 policies of every kind",
        vec![
            Subject::new("calm", Role::Ours, |times| {
                (0..times).for_each(|_| {
                    let _ = black_box(decide(&policy, &state, &calm, now));
                });
            }),
            Subject::new("all ask for more", Role::Ours, |times| {
                (0..times).for_each(|_| {
                    let _ = black_box(decide(&policy, &state, &busy, now));
                });
            }),
        ],
    );

    let planned =
        Policy { forecasts: vec![Forecast::plan("plan")], evaluate_every: TICK, ..policy.clone() };
    let (mut feed, mut world, mut later) = (feed(), signals(0.5, now), now);
    let mut engine = Engine::new(planned, 10).unwrap();
    bench.case(
        "the same in an engine, with a planner's forecast",
        vec![Subject::new("plan, decide, remember", Role::Ours, |times| {
            (0..times).for_each(|_| {
                later += TICK;
                refresh(&mut world, 0.5, later);
                feed.publish(&mut world, engine.policy(), engine.state(), later);
                let _ = black_box(engine.tick(&world, later));
            });
        })],
    );

    // One round of all groups after the other, none of them in the cache.
    let mut groups: Vec<_> = (0..GROUPS)
        .map(|index| {
            let group = format!("group_{index}");
            (Engine::new(Policy { group, ..policy.clone() }, 10).unwrap(), signals(0.5, now))
        })
        .collect();
    let mut clock = now;
    let mut each = Vec::new();
    for round in 0..bench.rounds() + 20 {
        clock += TICK;
        // The load moves, so that windows have something to remember.
        let cpu = 0.5 + 0.2 * ((round % 8) as f64 / 8.0);
        for (_, world) in &mut groups {
            refresh(world, cpu, clock);
        }
        let begun = Instant::now();
        for (engine, world) in &mut groups {
            let _ = black_box(engine.tick(world, clock));
        }
        // The first rounds fill the windows.
        if round >= 20 {
            each.push(begun.elapsed().as_secs_f64() * 1e9 / GROUPS as f64);
        }
    }
    let case = "10 000 groups in turn (15 000 ns each, every 15 s, are 1 % of a core)";
    bench.add(Row::of(case, "one decision", Role::Ours, "ns", each));
    bench.finish()
}

fn feed() -> PlanFeed {
    let service = Service { rate: 0.1, slots: 8, wait: 1.0 / 3.0 };
    PlanFeed::new(Planner::new(PlannerConfig::default(), service, 15.0), "signal_14")
}

fn signals(level: f64, now: Instant) -> Signals {
    let mut signals = Signals::new();
    refresh(&mut signals, level, now);
    signals
}

fn refresh(signals: &mut Signals, level: f64, now: Instant) {
    for name in ten::NAMES {
        signals.set(name, level, Unit::Ratio, now);
    }
}

const GROUPS: usize = 10_000;
const TICK: Duration = Duration::from_secs(15);
