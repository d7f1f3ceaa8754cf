use proptest::prelude::*;

use super::*;

const T: u64 = 1_000;

fn gcra(emission: u64, burst: u64) -> Gcra {
    Gcra::new(emission, emission * burst)
}

fn admit(gcra: Gcra, tat: &mut u64, now: u64, cost: u32) -> bool {
    match gcra.check(*tat, now, cost) {
        Verdict::Admit(next) => {
            *tat = next;
            true
        }
        _ => false,
    }
}

#[test]
fn idling_for_ten_periods_earns_the_burst_and_not_one_more() {
    let gcra = gcra(T, 5);
    let mut tat = 0;
    while admit(gcra, &mut tat, 7, 1) {}
    let later = 7 + 10 * 5 * T;
    let passed = (0..20).filter(|_| admit(gcra, &mut tat, later, 1)).count();
    assert_eq!(passed, 5);
}

#[test]
fn one_nanosecond_before_the_promised_time_is_too_early() {
    let gcra = gcra(T, 5);
    let mut tat = 0;
    assert!(admit(gcra, &mut tat, 0, 5));
    assert_eq!(gcra.check(tat, 0, 3), Verdict::Wait { nanos: 3 * T });
    assert_eq!(gcra.check(tat, 3 * T - 1, 3), Verdict::Wait { nanos: 1 });
    assert_eq!(gcra.check(tat, 3 * T, 3), Verdict::Admit(8 * T));
}

#[test]
fn a_cost_above_the_burst_never_passes_even_when_full() {
    let gcra = gcra(T, 5);
    assert_eq!(gcra.check(0, u64::MAX / 2, 6), Verdict::Never);
    assert_eq!(Gcra::new(MAX_CAPACITY, MAX_CAPACITY).check(0, 0, u32::MAX), Verdict::Never);
}

#[test]
fn standing_counts_whole_units_and_the_time_to_the_next() {
    let gcra = gcra(T, 5);
    assert_eq!(gcra.standing(0, 50), Standing { remaining: 5, next: 0, reset: 0 });
    assert_eq!(gcra.standing(2 * T, 0), Standing { remaining: 3, next: T, reset: 2 * T });
    assert_eq!(gcra.standing(2 * T, 300), Standing { remaining: 3, next: 700, reset: 1_700 });
    assert_eq!(gcra.standing(5 * T, 0), Standing { remaining: 0, next: T, reset: 5 * T });
}

#[test]
fn a_clock_set_back_blocks_for_the_capacity_at_most() {
    let gcra = gcra(T, 5);
    let year = 31_536_000_000_000_000;
    let tat = gcra.heal(year + 5 * T, 40);
    assert_eq!(gcra.check(tat, 40, 1), Verdict::Wait { nanos: T });
    assert!(matches!(gcra.check(tat, 40 + T, 1), Verdict::Admit(_)));
}

fn any_gcra() -> impl Strategy<Value = Gcra> {
    (1..=MAX_CAPACITY, any::<u32>()).prop_map(|(emission, burst)| {
        let burst = u64::from(burst).clamp(1, MAX_CAPACITY / emission);
        gcra(emission, burst)
    })
}

proptest! {
    #[test]
    fn any_state_at_any_time_is_answered_within_bounds(
        gcra in any_gcra(), tat in any::<u64>(), now in any::<u64>(), cost in any::<u32>(),
    ) {
        match gcra.check(tat, now, cost) {
            Verdict::Admit(tat) => prop_assert!(tat >= now && tat - now <= gcra.capacity),
            Verdict::Wait { nanos } => prop_assert!((1..=gcra.capacity).contains(&nanos)),
            Verdict::Never => prop_assert!(u128::from(gcra.emission) * u128::from(cost) > u128::from(gcra.capacity)),
        }
        let standing = gcra.standing(tat, now);
        prop_assert!(u64::from(standing.remaining) <= gcra.capacity / gcra.emission);
        prop_assert!(standing.next <= gcra.emission && standing.reset <= gcra.capacity);
        prop_assert!(gcra.heal(tat, now).saturating_sub(now) <= gcra.capacity);
        prop_assert!(gcra.refund(tat, cost) <= tat);
    }

    #[test]
    fn the_promised_wait_is_exact(
        emission in 1..5_000_000_000_u64, burst in 1..1_000_u64, spent in 0..1_000_u32, cost in 1..1_000_u32, now in 0..1_u64 << 60,
    ) {
        let gcra = gcra(emission, burst);
        let mut tat = 0;
        for _ in 0..spent {
            admit(gcra, &mut tat, now, 1);
        }
        if let Verdict::Wait { nanos } = gcra.check(tat, now, cost) {
            let early = matches!(gcra.check(tat, now + nanos - 1, cost), Verdict::Admit(_));
            let promised = matches!(gcra.check(tat, now + nanos, cost), Verdict::Admit(_));
            prop_assert!(!early);
            prop_assert!(promised);
        }
    }

    #[test]
    fn a_refund_undoes_a_charge_exactly(
        emission in 1..5_000_000_000_u64, burst in 1..1_000_u64, before in 0..500_u32, cost in 0..500_u32, now in 0..1_u64 << 60,
    ) {
        let gcra = gcra(emission, burst);
        let mut tat = 0;
        admit(gcra, &mut tat, now, before);
        let start = gcra.standing(tat, now);
        if admit(gcra, &mut tat, now, cost) {
            prop_assert_eq!(gcra.standing(gcra.refund(tat, cost), now), start);
        }
    }
}
