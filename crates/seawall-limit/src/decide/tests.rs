use proptest::prelude::*;

use super::*;

fn charge(ids: &[u8], tats: &mut [u64], now: u64, cost: u32) -> Ruling {
    rule(ids, tats, now, cost, Charge::AllOrNone)
}

fn rule(ids: &[u8], tats: &mut [u64], now: u64, cost: u32, charge: Charge) -> Ruling {
    let gcras = [Gcra::new(100, 500), Gcra::new(10, 1_000), Gcra::new(1_000, 3_000)];
    let entry = |id: &u8| {
        let relief = gcras[usize::from(*id)];
        Entry { law: Law::Bucket(relief), relief, id: *id, count: 0 }
    };
    let entries: Vec<Entry> = ids.iter().map(entry).collect();
    decide(&entries, tats, Place::Slot, now, cost, charge).ruling(&entries)
}

#[test]
fn one_that_rejects_leaves_all_others_uncharged() {
    let mut tats = [500, 0, 0];
    let ruling = charge(&[1, 0, 2], &mut tats, 0, 1);
    assert_eq!(ruling.outcome, Outcome::Rejected);
    assert_eq!((ruling.policy, ruling.violated), (0, 0b010));
    assert_eq!(tats, [500, 0, 0]);
}

#[test]
fn only_the_named_policies_are_charged() {
    let mut tats = [0; 3];
    assert_eq!(charge(&[2, 0], &mut tats, 0, 2).outcome, Outcome::Allowed);
    assert_eq!(tats, [200, 0, 2_000]);
}

#[test]
fn the_first_that_rejects_is_named_and_the_longest_wait_is_given() {
    let mut tats = [500, 1_000, 3_000];
    let ruling = charge(&[1, 0, 2], &mut tats, 0, 1);
    assert_eq!((ruling.policy, ruling.next, ruling.wait, ruling.violated), (1, 10, 1_000, 0b111));
    let mut later = tats;
    assert_eq!(charge(&[1, 0, 2], &mut later, 999, 1).outcome, Outcome::Rejected);
    assert_eq!(charge(&[1, 0, 2], &mut tats, 1_000, 1).outcome, Outcome::Allowed);
}

#[test]
fn the_tightest_is_named_when_all_admit() {
    let mut tats = [0; 3];
    let ruling = charge(&[1, 0, 2], &mut tats, 0, 1);
    assert_eq!((ruling.policy, ruling.remaining, ruling.reset, ruling.wait), (2, 2, 1_000, 0));
}

#[test]
fn a_cost_that_one_policy_can_never_meet_outweighs_a_wait() {
    let mut tats = [500, 0, 0];
    let ruling = charge(&[0, 2], &mut tats, 0, 4);
    assert_eq!((ruling.outcome, ruling.policy, ruling.violated), (Outcome::TooLarge, 2, 0b11));
}

#[test]
fn a_rejection_brings_a_state_from_the_far_future_back() {
    let mut tats = [1_000_000, 0, 0];
    assert_eq!(charge(&[0], &mut tats, 10, 1).wait, 100);
    assert_eq!(tats[0], 510);
}

#[test]
fn looking_charges_nothing_and_shows_what_is_there() {
    let mut tats = [200, 0, 0];
    let ruling = rule(&[0], &mut tats, 0, 1, Charge::None);
    assert_eq!((ruling.outcome, ruling.remaining, tats[0]), (Outcome::Allowed, 3, 200));
}

#[test]
fn asking_for_too_much_empties_all_if_told_to() {
    let mut tats = [100, 0, 0];
    let ruling = rule(&[0, 2], &mut tats, 0, 5, Charge::OrDrain);
    assert_eq!((ruling.outcome, ruling.remaining, ruling.violated), (Outcome::TooLarge, 0, 0b11));
    assert_eq!(tats, [500, 0, 3_000]);
    let mut tats = [100, 0, 0];
    assert_eq!(rule(&[0], &mut tats, 0, 4, Charge::OrDrain).remaining, 0);
    assert_eq!(tats, [500, 0, 0]);
}

proptest! {
    /// The way of several buckets that all admit is one that only saves time.
    #[test]
    fn the_short_way_of_several_buckets_decides_and_charges_as_the_long_one(
        quotas in prop::collection::vec((1_u64..2_000, 1_u64..20, 0_u64..60_000), 2..6),
        now in 0_u64..20_000,
        cost in 0_u32..4,
    ) {
        let entry = |(id, (emission, burst, _)): (u8, &(u64, u64, u64))| {
            let relief = Gcra::new(*emission, emission * burst);
            Entry { law: Law::Bucket(relief), relief, id, count: 0 }
        };
        let entries: Vec<Entry> = (0..).zip(&quotas).map(entry).collect();
        let mut short: Vec<u64> = quotas.iter().map(|(.., tat)| *tat).collect();
        let mut long = short.clone();
        let said = decide(&entries, &mut short, Place::Slot, now, cost, Charge::AllOrNone);
        let all = decide_all(&entries, &mut long, Place::Slot, now, cost, Charge::AllOrNone);
        prop_assert_eq!(said.ruling(&entries), all.ruling(&entries));
        prop_assert_eq!(short, long);
    }
}
