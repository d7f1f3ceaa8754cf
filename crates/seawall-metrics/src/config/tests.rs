use super::*;
use crate::Recorder;

fn refused(config: Config) -> (&'static str, f64) {
    match Recorder::builder().config(config).build() {
        Err(Error::Config { field, value, .. }) => (field, value),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bound_that_does_not_rise_is_refused_by_field_and_value() {
    for (bounds, bad) in
        [(vec![1.0, 1.0], 1.0), (vec![2.0, 1.5], 1.5), (vec![1.0, f64::INFINITY], f64::INFINITY)]
    {
        let config =
            Config { buckets: BTreeMap::from([("x".into(), bounds.clone())]), ..Config::default() };
        assert_eq!(refused(config), ("buckets", bad));
        let config = Config { default_buckets: Some(bounds), ..Config::default() };
        assert_eq!(refused(config), ("default_buckets", bad));
    }
    let nan = Config { default_buckets: Some(vec![f64::NAN]), ..Config::default() };
    assert!(refused(nan).1.is_nan());
}

#[test]
fn too_many_bounds_and_no_series_at_all_are_refused() {
    let many = (0..129).map(f64::from).collect();
    let config = Config { default_buckets: Some(many), ..Config::default() };
    assert_eq!(refused(config), ("default_buckets", 129.0));
    let config = Config { max_series: 0, ..Config::default() };
    assert_eq!(refused(config), ("max_series", 0.0));
    let config = Config { max_metrics: Some(0), ..Config::default() };
    assert_eq!(refused(config), ("max_metrics", 0.0));
}

#[test]
fn the_defaults_are_valid_and_chosen_by_unit() {
    let mut config = Config::default();
    assert!(config.validate().is_ok());
    assert_eq!(config.bounds_of("x_seconds"), SECONDS);
    assert_eq!(config.bounds_of("x_bytes"), BYTES);
    config.default_buckets = Some(vec![1.0]);
    assert_eq!(config.bounds_of("x_bytes"), [1.0]);
    config.buckets.insert("x_bytes".into(), vec![]);
    assert!(config.bounds_of("x_bytes").is_empty());
    assert!(config.validate().is_ok());
}

#[cfg(feature = "serde")]
#[test]
fn a_configuration_file_with_a_misspelt_field_is_refused() {
    let text = r#"{"max_series": 500, "buckets": {"x_seconds": [0.1, 1]}}"#;
    let config: Config = serde_json::from_str(text).unwrap();
    assert_eq!(config.max_series, 500);
    assert_eq!(config.bounds_of("x_seconds"), [0.1, 1.0]);
    assert_eq!(config.default_buckets, None);
    assert!(serde_json::from_str::<Config>(r#"{"max_serie": 1}"#).is_err());
}
