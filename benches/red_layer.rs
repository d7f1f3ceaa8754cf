//! What does the RED layer add to a request?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::convert::Infallible;
use std::hint::black_box;

use bench_harness::{Bench, Role, Subject};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use metrics::Recorder as _;
use seawall_metrics::{Recorder, RedLayer};
use tokio::time::Instant;
use tower::{Layer, Service, service_fn};

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let service = service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))
    });
    let red = |table: &[&'static str]| {
        let (recorder, _) = Recorder::builder().build().unwrap();
        let layer = RedLayer::new().recorder(recorder);
        layer.route_table(table.iter().copied()).unwrap().layer(service)
    };
    let mut bare = service;
    let mut one = red(&["/users/{id}"]);
    let templates =
        ["/", "/users/{id}", "/users/{id}/orders/{order}", "/static/{*path}", "/health"];
    let mut grpc = RedLayer::new().grpc(true).layer(service);
    let mut many = red(&templates);
    let (recorder, _) = Recorder::builder().build().unwrap();
    let key = metrics::Key::from_name("floor_seconds");
    let metadata = metrics::Metadata::new("", metrics::Level::INFO, None);
    let histogram = recorder.register_histogram(&key, &metadata);

    let mut bench = Bench::new("red_layer");
    bench.case(
        "a request with a body of one piece",
        vec![
            Subject::new("no layer", Role::Floor, |times| {
                runtime.block_on(async { serve(&mut bare, times).await });
            }),
            Subject::new("no layer, two clock reads and one value by hand", Role::Floor, |times| {
                let mut bare = service;
                runtime.block_on(async {
                    for _ in 0..times {
                        let start = Instant::now();
                        serve(&mut bare, 1).await;
                        histogram.record(start.elapsed().as_secs_f64());
                    }
                });
            }),
            Subject::new("RedLayer, one template", Role::Ours, |times| {
                runtime.block_on(async { serve(&mut one, times).await });
            }),
            Subject::new("RedLayer, five templates", Role::Ours, |times| {
                runtime.block_on(async { serve(&mut many, times).await });
            }),
            Subject::new("RedLayer, nobody records", Role::Ours, |times| {
                runtime.block_on(async { serve(&mut grpc, times).await });
            }),
        ],
    );
    bench.finish()
}

async fn serve<S, B>(service: &mut S, times: u64)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: BodyExt + Send,
    B::Error: std::fmt::Debug,
{
    for _ in 0..times {
        let request = Request::builder().uri("/users/17").body(Full::default()).unwrap();
        let response = service.call(request).await.unwrap();
        black_box(BodyExt::collect(response.into_body()).await.unwrap());
    }
}
