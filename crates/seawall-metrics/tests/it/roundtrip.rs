//! Metrics of any names, labels, numbers and descriptions, read back from a real Prometheus in each of
//! the three formats.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::{Request, header};
use metrics::{Key, Label, Level, Metadata, Recorder as _};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use seawall_devstack::{Prometheus, Stack};
use seawall_metrics::{Handle, Recorder};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tower::ServiceExt as _;

const METADATA: Metadata<'static> = Metadata::new("test", Level::INFO, None);

#[derive(Clone, Debug)]
struct Case {
    name: String,
    label: String,
    value: String,
    help: String,
    number: f64,
    kind: u8,
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => any::<String>(),
        4 => "[ -~\\\\\"\n{},=#]{0,12}",
        1 => Just("\0".to_owned()),
        1 => "[\0-\u{20}\u{7f}-\u{a0}\u{2028}\u{feff}]{1,4}",
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let number = prop_oneof![
        4 => any::<f64>(),
        2 => -1e6..1e6_f64,
        1 => prop::sample::select(vec![f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -0.0, 5e-324]),
    ];
    (text(), text(), text(), text(), number, 0_u8..3).prop_map(
        |(name, label, value, help, number, kind)| Case { name, label, value, help, number, kind },
    )
}

/// What a series has, apart from its name: for a histogram count and sum.
#[derive(Clone, Debug, PartialEq)]
struct Read {
    name: String,
    label: String,
    bits: Vec<u64>,
}

fn bits(number: f64) -> u64 {
    // There is one NaN in Prometheus, and a negative zero.
    if number.is_nan() { f64::NAN.to_bits() } else { number.to_bits() }
}

/// By number of the case.
fn record(recorder: &Recorder, cases: &[Case]) -> BTreeMap<usize, Read> {
    let mut wanted = BTreeMap::new();
    for (at, case) in cases.iter().enumerate() {
        // Some by themselves, which may clash, and some that cannot.
        let name = if at % 2 == 0 { case.name.clone() } else { format!("m{at}{}", case.name) };
        let label = format!("l{}", case.label);
        let labels = vec![Label::new("at", at.to_string()), Label::new(label, case.value.clone())];
        let key = Key::from_parts(name.clone(), labels);
        let help = case.help.clone().into();
        let numbers = match case.kind {
            0 => {
                recorder.describe_counter(name.into(), None, help);
                recorder.register_counter(&key, &METADATA).increment(at as u64 * 1_000_003);
                vec![at as f64 * 1_000_003.0]
            }
            1 => {
                recorder.describe_gauge(name.into(), None, help);
                recorder.register_gauge(&key, &METADATA).set(case.number);
                vec![case.number]
            }
            _ => {
                recorder.describe_histogram(name.into(), None, help);
                recorder.register_histogram(&key, &METADATA).record_many(0.5, at);
                vec![at as f64, at as f64 * 0.5]
            }
        };
        let bits = numbers.into_iter().map(bits).collect();
        wanted.insert(at, Read { name: String::new(), label: case.value.clone(), bits });
    }
    wanted
}

/// Which cases were not refused, and under which name.
fn named(handle: &Handle, mut wanted: BTreeMap<usize, Read>) -> BTreeMap<usize, Read> {
    let mut names = BTreeMap::new();
    for series in handle.series() {
        if let Some((_, at)) = series.labels.iter().find(|(name, _)| name == "at") {
            names.insert(at.parse::<usize>().unwrap(), series.name);
        }
    }
    wanted.retain(|at, _| names.contains_key(at));
    for (at, read) in &mut wanted {
        read.name.clone_from(&names[at]);
    }
    wanted
}

/// What Prometheus has of them; buckets are left out.
async fn stored(prometheus: &Prometheus) -> BTreeMap<usize, Read> {
    let answer = prometheus.query("{at!=\"\"}").await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let mut all: BTreeMap<usize, Read> = BTreeMap::new();
    for sample in answer["data"]["result"].as_array().unwrap() {
        let labels = sample["metric"].as_object().unwrap();
        let of = |name: &str| labels.get(name).and_then(Value::as_str).unwrap_or_default();
        if !of("le").is_empty() || of("__name__").ends_with("_created") {
            continue;
        }
        let known = ["__name__", "at", "instance", "job"];
        let own = labels.iter().filter(|(name, _)| !known.contains(&name.as_str()));
        let label = own.map(|(_, value)| value.as_str().unwrap()).collect();
        let number = |value: &Value| bits(value.as_str().unwrap().parse::<f64>().unwrap());
        let (name, bits) = match &sample["histogram"] {
            Value::Null => (of("__name__"), vec![number(&sample["value"][1])]),
            native => {
                (of("__name__"), vec![number(&native[1]["count"]), number(&native[1]["sum"])])
            }
        };
        let at = of("at").parse().unwrap();
        match all.get_mut(&at) {
            None => drop(all.insert(at, Read { name: name.to_owned(), label, bits })),
            // `_count` and `_sum`, in this order.
            Some(read) => {
                read.bits.extend(bits);
                read.name = name.trim_end_matches("_sum").to_owned();
            }
        }
    }
    all
}

/// What Prometheus says that metrics are for, by the name of the family.
async fn described(prometheus: &Prometheus) -> BTreeMap<String, String> {
    let answer = prometheus.get("/api/v1/metadata").await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let all = answer["data"].as_object().unwrap();
    let help = |about: &Value| about[0]["help"].as_str().unwrap().to_owned();
    all.iter().map(|(name, about)| (name.clone(), help(about))).collect()
}

/// `/metrics` for a scraper that is not asked what it takes.
async fn in_text(handle: &Handle) -> SocketAddr {
    let plain = handle.service().map_request(|mut request: Request<axum::body::Body>| {
        request.headers_mut().remove(header::ACCEPT);
        request
    });
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let app = Router::new().route_service("/metrics", plain);
    tokio::spawn(async move { axum::serve(listener, app).await });
    addr
}

#[tokio::test]
async fn metrics_of_any_name_label_number_and_help_survive_a_real_prometheus_in_every_format() {
    let many = prop::collection::vec(case(), 150);
    let cases = many.new_tree(&mut TestRunner::deterministic()).unwrap().current();
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let wanted = record(&recorder, &cases);
    let wanted = named(&handle, wanted);
    assert!(wanted.len() > 140, "{} were refused", cases.len() - wanted.len());
    let listener = crate::prometheus::serve(&handle).await;
    let plain = in_text(&handle).await;
    for (format, addr, feature) in [
        ("text", plain, "exemplar-storage"),
        ("openmetrics", listener.local_addr(), "exemplar-storage"),
        ("protobuf", listener.local_addr(), "native-histograms"),
    ] {
        let stack = Stack::builder().prometheus(addr).prometheus_feature(feature);
        let stack = stack.start().await.unwrap();
        let prometheus = stack.prometheus().unwrap();
        // Not at the first look: on a busy machine a scrape may be given up for being late.
        let end = Instant::now() + Duration::from_secs(60);
        let mut read = stored(prometheus).await;
        while read != wanted && Instant::now() < end {
            sleep(Duration::from_millis(50)).await;
            read = stored(prometheus).await;
        }
        let targets = prometheus.get("/api/v1/targets").await.unwrap();
        assert!(!read.is_empty(), "{format}: {targets}");
        for (at, wanted) in &wanted {
            assert_eq!(read.get(at), Some(wanted), "{format}: {:?}", cases[*at]);
        }
        assert_eq!(read.len(), wanted.len(), "{format}");
        let told = described(prometheus).await;
        for metric in handle.snapshot().metrics {
            // OpenMetrics names the family of a counter without it.
            let short = metric.name.strip_suffix("_total").unwrap_or_default();
            let found = told.get(&metric.name).or_else(|| told.get(short));
            // Its reader of text ends a description at a NUL.
            let is_read = |help: &&String| !help.contains('\0');
            let help = metric.help.as_ref().filter(is_read);
            assert!(
                help.is_none() || found == help,
                "{format}: {} {found:?} {help:?}",
                metric.name
            );
        }
    }
}
