use metrics::{histogram, with_local_recorder};
use proptest::prelude::*;

use super::*;
use crate::Recorder;

fn of(bounds: &[f64], values: &[f64]) -> HistogramSnapshot {
    let (recorder, handle) = Recorder::builder().buckets("size", bounds).build().unwrap();
    with_local_recorder(&recorder, || {
        let size = histogram!("size");
        values.iter().for_each(|value| size.record(*value));
    });
    let snapshot = handle.snapshot();
    let metric = snapshot.metrics.iter().find(|metric| metric.name == "size").unwrap();
    let Value::Histogram(histogram) = &metric.series[0].value else { panic!("{metric:?}") };
    histogram.clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn two_nodes_together_have_the_quantiles_of_all_their_values(
        one in prop::collection::vec(1e-6..1e6_f64, 0..60),
        other in prop::collection::vec(1e-6..1e6_f64, 0..60),
    ) {
        let bounds = [0.5, 10.0, 1e5];
        let all = of(&bounds, &[one.clone(), other.clone()].concat());
        let mut merged = of(&bounds, &one);
        merged.merge(&of(&bounds, &other)).unwrap();
        prop_assert_eq!(merged.count, all.count);
        prop_assert_eq!(&merged.buckets, &all.buckets);
        prop_assert!((merged.sum - all.sum).abs() <= 1e-9 * all.sum.abs());
        for q in [0.0, 0.25, 0.5, 0.95, 0.99, 1.0] {
            let (merged, all) = (merged.quantile(q), all.quantile(q));
            prop_assert!(merged.to_bits() == all.to_bits(), "{q}: {merged} {all}");
        }
    }
}

#[test]
fn nodes_with_other_buckets_are_refused_and_nothing_is_changed() {
    let mut one = of(&[0.5, 10.0], &[1.0, 2.0]);
    let error = one.merge(&of(&[0.5, 20.0], &[1.0])).unwrap_err();
    assert!(matches!(error, Error::OtherBuckets) && !error.is_retryable(), "{error}");
    assert_eq!((one.count, one.buckets.last()), (2, Some(&(f64::INFINITY, 2))));
}
