use metrics::{Key, Label, Level, Metadata, Recorder as _};
use proptest::prelude::*;
use seawall_metrics::Recorder;

use crate::parser::{Labels, parse};

const METADATA: Metadata<'static> = Metadata::new("test", Level::INFO, None);

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[\\\\\"\n,={}a ]{0,6}", ".{0,12}", any::<String>(),]
}

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), Just(0.03), Just(1e-9), Just(1e21), -1e6..1e6_f64]
}

proptest! {
    #[test]
    fn any_name_label_and_value_survives_the_text_format(
        name in text(), label in "[a-z]{1,3}", value in text(), help in text(), number in float(),
    ) {
        // Escapes the parser cannot tell from a line's end.
        prop_assume!(!value.contains('\r') && !help.contains('\r') && !help.contains('"'));
        let (recorder, handle) = Recorder::builder().build().unwrap();
        let labels = vec![Label::new(label.clone(), value.clone())];
        let key = Key::from_parts(name.clone(), labels);
        recorder.register_gauge(&key, &METADATA).set(number);
        recorder.describe_gauge(name.into(), None, help.clone().into());
        let parsed = parse(&handle.render());
        let found: Vec<_> = parsed
            .samples
            .iter()
            .filter(|((name, _), _)| !name.starts_with("seawall_metrics_"))
            .collect();
        prop_assert_eq!(found.len(), 1);
        let ((name, labels), read) = found[0];
        // A label without a value is none.
        let expected = [(label, value)].into_iter().filter(|(_, value)| !value.is_empty());
        prop_assert_eq!(labels, &expected.collect::<Labels>());
        prop_assert!(read.to_bits() == number.to_bits() || read.is_nan() && number.is_nan());
        prop_assert_eq!(&parsed.help[name], &help);
    }
}

fn record(labels: &[(&'static str, &'static str)], handle: &impl Fn(&Key)) {
    let labels: Vec<Label> = labels.iter().map(Label::from).collect();
    handle(&Key::from_parts("took", labels));
}

#[test]
fn two_scrapes_without_a_change_are_equal_and_in_order() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let hit = |key: &Key| recorder.register_histogram(key, &METADATA).record(0.3);
    record(&[("z", "1")], &hit);
    record(&[("a", "2"), ("b", "1")], &hit);
    record(&[("b", "1"), ("a", "10")], &hit);
    record(&[], &hit);
    let first = handle.render();
    assert_eq!(first, handle.render());
    let counts: Vec<&str> = first.lines().filter(|l| l.starts_with("took_count")).collect();
    assert_eq!(
        counts,
        [
            "took_count 1",
            "took_count{a=\"10\",b=\"1\"} 1",
            "took_count{a=\"2\",b=\"1\"} 1",
            "took_count{z=\"1\"} 1",
        ]
    );
    let mut names: Vec<&str> =
        first.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let printed = names.clone();
    names.sort_unstable();
    assert_eq!(names, printed);
}

#[test]
fn a_bucket_bound_is_printed_in_one_canonical_form() {
    let (recorder, handle) = Recorder::builder()
        .buckets("took", &[0.03, 0.1, 0.1 + 0.2, 1.0, 10.0, 1e21])
        .build()
        .unwrap();
    let key = Key::from_static_name("took");
    recorder.register_histogram(&key, &METADATA).record(0.1);
    let text = handle.render();
    let bounds: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("took_bucket{le=\"")?.split_once('"'))
        .map(|(bound, _)| bound)
        .collect();
    assert_eq!(bounds, ["0.03", "0.1", "0.30000000000000004", "1.0", "10.0", "1e+21", "+Inf"]);
    assert!(text.contains("took_bucket{le=\"0.03\"} 0\ntook_bucket{le=\"0.1\"} 1\n"));
}

#[test]
fn a_gauge_that_counts_is_typed_counter() {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let key = Key::from_static_name("process_cpu_seconds_total");
    recorder.register_gauge(&key, &METADATA).set(1.5);
    let parsed = parse(&handle.render());
    assert_eq!(parsed.types["process_cpu_seconds_total"], "counter");
}

#[test]
fn the_recorders_own_metrics_follow_the_naming_rules() {
    let (_recorder, handle) = Recorder::builder().build().unwrap();
    let parsed = parse(&handle.render());
    for (name, kind) in &parsed.types {
        assert!(parsed.help.contains_key(name), "{name} has no help");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        assert!(name.starts_with("seawall_metrics_"), "{name}");
    }
    assert!(!parsed.types.is_empty());
}
