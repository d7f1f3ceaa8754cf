use std::collections::HashMap;
use std::pin::Pin;

use futures_util::{Stream, stream};
use metrics::{Gauge, Unit, counter, describe_counter, describe_gauge, gauge};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::Keda;
use super::feed::{Reading, Stale};
use super::wire::external_scaler_server::ExternalScaler;
use super::wire::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, MetricSpec,
    MetricValue, ScaledObjectRef,
};

/// The service behind [`Keda::service`].
#[derive(Debug)]
pub struct KedaScaler {
    keda: Keda,
}

type Pushed = Pin<Box<dyn Stream<Item = Result<IsActiveResponse, Status>> + Send>>;

#[tonic::async_trait]
impl ExternalScaler for KedaScaler {
    type StreamIsActiveStream = Pushed;

    async fn is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<IsActiveResponse>, Status> {
        let answer =
            self.target(request.get_ref()).map(|target| IsActiveResponse { result: target > 0 });
        counted("IsActive", answer)
    }

    /// The present state first, then `true` each time the group wakes: KEDA ignores `false`, and a
    /// repeated `true` would only prolong its cooldown.
    async fn stream_is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamIsActiveStream>, Status> {
        let max_age = self.keda.config.max_age;
        let answer = self.living(request.get_ref()).map(|(group, reader)| -> Pushed {
            let open = Open { reader, told: None, _counted: Counted::new(group) };
            Box::pin(stream::unfold(open, move |mut open| async move {
                let active = open.next(max_age).await?;
                Some((Ok(IsActiveResponse { result: active }), open))
            }))
        });
        counted("StreamIsActive", answer)
    }

    /// Never fails and never changes: KEDA counts a failure here as none that its fallback heeds.
    async fn get_metric_spec(
        &self,
        _request: Request<ScaledObjectRef>,
    ) -> Result<Response<GetMetricSpecResponse>, Status> {
        let spec =
            MetricSpec { metric_name: METRIC.to_owned(), target_size: 1, target_size_float: 1.0 };
        counted("GetMetricSpec", Ok(GetMetricSpecResponse { metric_specs: vec![spec] }))
    }

    async fn get_metrics(
        &self,
        request: Request<GetMetricsRequest>,
    ) -> Result<Response<GetMetricsResponse>, Status> {
        counted("GetMetrics", self.value(request.get_ref()))
    }
}

impl KedaScaler {
    pub(super) fn new(keda: Keda) -> Self {
        describe_counter!(REQUESTS, Unit::Count, "Questions of KEDA, by method and gRPC code.");
        describe_gauge!(STREAMS, Unit::Count, "Streams that KEDA holds open, by group.");
        Self { keda }
    }

    fn value(&self, request: &GetMetricsRequest) -> Result<GetMetricsResponse, Status> {
        let Some(object) = &request.scaled_object_ref else {
            return Err(Status::invalid_argument("scaledObjectRef is missing"));
        };
        if request.metric_name != METRIC {
            return Err(Status::not_found(format!("the only metric is {METRIC}")));
        }
        let target = self.target(object)?;
        // A float of zero counts as not set, so both are.
        let value = MetricValue {
            metric_name: METRIC.to_owned(),
            metric_value: i64::from(target),
            metric_value_float: f64::from(target),
        };
        Ok(GetMetricsResponse { metric_values: vec![value] })
    }

    fn target(&self, object: &ScaledObjectRef) -> Result<u32, Status> {
        let reading = *self.reading(object)?.1.borrow();
        reading.fresh(self.keda.config.max_age).map_err(|Stale { age }| {
            Status::unavailable(match age {
                None => "nothing was decided yet".to_owned(),
                Some(age) => format!("the last decision is {} s old", age.as_secs()),
            })
        })
    }

    /// Of a group whose engine is gone no stream is opened: one that ends at once would be opened
    /// again at once.
    fn living<'a>(&self, object: &'a ScaledObjectRef) -> Result<Reader<'a>, Status> {
        let reader = self.reading(object)?;
        match reader.1.has_changed() {
            Ok(_) => Ok(reader),
            Err(_) => Err(Status::unavailable("the engine is gone")),
        }
    }

    fn reading<'a>(&self, object: &'a ScaledObjectRef) -> Result<Reader<'a>, Status> {
        let name = group(&object.scaler_metadata, &object.name)?;
        let found = self.keda.reading(name).map(|reader| (name, reader));
        found.ok_or_else(|| Status::not_found("there is no such group; metadata: group"))
    }
}

/// A group's name, and what is told of it.
type Reader<'a> = (&'a str, watch::Receiver<Reading>);

/// A stream that KEDA holds open.
struct Open {
    reader: watch::Receiver<Reading>,
    /// The wakes that were told; `None` before the first message.
    told: Option<u64>,
    _counted: Counted,
}

/// A stream in the gauge, until it ends or the client goes.
struct Counted(Gauge);

impl Counted {
    fn new(group: &str) -> Self {
        let streams = gauge!(STREAMS, "group" => group.to_owned());
        streams.increment(1.0);
        Self(streams)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl Open {
    /// The next message. `None` when the group is gone.
    async fn next(&mut self, max_age: std::time::Duration) -> Option<bool> {
        loop {
            let reading = *self.reader.borrow_and_update();
            if let Ok(target) = reading.fresh(max_age) {
                let active = target > 0;
                match self.told.replace(reading.wakes()) {
                    None => return Some(active),
                    Some(told) if active && told != reading.wakes() => return Some(true),
                    Some(_) => {}
                }
            }
            self.reader.changed().await.ok()?;
        }
    }
}

fn group<'a>(metadata: &'a HashMap<String, String>, name: &'a str) -> Result<&'a str, Status> {
    let group = metadata.get("group").map_or(name, String::as_str);
    if group.is_empty() || group.len() > 100 {
        return Err(Status::invalid_argument("group must be 1 to 100 bytes long"));
    }
    Ok(group)
}

fn counted<T>(method: &'static str, answer: Result<T, Status>) -> Result<Response<T>, Status> {
    let code = answer.as_ref().err().map_or(tonic::Code::Ok, Status::code);
    counter!(REQUESTS, "method" => method, "code" => name(code)).increment(1);
    answer.map(Response::new)
}

fn name(code: tonic::Code) -> &'static str {
    match code {
        tonic::Code::Ok => "ok",
        tonic::Code::NotFound => "not_found",
        tonic::Code::InvalidArgument => "invalid_argument",
        tonic::Code::Unavailable => "unavailable",
        _ => "other",
    }
}

const METRIC: &str = "seawall-instances";
const REQUESTS: &str = "seawall_scale_keda_requests_total";
const STREAMS: &str = "seawall_scale_keda_streams";
