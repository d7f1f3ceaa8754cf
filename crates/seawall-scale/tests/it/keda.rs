use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use seawall_scale::actuate::keda::{Keda, KedaConfig};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Code, Streaming};

use crate::keda_client::external_scaler_client::ExternalScalerClient;
use crate::keda_client::{GetMetricsRequest, IsActiveResponse, ScaledObjectRef};

const LONG: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3_600);

struct Served {
    keda: Keda,
    channel: Channel,
    client: ExternalScalerClient<Channel>,
    _stop: oneshot::Sender<()>,
}

async fn serve(max_age: Duration) -> Served {
    let keda = Keda::new(KedaConfig { max_age }).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let served = Server::builder().add_service(keda.service()).serve_with_incoming_shutdown(
        TcpIncoming::from(listener),
        async {
            let _dropped = stopped.await;
        },
    );
    tokio::spawn(served);
    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    let channel = channel.connect().await.unwrap();
    let client = ExternalScalerClient::new(channel.clone());
    Served { keda, channel, client, _stop: stop }
}

/// As KEDA names a ScaledObject of a trigger with these metadata.
fn object(name: &str, metadata: &[(&str, &str)]) -> ScaledObjectRef {
    ScaledObjectRef {
        name: name.into(),
        namespace: "default".into(),
        scaler_metadata: metadata
            .iter()
            .chain(&[("scalerAddress", "engine:9000")])
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

fn metric(object: ScaledObjectRef, name: &str) -> GetMetricsRequest {
    GetMetricsRequest { scaled_object_ref: Some(object), metric_name: name.into() }
}

impl Served {
    async fn value(&mut self, object: ScaledObjectRef) -> Result<(i64, f64), Code> {
        let answer = self.client.get_metrics(metric(object, "seawall-instances")).await;
        let values = answer.map_err(|status| status.code())?.into_inner().metric_values;
        assert_eq!(values.len(), 1);
        Ok((values[0].metric_value, values[0].metric_value_float))
    }

    async fn active(&mut self, object: ScaledObjectRef) -> Result<bool, Code> {
        let answer = self.client.is_active(object).await;
        answer.map(|answer| answer.into_inner().result).map_err(|status| status.code())
    }

    async fn stream(&mut self, object: ScaledObjectRef) -> Streaming<IsActiveResponse> {
        self.client.stream_is_active(object).await.unwrap().into_inner()
    }
}

async fn pushed(stream: &mut Streaming<IsActiveResponse>) -> Option<bool> {
    let next = timeout(LONG, stream.message()).await.expect("a message in time");
    next.unwrap().map(|message| message.result)
}

#[tokio::test]
async fn keda_reads_the_decision_as_a_metric_whose_target_is_one() {
    let mut it = serve(HOUR).await;
    let web = it.keda.group("web");
    web.publish(7);
    // By the name of the object, and by the metadata.
    assert_eq!(it.value(object("web", &[])).await, Ok((7, 7.0)));
    let named = object("some-object", &[("group", "web")]);
    assert_eq!(it.value(named.clone()).await, Ok((7, 7.0)));
    assert_eq!(it.active(named.clone()).await, Ok(true));
    let specs = it.client.get_metric_spec(named).await.unwrap().into_inner().metric_specs;
    assert_eq!(specs.len(), 1);
    assert_eq!(specs[0].metric_name, "seawall-instances");
    assert_eq!((specs[0].target_size, specs[0].target_size_float), (1, 1.0));
}

#[tokio::test]
async fn zero_is_said_in_both_number_fields_and_is_not_active() {
    let mut it = serve(HOUR).await;
    let web = it.keda.group("web");
    web.publish(0);
    assert_eq!(it.value(object("web", &[])).await, Ok((0, 0.0)));
    assert_eq!(it.active(object("web", &[])).await, Ok(false));
}

#[tokio::test]
async fn an_unknown_group_or_metric_is_not_found_and_others_are_unaffected() {
    let mut it = serve(HOUR).await;
    let web = it.keda.group("web");
    web.publish(3);
    assert_eq!(it.value(object("typo", &[])).await, Err(Code::NotFound));
    assert_eq!(it.active(object("web", &[("group", "typo")])).await, Err(Code::NotFound));
    let status = it.client.get_metrics(metric(object("web", &[]), "s0-seawall")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert!(status.message().contains("seawall-instances"), "{}", status.message());
    let refused = it.client.stream_is_active(object("typo", &[])).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert_eq!(it.value(object("web", &[])).await, Ok((3, 3.0)));
    assert!(it.keda.remove("web"));
    assert_eq!(it.value(object("web", &[])).await, Err(Code::NotFound));
}

#[tokio::test]
async fn bad_metadata_fail_the_trigger_but_never_the_metric_spec() {
    let mut it = serve(HOUR).await;
    let _web = it.keda.group("web");
    for bad in ["", "x".repeat(101).as_str()] {
        let object = object("web", &[("group", bad)]);
        assert_eq!(it.active(object.clone()).await, Err(Code::InvalidArgument));
        assert_eq!(it.value(object.clone()).await, Err(Code::InvalidArgument));
        assert!(it.client.get_metric_spec(object).await.is_ok());
    }
    let none = GetMetricsRequest { scaled_object_ref: None, metric_name: "x".into() };
    assert_eq!(it.client.get_metrics(none).await.unwrap_err().code(), Code::InvalidArgument);
    assert!(it.client.get_metric_spec(object("unknown", &[])).await.is_ok());
}

#[tokio::test]
async fn an_engine_that_stopped_deciding_is_unavailable_and_not_zero() {
    let mut it = serve(Duration::from_secs(1)).await;
    let web = it.keda.group("web");
    assert_eq!(it.value(object("web", &[])).await, Err(Code::Unavailable), "nothing decided yet");
    web.publish(5);
    drop(web);
    let deadline = tokio::time::Instant::now() + LONG;
    while it.value(object("web", &[])).await == Ok((5, 5.0)) {
        assert!(tokio::time::Instant::now() < deadline, "it never grew stale");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let status = it.client.is_active(object("web", &[])).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().starts_with("the last decision is "), "{}", status.message());
}

#[tokio::test]
async fn a_stream_tells_the_state_on_opening_and_then_each_wake_once() {
    let mut it = serve(HOUR).await;
    let web = it.keda.group("web");
    web.publish(0);
    let mut stream = it.stream(object("web", &[])).await;
    assert_eq!(pushed(&mut stream).await, Some(false));
    for _ in 0..3 {
        web.publish(2);
        assert_eq!(pushed(&mut stream).await, Some(true));
        // Growing, shrinking and deciding again are no wakes; falling asleep is told by polling.
        for size in [2, 5, 5, 3, 1, 0, 0] {
            web.publish(size);
            assert_eq!(pushed_or_nothing(&mut stream).await, None);
        }
    }
    web.publish(1);
    assert_eq!(pushed(&mut stream).await, Some(true));
    let mut second = it.stream(object("web", &[])).await;
    assert_eq!(pushed(&mut second).await, Some(true));
}

/// What a stream says within a moment, if anything.
async fn pushed_or_nothing(stream: &mut Streaming<IsActiveResponse>) -> Option<bool> {
    let next = timeout(Duration::from_millis(60), stream.message()).await.ok()?;
    next.unwrap().map(|message| message.result)
}

#[tokio::test]
async fn a_stream_ends_when_its_engine_goes_and_says_nothing_before_the_first_decision() {
    let mut it = serve(HOUR).await;
    let web = it.keda.group("web");
    let mut stream = it.stream(object("web", &[])).await;
    assert_eq!(pushed_or_nothing(&mut stream).await, None);
    web.publish(4);
    assert_eq!(pushed(&mut stream).await, Some(true));
    drop(web);
    assert_eq!(pushed(&mut stream).await, None);
    let refused = it.client.stream_is_active(object("web", &[])).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
}

/// Streams that the server holds open, by its gauge. A snapshot sets that to zero: what it has is
/// what came since the last.
struct Streams {
    metrics: Snapshotter,
    open: f64,
}

impl Streams {
    fn open(&mut self) -> f64 {
        for (key, .., value) in self.metrics.snapshot().into_vec() {
            if key.key().name() == "seawall_scale_keda_streams"
                && let DebugValue::Gauge(since) = value
            {
                self.open += since.into_inner();
            }
        }
        self.open
    }

    async fn come_to(&mut self, open: f64) {
        let deadline = tokio::time::Instant::now() + LONG;
        while self.open() != open {
            assert!(tokio::time::Instant::now() < deadline, "{} streams are open", self.open);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn a_stream_that_keda_cancels_or_whose_connection_is_lost_leaves_nothing_on_the_server() {
    let recorder = DebuggingRecorder::new();
    let mut open = Streams { metrics: recorder.snapshotter(), open: 0.0 };
    // The server's tasks run on this thread.
    let _recorded = metrics::set_default_local_recorder(&recorder);
    let mut it = serve(HOUR).await;
    let web = it.keda.group("web");
    web.publish(1);
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = it.stream(object("web", &[])).await;
        assert_eq!(pushed(&mut stream).await, Some(true));
        streams.push(stream);
    }
    open.come_to(3.0).await;
    // Nothing is decided meanwhile: the server learns of it from the client alone.
    streams.pop();
    open.come_to(2.0).await;
    // The connection with its streams, as when KEDA's pod is killed.
    let Served { keda, channel, client, _stop } = it;
    drop((channel, client, streams));
    open.come_to(0.0).await;
    // The next wake finds nobody, and a new one may listen.
    for size in [0, 1] {
        web.publish(size);
    }
    assert!(keda.remove("web"));
}

#[tokio::test]
async fn specs_are_not_streamed_and_keda_is_told_so() {
    let it = serve(HOUR).await;
    let mut grpc = tonic::client::Grpc::new(it.channel.clone());
    grpc.ready().await.unwrap();
    let path = "/externalscaler.ExternalScaler/StreamMetricSpec".parse().unwrap();
    let codec = tonic_prost::ProstCodec::<ScaledObjectRef, IsActiveResponse>::default();
    let request = tonic::Request::new(object("web", &[]));
    let status = grpc.server_streaming(request, path, codec).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}
