use metrics::{Key, Label, Level, Metadata, Recorder as _};
use proptest::prelude::*;
use seawall_metrics::{Format, Handle, Recorder};

use crate::parser::{Labels, Parsed, parse};

const METADATA: Metadata<'static> = Metadata::new("test", Level::INFO, None);

fn recorder() -> (Recorder, Handle) {
    Recorder::builder().build().unwrap()
}

fn open(handle: &Handle) -> Parsed {
    parse(&String::from_utf8(handle.render_as(Format::OpenMetrics)).unwrap())
}

fn count(recorder: &Recorder, name: &'static str) {
    recorder.register_counter(&Key::from_static_name(name), &METADATA).increment(7);
}

fn bucket(bound: &str) -> (String, Labels) {
    ("took_seconds_bucket".to_owned(), [("le".to_owned(), bound.to_owned())].into())
}

#[test]
fn openmetrics_ends_with_its_mark_and_the_text_format_does_not() {
    let (_recorder, handle) = recorder();
    assert!(open(&handle).open);
    assert!(!parse(&handle.render()).open);
}

#[test]
fn every_series_has_the_same_name_labels_and_value_in_both_texts() {
    let (recorder, handle) = recorder();
    for name in ["hits_total", "odd", "jobs_total"] {
        count(&recorder, name);
    }
    recorder.register_gauge(&Key::from_static_name("jobs"), &METADATA).set(2.5);
    recorder.register_histogram(&Key::from_static_name("took_seconds"), &METADATA).record(0.3);
    let (plain, mut open) = (parse(&handle.render()), open(&handle));
    // When they began is told in one of them only.
    open.samples.retain(|(name, _), _| !name.ends_with("_created"));
    assert_eq!(plain.samples, open.samples);
    // The family is named without `_total`, unless that is another one's name.
    assert_eq!(open.types["hits"], "counter");
    assert_eq!(open.types["jobs"], "gauge");
    assert_eq!(open.types["jobs_total"], "unknown");
    assert_eq!(open.types["odd"], "unknown");
    assert_eq!(plain.types["odd"], "counter");
}

#[test]
fn an_exemplar_is_shown_in_openmetrics_only_and_on_the_bucket_of_its_value() {
    let (_recorder, handle) = recorder();
    let key = Key::from_static_name("took_seconds");
    for (value, trace) in [(0.3, "old"), (0.3, "new"), (20.0, "slow")] {
        handle.record_with_exemplar(&key, value, &[("trace_id", trace)]);
    }
    let open = open(&handle);
    assert!(open.exemplars[&bucket("0.5")].starts_with("{trace_id=\"new\"} 0.3 "));
    assert!(open.exemplars[&bucket("+Inf")].starts_with("{trace_id=\"slow\"} 20 "));
    assert_eq!(open.exemplars.len(), 2);
    assert_eq!(open.samples[&bucket("+Inf")], 3.0);
    assert!(parse(&handle.render()).exemplars.is_empty());
}

#[test]
fn an_exemplar_of_129_code_points_is_dropped_and_its_value_kept() {
    let (_recorder, handle) = recorder();
    let key = Key::from_static_name("took_seconds");
    // Code points, not bytes.
    for (length, shown) in [(129 - "trace_id".len(), 0), (128 - "trace_id".len(), 1)] {
        let trace = "ü".repeat(length);
        handle.record_with_exemplar(&key, 0.3, &[("trace_id", &trace)]);
        assert_eq!(open(&handle).exemplars.len(), shown);
    }
    assert_eq!(open(&handle).samples[&bucket("+Inf")], 2.0);
    let dropped = [("reason", "exemplar")];
    assert_eq!(handle.counter_value("seawall_metrics_rejected_total", &dropped), Some(1));
}

#[test]
fn an_exemplar_of_a_refused_value_is_not_kept() {
    let (_recorder, handle) = recorder();
    let key = Key::from_static_name("took_seconds");
    for value in [f64::NAN, -1.0, f64::INFINITY] {
        handle.record_with_exemplar(&key, value, &[("trace_id", "x")]);
    }
    assert!(open(&handle).exemplars.is_empty());
}

proptest! {
    #[test]
    fn any_label_value_help_and_exemplar_survives_openmetrics(
        value in any::<String>(), help in any::<String>(), trace in "[^\r\n]{0,20}", number in any::<f64>(),
    ) {
        prop_assume!(!value.contains('\r') && !help.contains('\r') && !trace.contains('\r'));
        let (recorder, handle) = recorder();
        let key = Key::from_parts("x", vec![Label::new("a", value.clone())]);
        recorder.register_gauge(&key, &METADATA).set(number);
        recorder.describe_gauge("x".into(), None, help.clone().into());
        handle.record_with_exemplar(&Key::from_static_name("took_seconds"), 0.3, &[("t", &trace)]);
        let parsed = open(&handle);
        let labels = [("a".to_owned(), value)].into_iter().filter(|(_, value)| !value.is_empty());
        let read = parsed.samples[&("x".to_owned(), labels.collect::<Labels>())];
        prop_assert!(read.to_bits() == number.to_bits() || read.is_nan() && number.is_nan());
        prop_assert_eq!(&parsed.help["x"], &help);
        prop_assert_eq!(parsed.exemplars.len(), 1);
    }
}
