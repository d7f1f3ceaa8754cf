//! Eight nodes that lease from Redis while everything goes wrong, with a seed.
//!
//! Each admission is checked against a quota of its own that never saw a fault: one whose burst is
//! larger by the stated bound. A sequence conforms to it exactly if no window of any length admits
//! more than the quota would, plus the bound. What faults may add, and the documentation says they
//! may, is put in a pot, unit by unit, as they happen.

mod harm;
mod world;

use world::{Faults, World};

use crate::cluster::lease::Terms;

const TERMS: Terms = Terms { ttl: 1_000_000, most: 64 };

fn run(
    seeds: std::ops::Range<u64>,
    steps: usize,
    faults: Faults,
    spend: Terms,
) -> Result<Totals, String> {
    let mut totals = Totals::default();
    for seed in seeds {
        let mut world = World::new(seed, faults, TERMS, spend);
        for step in 0..steps {
            world.step().map_err(|what| format!("seed {seed}, step {step}: {what}"))?;
        }
        totals.admitted += world.admitted;
        totals.leased += world.leased;
        totals.asked += world.asked;
    }
    Ok(totals)
}

#[derive(Debug, Default)]
struct Totals {
    admitted: u64,
    leased: u64,
    asked: u64,
}

#[test]
fn without_faults_the_bound_holds_and_most_checks_are_local() {
    let totals = run(0..100, 1_000, Faults::none(), TERMS).unwrap();
    assert!(totals.leased > totals.admitted / 3, "{totals:?}");
    assert!(totals.asked > 10_000, "{totals:?}");
}

#[test]
fn crashes_partitions_and_lost_replies_never_break_the_bound() {
    let faults = Faults { crashes: true, losses: true, ..Faults::none() };
    let totals = run(0..1_500, 150, faults, TERMS).unwrap();
    assert!(totals.leased > 1_000, "{totals:?}");
}

#[test]
fn failovers_and_clock_jumps_add_no_more_than_is_stated() {
    let faults = Faults { crashes: true, losses: true, failovers: true, jumps: true };
    let totals = run(0..1_500, 150, faults, TERMS).unwrap();
    assert!(totals.leased > 1_000, "{totals:?}");
}

#[test]
fn a_node_that_spends_past_the_end_of_its_lease_is_noticed() {
    // The bound is that of one second; the nodes take ten.
    let late = Terms { ttl: 20_000_000, ..TERMS };
    let broken = run(0..100, 1_000, Faults::none(), late);
    assert!(broken.unwrap_err().contains("seed "));
}
