use proptest::prelude::*;

use super::*;

fn bounds() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-5.0_f64..50.0, 0..20).prop_map(|mut bounds| {
        bounds.extend([0.0, 0.5, 1.0]);
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        bounds
    })
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        -10.0_f64..60.0,
        (-35.0_f64..60.0).prop_map(f64::exp2),
        Just(0.0),
        Just(-0.0),
        Just(f64::MAX),
        Just(f64::MIN_POSITIVE),
    ]
}

proptest! {
    #[test]
    fn no_value_falls_outside_its_cell(bounds in bounds(), value in value()) {
        let layout = Layout::new(&bounds);
        let cell = layout.cell(value);
        prop_assert!(cell < layout.cells());
        let (low, high) = layout.edges(cell);
        prop_assert!(low <= value && value <= high, "{low} {value} {high}");
    }

    #[test]
    fn the_quick_way_to_a_cell_leads_to_the_same(bounds in bounds(), value in value(), near in 0..9_u64) {
        let layout = Layout::new(&bounds);
        let at_bounds = bounds.iter().map(|bound| f64::from_bits(bound.to_bits().wrapping_add(near).wrapping_sub(4)));
        for value in at_bounds.chain([value]).filter(|value| value.is_finite()) {
            if let Some(cell) = layout.usual_cell(value) {
                prop_assert_eq!(cell, layout.cell(value), "{}", value);
            }
        }
    }

    #[test]
    fn two_values_share_a_cell_only_within_one_bucket_and_one_fine_cell(
        bounds in bounds(), a in value(), b in value(),
    ) {
        let layout = Layout::new(&bounds);
        let bucket = |v: f64| bounds.iter().filter(|bound| **bound < v).count();
        let same = fine(a) == fine(b) && bucket(a) == bucket(b);
        prop_assert_eq!(layout.cell(a) == layout.cell(b), same);
        if a < b {
            prop_assert!(layout.cell(a) <= layout.cell(b));
        }
    }

    #[test]
    fn a_bucket_counts_exactly_the_values_at_or_below_its_bound(
        bounds in bounds(), values in prop::collection::vec(value(), 0..50),
    ) {
        let layout = Layout::new(&bounds);
        // Values on a bound belong below it: try those, too.
        let values: Vec<f64> = values.into_iter().chain(bounds.iter().copied()).collect();
        let mut counts = vec![0_u64; layout.cells()];
        for value in &values {
            counts[layout.cell(*value)] += 1;
        }
        let mut cells = Sparse::default();
        for (cell, count) in counts.into_iter().enumerate() {
            cells.push(cell, count);
        }
        let buckets: Vec<(f64, u64)> = layout
            .buckets(&cells)
            .map(|(bound, _, count)| (bound, count))
            .collect();
        let expected: Vec<(f64, u64)> = bounds
            .iter()
            .copied()
            .chain([f64::INFINITY])
            .map(|bound| (bound, values.iter().filter(|v| **v <= bound).count() as u64))
            .collect();
        prop_assert_eq!(buckets, expected);
    }

    #[test]
    fn the_middle_of_a_cell_is_within_the_stated_error(
        bounds in bounds(), value in (-29.9_f64..49.9).prop_map(f64::exp2),
    ) {
        let layout = Layout::new(&bounds);
        let error = (layout.middle(layout.cell(value)) - value).abs() / value;
        prop_assert!(error <= RELATIVE_ERROR, "{value}: {error}");
    }
}

#[test]
fn the_ends_of_the_range_have_a_value_too() {
    let layout = Layout::new(&[-3.0, 1.0]);
    assert_eq!(layout.middle(layout.cell(-4.0)), -3.0);
    assert_eq!(layout.middle(layout.cell(-2.0)), -3.0 + (LOWEST + 3.0) / 2.0);
    let top = layout.cell(f64::MAX);
    assert_eq!(top + 1, layout.cells());
    assert_eq!(layout.middle(top), 50_f64.exp2());
    assert_eq!(Layout::new(&[]).middle(0), 0.0);
}

#[test]
fn the_largest_layout_fits_the_pages_and_sixteen_bits() {
    let bounds: Vec<f64> = (0..MAX_BOUNDS).map(|n| n as f64).collect();
    let layout = Layout::new(&bounds);
    assert!(layout.cells() <= MAX_CELLS);
    assert!(MAX_CELLS < usize::from(u16::MAX));
}

#[test]
fn the_usual_values_take_the_quick_way() {
    let layout = Layout::new(&crate::SECONDS);
    assert!([1e-9, 0.005, 0.2, 10.0, 1e15].iter().all(|value| layout.usual_cell(*value).is_some()));
    // Two bounds in one fine cell, and what is outside the octaves.
    assert_eq!(Layout::new(&[1.0, 1.001]).usual_cell(3.0), None);
    for value in [0.0, -0.0, -1.0, 1e-10, 2e15, f64::MAX, f64::INFINITY, f64::NAN, -f64::NAN] {
        assert_eq!(layout.usual_cell(value), None, "{value}");
    }
}
