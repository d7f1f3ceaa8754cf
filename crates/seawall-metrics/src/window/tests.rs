use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::cells::Layout;

fn window(layout: &Layout, values: &[f64]) -> Window {
    let mut total = WindowSum::new(layout);
    for value in values {
        total.cells[layout.cell(*value)] += 1;
        total.sum += value;
        total.max = Some(total.max.map_or(*value, |max| max.max(*value)));
    }
    Window::of_histogram(&total, layout, Duration::from_secs(10))
}

proptest! {
    #[test]
    fn a_quantile_is_within_the_stated_error_of_the_sorted_values(
        values in prop::collection::vec((-29.0_f64..45.0).prop_map(f64::exp2), 1..400),
    ) {
        let layout = Layout::new(&crate::SECONDS);
        let window = window(&layout, &values);
        let mut sorted = values;
        sorted.sort_by(f64::total_cmp);
        for (q, estimate) in [
            (0.5, window.p50), (0.9, window.p90), (0.95, window.p95),
            (0.99, window.p99), (0.999, window.p999),
        ] {
            let rank = ((q * sorted.len() as f64).ceil() as usize).max(1);
            let exact = sorted[rank - 1];
            let error = (estimate - exact).abs() / exact;
            prop_assert!(error <= window.relative_error, "q {q}: {estimate} for {exact}");
        }
        prop_assert_eq!(window.max, *sorted.last().unwrap());
        prop_assert!(window.p50 <= window.p90 && window.p999 <= window.max);
    }
}

#[test]
fn a_hundred_thousand_latencies_have_the_percentiles_they_must_have() {
    let layout = Arc::new(Layout::new(&crate::SECONDS));
    let values: Vec<f64> = (1..=100_000).map(|us| f64::from(us) / 1e6).collect();
    let window = window(&layout, &values);
    for (estimate, exact) in
        [(window.p50, 0.05), (window.p95, 0.095), (window.p99, 0.099), (window.p999, 0.0999)]
    {
        assert!((estimate / exact - 1.0).abs() <= window.relative_error);
    }
    assert_eq!(window.max, 0.1);
    assert_eq!(window.count, 100_000);
    assert_eq!(window.rate, 10_000.0);
    assert!((window.mean - 0.050_000_5).abs() < 1e-9);
}

#[test]
fn an_empty_window_is_not_a_number_and_never_zero() {
    let window = window(&Layout::new(&[]), &[]);
    assert!(window.is_empty());
    assert_eq!(window.rate, 0.0);
    for value in
        [window.mean, window.max, window.p50, window.p90, window.p95, window.p99, window.p999]
    {
        assert!(value.is_nan());
    }
}

#[test]
fn values_outside_the_range_are_reported_as_documented() {
    let layout = Layout::new(&[]);
    let small = window(&layout, &[1e-12, 1e-12]);
    assert_eq!((small.p50, small.max), (0.0, 1e-12));
    let large = window(&layout, &[1e18]);
    assert_eq!((large.p50, large.max), (1e18, 1e18));
    let negative = window(&layout, &[-5.0, -7.0]);
    assert_eq!((negative.p99, negative.max), (-5.0, -5.0));
}

#[test]
fn a_maximum_caught_between_two_ticks_stays_within_the_highest_cell() {
    let layout = Layout::new(&[]);
    let mut total = WindowSum::new(&layout);
    total.cells[layout.cell(3.0)] = 1;
    let (low, high) = layout.edges(layout.cell(3.0));
    for (tracked, reported) in [(Some(1.0), low), (Some(9.0), high), (Some(3.0), 3.0)] {
        total.max = tracked;
        let window = Window::of_histogram(&total, &layout, Duration::from_secs(1));
        assert_eq!(window.max, reported);
    }
}

#[cfg(feature = "serde")]
#[test]
fn what_an_empty_window_cannot_tell_is_null_in_json_and_never_zero() {
    let empty = window(&Layout::new(&[]), &[]);
    let json = serde_json::to_value(empty).unwrap();
    for name in ["mean", "max", "p50", "p90", "p95", "p99", "p999"] {
        assert!(json[name].is_null(), "{name}: {json}");
    }
    // What is known of it is a number: nothing came.
    assert_eq!((json["count"].as_u64(), json["rate"].as_f64()), (Some(0), Some(0.0)));
    assert_eq!(json["span_seconds"].as_f64(), Some(10.0));
    let one = serde_json::to_value(window(&Layout::new(&[]), &[0.25])).unwrap();
    assert_eq!((one["max"].as_f64(), one["mean"].as_f64()), (Some(0.25), Some(0.25)));
    assert_eq!(json.as_object().unwrap().len(), 12);
}
