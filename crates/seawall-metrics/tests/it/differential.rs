//! The same random work through metrics-exporter-prometheus and through this
//! recorder must give the same exposition.

use metrics::{Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::PrometheusBuilder;
use proptest::prelude::*;

use crate::parser::{Parsed, parse};

const METADATA: Metadata<'static> = Metadata::new("test", Level::INFO, None);
const BOUNDS: [f64; 6] = [-1.0, 0.005, 0.25, 1.0, 2.5, 100.0];

#[derive(Clone, Debug)]
enum Op {
    Increment(u64),
    Absolute(u64),
    Set(f64),
    Add(f64),
    Subtract(f64),
    Record(f64),
    RecordMany(f64, usize),
}

fn op() -> impl Strategy<Value = Op> {
    let value = prop_oneof![-10.0..200.0_f64, prop::sample::select(BOUNDS.to_vec()), Just(0.0),];
    prop_oneof![
        (0_u64..1000).prop_map(Op::Increment),
        (0_u64..1000).prop_map(Op::Absolute),
        value.clone().prop_map(Op::Set),
        value.clone().prop_map(Op::Add),
        value.clone().prop_map(Op::Subtract),
        value.clone().prop_map(Op::Record),
        (value, 0_usize..20).prop_map(|(value, n)| Op::RecordMany(value, n)),
    ]
}

fn labels() -> impl Strategy<Value = Vec<Label>> {
    let value = prop::sample::select(vec!["", "x", "/a/{id}", "a \"quote\"", "two\nlines", "ü"]);
    prop::collection::btree_map("[a-c]", value, 0..3).prop_map(|labels| {
        labels.into_iter().map(|(name, value)| Label::new(name, value)).collect()
    })
}

fn apply(recorder: &dyn Recorder, work: &[(usize, Vec<Label>, Op)]) {
    for (n, labels, op) in work {
        let key = |kind: &str| Key::from_parts(format!("{kind}_{n}"), labels.clone());
        let counter = || recorder.register_counter(&key("counter"), &METADATA);
        let gauge = || recorder.register_gauge(&key("gauge"), &METADATA);
        let histogram = || recorder.register_histogram(&key("histogram"), &METADATA);
        match *op {
            Op::Increment(by) => counter().increment(by),
            Op::Absolute(to) => counter().absolute(to),
            Op::Set(value) => gauge().set(value),
            Op::Add(value) => gauge().increment(value),
            Op::Subtract(value) => gauge().decrement(value),
            Op::Record(value) => histogram().record(value),
            Op::RecordMany(value, n) => histogram().record_many(value, n),
        }
    }
}

fn ours(work: &[(usize, Vec<Label>, Op)]) -> Parsed {
    let (recorder, handle) =
        seawall_metrics::Recorder::builder().default_buckets(&BOUNDS).build().unwrap();
    apply(&recorder, work);
    let mut parsed = parse(&handle.render());
    let foreign = |name: &str| !name.starts_with("seawall_metrics_");
    parsed.types.retain(|name, _| foreign(name));
    parsed.samples.retain(|(name, _), _| foreign(name));
    parsed
}

/// The exporter is given no labels without a value: it would make series of their own of them,
/// which are the same to Prometheus.
fn theirs(work: &[(usize, Vec<Label>, Op)]) -> Parsed {
    let mut work = work.to_vec();
    for (_, labels, _) in &mut work {
        labels.retain(|label| !label.value().is_empty());
    }
    let recorder = PrometheusBuilder::new().set_buckets(&BOUNDS).unwrap().build_recorder();
    apply(&recorder, &work);
    let mut parsed = parse(&recorder.handle().render());
    // It prints a bound as `1`, we print `1.0`, as OpenMetrics wants it.
    parsed.samples = std::mem::take(&mut parsed.samples)
        .into_iter()
        .map(|((name, mut labels), value)| {
            let bound = labels.get_mut("le").filter(|_| name.ends_with("_bucket"));
            if let Some(bound) = bound.filter(|bound| !bound.contains(['.', 'e', 'I'])) {
                bound.push_str(".0");
            }
            ((name, labels), value)
        })
        .collect();
    parsed
}

/// Whoever stays with that exporter loses nothing of the rest of the crate.
#[cfg(feature = "tower")]
#[tokio::test]
async fn the_request_layer_web_vitals_and_users_go_to_another_exporter_as_well() {
    use axum::body::Body;
    use axum::http::{Request, Response};
    use seawall_metrics::{Active, ActiveConfig, RedLayer, VitalsConfig, VitalsService};
    use tower::{Layer as _, ServiceExt as _, service_fn};

    let recorder = PrometheusBuilder::new().set_buckets(&BOUNDS).unwrap().build_recorder();
    let handle = recorder.handle();
    let (vitals, users) = metrics::with_local_recorder(&recorder, || {
        let users = Active::new("active_users", ActiveConfig::default()).unwrap();
        (VitalsService::new(VitalsConfig::default()).unwrap(), users)
    });
    users.seen("user-17");
    users.publish(tokio::time::Instant::now());
    let beacon = Request::post("/vitals")
        .header("host", "shop.example")
        .header("origin", "https://shop.example")
        .header("content-type", "text/plain");
    let beacon = beacon.body(Body::from("LCP=1200")).unwrap();
    assert_eq!(vitals.oneshot(beacon).await.unwrap().status(), 204);
    let service = RedLayer::new().recorder(recorder).layer(service_fn(|_: Request<Body>| async {
        Ok::<_, std::convert::Infallible>(Response::new(Body::empty()))
    }));
    drop(service.oneshot(Request::new(Body::empty())).await.unwrap());
    let parsed = parse(&handle.render());
    let all = |name: &str| {
        let found = parsed.samples.iter().filter(|((own, _), _)| own == name);
        found.map(|(_, value)| *value).collect::<Vec<_>>()
    };
    assert_eq!(all("http_server_request_duration_seconds_count"), [1.0]);
    assert_eq!(all("web_vitals_lcp_seconds_sum"), [1.2]);
    assert_eq!(all("active_users"), [1.0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn the_exposition_equals_that_of_metrics_exporter_prometheus(
        work in prop::collection::vec((0_usize..3, labels(), op()), 0..120),
    ) {
        let (ours, theirs) = (ours(&work), theirs(&work));
        prop_assert_eq!(&ours.types, &theirs.types);
        let keys = |parsed: &Parsed| parsed.samples.keys().cloned().collect::<Vec<_>>();
        prop_assert_eq!(keys(&ours), keys(&theirs));
        for (key, value) in &ours.samples {
            let expected = theirs.samples[key];
            let close = (value - expected).abs() <= 1e-9 * expected.abs().max(1.0);
            prop_assert!(close, "{key:?}: {value} against {expected}");
        }
    }
}
