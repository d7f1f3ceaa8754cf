use std::collections::HashSet;

use super::super::pressure::Pressure;
use super::super::priority::{Criticality, LEVELS, PLACES, Priority};
use super::super::valve::{Flow, STEPS, Valve};

const HOUR: u64 = 5;

fn level(priority: Priority) -> usize {
    priority.level(0, HOUR, 0)
}

#[test]
fn one_user_is_in_one_cohort_for_an_hour_and_in_another_after_it() {
    let alice = Priority::new(Criticality::Critical).user("alice");
    assert_eq!(alice.level(1, HOUR, 0), alice.level(9, HOUR, 0));
    let hours: HashSet<_> = (0..48).map(|hour| alice.level(0, hour, 0)).collect();
    assert!(hours.len() > 24, "{} cohorts in two days", hours.len());
    assert_ne!(alice.level(0, HOUR, 0), alice.level(0, HOUR, 1), "nodes agree by the seed");
}

#[test]
fn classes_do_not_mix_whatever_the_user_and_the_quota() {
    for user in 0..1_000 {
        for used in [0.0, 0.5, 1.0, f32::NAN, -1.0, 7.0] {
            for class in Criticality::ALL {
                let level = level(Priority::new(class).user(&user).quota_used(used));
                assert_eq!(level / PLACES, class as usize);
                assert!(level < LEVELS);
            }
        }
    }
}

#[test]
fn near_its_quota_a_client_is_shed_before_any_that_is_not() {
    for spent in 0..200 {
        for fresh in 0..200 {
            let spent = Priority::default().user(&spent).quota_used(1.0);
            let fresh = Priority::default().user(&fresh);
            assert!(level(spent) < level(fresh));
        }
    }
}

fn counted(arrivals: &[(usize, u32)]) -> Valve {
    let mut valve = Valve::new();
    for _ in 0..50 {
        for (level, count) in arrivals {
            valve.count(*level, *count);
        }
    }
    valve
}

fn flow(arrived: f64, started: f64, standing: bool, asked: f64) -> Flow {
    Flow { arrived, started, able: started, standing, hold: false, asked, turns: 1 }
}

#[test]
fn the_cut_falls_where_what_is_left_can_be_served() {
    let mut valve = counted(&[(10, 300), (600, 100), (1_000, 100)]);
    let mut cut = 0;
    for _ in 0..30 {
        // Of 500 that come 300 can be started.
        cut = valve.turn(&flow(500.0, 300.0, true, 0.0));
    }
    assert_eq!(cut / STEPS, 10, "two thirds of the lowest level");
    assert!((0.4..0.45).contains(&valve.shed()), "{}", valve.shed());
    assert!((150..220).contains(&(cut % STEPS)), "{}", cut % STEPS);
}

#[test]
fn a_queue_that_is_gone_opens_the_valve_step_by_step() {
    let mut valve = counted(&[(10, 500)]);
    for _ in 0..50 {
        valve.turn(&flow(500.0, 100.0, true, 0.0));
    }
    let full = valve.shed();
    let able = Flow { able: 1_000.0, ..flow(500.0, 100.0, false, 0.0) };
    valve.turn(&able);
    assert!(valve.shed() < full && valve.shed() > 0.3, "{}", valve.shed());
    let turns = (0..100).take_while(|_| valve.turn(&able) > 0).count();
    assert!((5..30).contains(&turns), "{turns} turns");
}

#[test]
fn a_busy_machine_sheds_what_may_be_shed_and_nothing_critical() {
    let mut valve = counted(&[(10, 100), (300, 100), (520, 100), (1_000, 100)]);
    let cut = valve.turn(&flow(400.0, 400.0, false, 1.0));
    assert_eq!(cut / STEPS, (2 * PLACES) as u32);
    let half = valve.turn(&flow(400.0, 400.0, false, 0.3));
    assert_eq!(half / STEPS, 300, "three in ten of all, the lowest first");
    assert_eq!(valve.turn(&flow(400.0, 400.0, false, 0.0)), 0);
}

#[test]
fn pressure_is_nothing_below_its_thresholds_and_never_more_than_all() {
    let cpu = |share| Pressure { cpu: Some(share), ..Pressure::default() }.share();
    assert_eq!(Pressure::default().share(), 0.0);
    assert_eq!((cpu(0.9), cpu(1.0), cpu(7.0), cpu(-1.0), cpu(f64::NAN)), (0.0, 1.0, 1.0, 0.0, 0.0));
    let worst = Pressure { cpu: Some(0.95), memory: Some(0.97), ..Pressure::default() };
    assert_eq!(worst.share(), 1.0);
}
