use proptest::prelude::*;

use super::{Usl, last_worth};

fn law(contention: f64, peak: f64) -> Usl {
    Usl { rate: 100.0, contention, coherency: (1.0 - contention) / (peak * peak) }
}

fn points(law: Usl, sizes: &[f64]) -> Vec<(f64, f64)> {
    sizes.iter().map(|&size| (size, law.throughput(size))).collect()
}

#[test]
fn a_peak_beyond_what_was_tried_is_found_from_how_the_curve_bends() {
    let tried = points(law(0.03, 24.0), &[4.0, 8.0, 12.0, 16.0, 20.0]);
    assert_eq!(last_worth(&tried), Some(24));
}

#[test]
fn a_group_that_scales_has_no_last_size() {
    let linear = Usl { rate: 100.0, contention: 0.0, coherency: 0.0 };
    assert_eq!(linear.peak(), None);
    let tried = points(linear, &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0]);
    assert_eq!(last_worth(&tried), None);
    // Amdahl's law has an end of growth, and no peak.
    let flat = Usl { contention: 0.1, ..linear };
    assert_eq!(last_worth(&points(flat, &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0])), None);
}

#[test]
fn a_peak_far_beyond_what_was_tried_is_not_believed() {
    let tried = points(law(0.03, 90.0), &[2.0, 4.0, 6.0, 8.0, 10.0]);
    assert_eq!(last_worth(&tried), None);
}

#[test]
fn one_wrong_point_neither_makes_a_peak_nor_moves_it_down() {
    // A size that was measured while the database was restarted.
    let linear = Usl { rate: 100.0, contention: 0.01, coherency: 0.0 };
    let mut tried = points(linear, &[2.0, 4.0, 8.0, 12.0, 16.0, 20.0]);
    tried[5].1 *= 0.3;
    assert_eq!(last_worth(&tried), None);
    let mut tried = points(law(0.03, 24.0), &[4.0, 8.0, 12.0, 16.0, 20.0, 24.0, 28.0]);
    tried[3].1 *= 0.5;
    let last = last_worth(&tried);
    assert!(last.is_none_or(|last| last >= 24), "{last:?}");
}

#[test]
fn nonsense_gives_no_law() {
    assert_eq!(Usl::fit(&[]), None);
    assert_eq!(Usl::fit(&[(1.0, 10.0), (2.0, 18.0)]), None);
    assert_eq!(Usl::fit(&[(2.0, 10.0); 9]), None);
    let bad = [(f64::NAN, 1.0), (2.0, f64::INFINITY), (3.0, -1.0), (0.0, 5.0), (4.0, 0.0)];
    assert_eq!(Usl::fit(&bad), None);
}

proptest! {
    #[test]
    fn measured_without_noise_the_law_is_found_again(
        rate in 1.0..1e5_f64,
        contention in 0.0..0.5_f64,
        coherency in 1e-5..0.05_f64,
    ) {
        let law = Usl { rate, contention, coherency };
        let found = Usl::fit(&points(law, &[1.0, 3.0, 7.0, 12.0, 20.0, 33.0])).expect("fits");
        let (peak, known) = (found.peak().expect("has one"), law.peak().expect("has one"));
        prop_assert!((peak / known - 1.0).abs() < 1e-3, "{found:?} and not {law:?}");
    }

    /// With a tenth of noise a size is refused only where nothing is lost by it.
    #[test]
    fn noise_does_not_refuse_sizes_that_get_much_more_done(
        contention in 0.0..0.2_f64,
        peak in 5.0..60.0_f64,
        noise in prop::collection::vec(-0.05..0.05_f64, 8),
    ) {
        let law = law(contention, peak);
        let sizes = [2.0, 4.0, 6.0, 9.0, 13.0, 18.0, 24.0, 30.0];
        let mut tried = points(law, &sizes);
        for (point, noise) in tried.iter_mut().zip(&noise) {
            point.1 *= 1.0 + noise;
        }
        if let Some(last) = last_worth(&tried) {
            let share = law.throughput(f64::from(last)) / law.throughput(peak.max(1.0));
            prop_assert!(share > 0.85, "{last} gets {share} of what {peak} does");
        }
    }

    #[test]
    fn any_numbers_are_answered(
        data in prop::collection::vec((any::<f64>(), any::<f64>()), 0..8),
    ) {
        _ = last_worth(&data);
        _ = Usl::fit(&data);
    }
}
