//! The task that pushes.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use metrics::{Key, Label};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse as Said;
use prost::Message as _;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::alias::Aliases;
use crate::error::Error;
use crate::handle::Handle;

/// Where and how often to push.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct OtlpConfig {
    /// The whole address, `http` only: a collector beside the service, or a
    /// proxy that speaks TLS. Default: `http://127.0.0.1:4318/v1/metrics`.
    pub endpoint: String,
    /// From one push to the next, 100 ms to 1 h. Default: 15 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub interval: Duration,
    /// Longest time a push may take, with the wait for a thread to encode it on. 1 ms to 5 min.
    /// Default: 10 s.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub timeout: Duration,
    /// Attributes of the service: `service.name` and others. Default: none.
    pub resource: Vec<(String, String)>,
}

impl Default for OtlpConfig {
    fn default() -> Self {
        Self {
            endpoint: "http://127.0.0.1:4318/v1/metrics".to_owned(),
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(10),
            resource: Vec::new(),
        }
    }
}

impl OtlpConfig {
    /// Checks every bound.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first field that is out of bounds,
    /// [`Error::Endpoint`] for an address that cannot be pushed to.
    pub fn validate(&self) -> Result<(), Error> {
        let seconds = self.interval.as_secs_f64();
        if !(0.1..=3600.0).contains(&seconds) {
            return Err(Error::config("interval", seconds, "100 ms to 1 h"));
        }
        let seconds = self.timeout.as_secs_f64();
        if !(0.001..=300.0).contains(&seconds) {
            return Err(Error::config("timeout", seconds, "1 ms to 5 min"));
        }
        self.uri().map(drop)
    }

    fn uri(&self) -> Result<Uri, Error> {
        let uri: Uri = self.endpoint.parse().map_err(|_| Error::Endpoint)?;
        let (Some(authority), Some(host)) = (uri.authority(), uri.host()) else {
            return Err(Error::Endpoint);
        };
        // What follows the host is a port. A name and password before it would be
        // logged, and are not sent as a collector expects them.
        let port = authority.as_str().strip_prefix(host);
        let good = uri.scheme_str() == Some("http")
            && port.is_some_and(|port| port.is_empty() || uri.port_u16().is_some());
        good.then_some(uri).ok_or(Error::Endpoint)
    }
}

/// Pushes until it is dropped.
#[derive(Debug)]
#[must_use = "pushing ends when it is dropped"]
pub struct OtlpPush {
    task: JoinHandle<()>,
    stop: Option<oneshot::Sender<()>>,
}

impl OtlpPush {
    /// Pushes a last time and ends: what came since the last push is not lost.
    /// Takes as long as a push or two may take. Dropping the future ends it at
    /// once.
    pub async fn shutdown(mut self) {
        if let Some(stop) = self.stop.take() {
            // It has ended already if nobody listens.
            let _ = stop.send(());
        }
        // A task that panicked or whose runtime is gone has ended as well.
        let _ = (&mut self.task).await;
    }
}

impl Handle {
    /// Pushes these metrics to a collector now and then, from a task of the
    /// current tokio runtime. A push that fails is counted in
    /// `seawall_metrics_pushes_total{result="error"}` and logged when the one
    /// before was good; the next one carries everything. One of which the collector
    /// refuses a part is counted as `partial`. A collector that answers 429 or 503
    /// with `Retry-After` is left alone for so long, at most 5 min.
    ///
    /// # Errors
    /// As [`OtlpConfig::validate`], [`Error::NoRuntime`] outside of a runtime.
    pub fn push_otlp(&self, config: OtlpConfig) -> Result<OtlpPush, Error> {
        self.push_otlp_with(config, Aliases::new())
    }

    /// [`push_otlp`](Self::push_otlp) with `aliases` behind the metrics.
    ///
    /// # Errors
    /// As [`push_otlp`](Self::push_otlp).
    pub fn push_otlp_with(&self, config: OtlpConfig, aliases: Aliases) -> Result<OtlpPush, Error> {
        config.validate()?;
        let uri = config.uri()?;
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| Error::NoRuntime)?;
        let (stop, stopped) = oneshot::channel();
        let task = runtime.spawn(run(self.clone(), config, uri, aliases, stopped));
        Ok(OtlpPush { task, stop: Some(stop) })
    }
}

impl Drop for OtlpPush {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(
    handle: Handle,
    config: OtlpConfig,
    uri: Uri,
    aliases: Aliases,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut timer = interval(config.interval);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let sent = Arc::new((config.resource, aliases));
    let mut before = "ok";
    let mut not_before = Instant::now();
    loop {
        let last = tokio::select! {
            biased;
            // Asked to, or the handle is gone.
            _ = &mut stopped => true,
            _ = timer.tick() => false,
        };
        if !last && Instant::now() < not_before {
            continue;
        }
        let push = async { send(&uri, encode(&handle, &sent).await?).await };
        let result = match timeout(config.timeout, push).await {
            // The runtime is going down.
            Ok(Err(Failure::Encode(error))) if error.is_cancelled() => return,
            Ok(result) => result,
            Err(_) => Err(Failure::Io(io::ErrorKind::TimedOut.into())),
        };
        let now = match &result {
            Ok(0) => "ok",
            Ok(_) => "partial",
            Err(_) => "error",
        };
        match &result {
            Ok(refused @ 1..) if now != before => {
                tracing::warn!(%uri, refused, "the collector refuses some of the metrics");
            }
            Err(error) if now != before => {
                tracing::warn!(%uri, %error, "metrics are not taken by the collector");
            }
            _ => {}
        }
        before = now;
        if let Err(Failure::Refused(_, Some(wait))) = result {
            not_before = Instant::now() + wait.min(LONGEST_WAIT);
        }
        let label = Label::from_static_parts("result", now);
        let key = Key::from_parts("seawall_metrics_pushes_total", vec![label]);
        if let Some(pushes) = handle.registry().counter(&key) {
            metrics::CounterFn::increment(&*pushes, 1);
        }
        if last {
            return;
        }
    }
}

/// Off the threads that serve requests: many series take milliseconds. Given up while all threads
/// that may block are taken, it is not begun any more: a set ends with what is in it.
async fn encode(handle: &Handle, sent: &Arc<Sent>) -> Result<Bytes, Failure> {
    let (from, what) = (handle.clone(), sent.clone());
    let mut encoding = JoinSet::new();
    encoding.spawn_blocking(move || Bytes::from(from.otlp_with(&what.0, &what.1)));
    match encoding.join_next().await {
        Some(body) => body.map_err(Failure::Encode),
        None => Err(Failure::Io(io::ErrorKind::UnexpectedEof.into())),
    }
}

/// The attributes of the service, and the aliases.
type Sent = (Vec<(String, String)>, Aliases);

/// How many values the collector did not take. A connection for each push: they
/// are seconds apart.
async fn send(uri: &Uri, body: Bytes) -> Result<i64, Failure> {
    let host = uri.host().unwrap_or_default();
    let port = uri.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request =
        Request::post(uri.path_and_query().map_or("/", |it| it.as_str())).body(Full::new(body))?;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    if let Some(authority) = uri.authority()
        && let Ok(value) = authority.as_str().parse()
    {
        headers.insert(HOST, value);
    }
    let answer = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        if !status.is_success() {
            return Err(Failure::Refused(status, asked_to_wait(&answer)));
        }
        // A collector that says nothing of the kind has taken all.
        let body = Limited::new(answer.into_body(), MOST_ANSWER).collect().await;
        let said = body.ok().and_then(|body| Said::decode(body.to_bytes()).ok());
        let partly = said.and_then(|said| said.partial_success);
        Ok(partly.map_or(0, |partly| partly.rejected_data_points))
    };
    tokio::select! {
        answer = answer => answer,
        // It ends first only if it breaks.
        ended = connection => Err(ended.err().map_or_else(
            || Failure::Io(io::ErrorKind::UnexpectedEof.into()),
            Failure::Http,
        )),
    }
}

/// Seconds only: a date is as good as none.
fn asked_to_wait<B>(answer: &Response<B>) -> Option<Duration> {
    let busy = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    busy.contains(&answer.status()).then(|| Duration::from_secs(seconds))
}

/// What a collector that is overloaded may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// A collector answers with a few bytes, and perhaps a sentence.
const MOST_ANSWER: usize = 65_536;

/// Why a push failed; for the log.
#[derive(Debug)]
enum Failure {
    /// It panicked, or the runtime is going down.
    Encode(JoinError),
    Io(io::Error),
    Http(hyper::Error),
    Request(http::Error),
    /// And how long the collector wants to be left alone.
    Refused(StatusCode, Option<Duration>),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encode(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
            Self::Http(error) => error.fmt(f),
            Self::Request(error) => error.fmt(f),
            Self::Refused(status, _) => write!(f, "status {status}"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<hyper::Error> for Failure {
    fn from(error: hyper::Error) -> Self {
        Self::Http(error)
    }
}

impl From<http::Error> for Failure {
    fn from(error: http::Error) -> Self {
        Self::Request(error)
    }
}
