use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;

use super::{RedBody, RedLayer};
use crate::{Handle, Recorder, Value};

mod body;
mod grpc;
mod labels;
mod outcome;
mod sizes;
mod templates;

const DURATION: &str = "http_server_request_duration_seconds";
const FIRST_BYTE: &str = "http_server_time_to_first_byte_seconds";
const BODY_SIZE: &str = "http_server_response_body_size_bytes";
const ACTIVE: &str = "http_server_active_requests";
const MINUTE: Duration = Duration::from_secs(60);

/// The template a router would have matched.
#[derive(Clone)]
struct Template(&'static str);

type TestBody = UnsyncBoxBody<Bytes, std::io::Error>;

fn layer() -> (RedLayer, Handle) {
    let (recorder, handle) = Recorder::builder().build().unwrap();
    let layer = RedLayer::new()
        .recorder(recorder)
        .route(|e| e.get::<Template>().map(|template| template.0));
    (layer, handle)
}

fn request(method: Method) -> Request<()> {
    Request::builder().method(method).extension(Template("/x/{id}")).body(()).unwrap()
}

/// Sends a request to a service that answers with `response`.
async fn respond(
    layer: &RedLayer,
    method: Method,
    response: Response<TestBody>,
) -> Response<RedBody<TestBody>> {
    let mut response = Some(response);
    let inner = service_fn(move |_: Request<()>| {
        let response = response.take().unwrap();
        async { Ok::<_, Infallible>(response) }
    });
    layer.layer(inner).oneshot(request(method)).await.unwrap()
}

fn full(text: &'static str) -> TestBody {
    Full::from(text).map_err(|never| match never {}).boxed_unsync()
}

/// A body of these chunks, of a length nobody knows.
fn chunks(chunks: Vec<std::io::Result<&'static str>>) -> TestBody {
    let frames = chunks.into_iter().map(|chunk| chunk.map(|text| Frame::data(Bytes::from(text))));
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

/// One line per duration series that has values: status, error type, count.
fn outcomes(handle: &Handle) -> Vec<String> {
    series(handle, DURATION)
        .into_iter()
        .map(|(labels, count)| {
            let label = |name| labels.get(name).map_or("-", String::as_str).to_owned();
            let status = label("http_response_status_code");
            format!("{status} {} {count}", label("error_type"))
        })
        .collect()
}

fn series(handle: &Handle, name: &str) -> Vec<(BTreeMap<String, String>, u64)> {
    let snapshot = handle.snapshot();
    let Some(metric) = snapshot.metrics.iter().find(|metric| metric.name == name) else {
        return Vec::new();
    };
    metric
        .series
        .iter()
        .map(|series| match &series.value {
            Value::Histogram(histogram) => {
                (series.labels.iter().cloned().collect(), histogram.count)
            }
            other => panic!("{other:?}"),
        })
        .collect()
}

fn active(handle: &Handle) -> f64 {
    handle.gauge_value(ACTIVE, &[]).unwrap()
}
