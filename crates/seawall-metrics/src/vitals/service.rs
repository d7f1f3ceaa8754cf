use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};
use tokio::time::{Instant, timeout};
use tower_service::Service;

use super::VITALS_SCRIPT;
use super::beacon::{Refusal, read};
use super::config::VitalsConfig;
use super::guard::Guard;
use super::vital::{Rating, Vital};
use crate::error::Error;

/// Takes the beacons of [`VITALS_SCRIPT`] and serves the script, at one
/// address.
///
/// | request | answer |
/// |---|---|
/// | GET, HEAD | 200, the script, cacheable for a day |
/// | POST, `LCP=1234.5&CLS=0.02&..` | 204 |
/// | POST of another shape, or a body that breaks off or is late | 400 |
/// | POST from another origin, or from none | 403 |
/// | POST above `max_bytes`, of another type, above `max_per_second` | 413, 415, 429 |
/// | others | 405 |
///
/// Each refusal is counted in `web_vitals_rejected_total{reason}`. Within a
/// beacon a name nobody knows, and a value no page can have (negative, NaN,
/// more than ten minutes), is counted and left out; the rest is taken. It never
/// fails and never answers 5xx. What is posted becomes no label.
///
/// | metric | kind | labels |
/// |---|---|---|
/// | `web_vitals_lcp_seconds` `_inp_` `_ttfb_` `_fcp_`, `web_vitals_cls_score` | histogram | |
/// | `web_vitals_total` | counter | `metric`, `rating` = good, needs-improvement, poor |
/// | `web_vitals_rejected_total` | counter | `reason` |
///
/// The ratings are by Google's published thresholds: LCP 2.5 and 4 s, INP 200
/// and 500 ms, CLS 0.1 and 0.25, TTFB 0.8 and 1.8 s, FCP 1.8 and 3 s. Anyone can
/// post anything that a browser could: these are numbers to look at, not to
/// act on.
///
/// In axum: `Router::new().route_service("/vitals", VitalsService::new(config)?)`.
/// Dropping a response future drops the beacon; nothing is recorded in part.
#[derive(Clone)]
pub struct VitalsService {
    shared: Arc<Shared>,
}

struct Shared {
    guard: Guard,
    meters: Meters,
}

/// By position in `Vital::ALL`, `Rating::ALL` and `Refusal::ALL`.
struct Meters {
    values: [Histogram; 5],
    ratings: [[Counter; 3]; 5],
    refusals: [Counter; 9],
}

impl VitalsService {
    /// Registers the metrics with the recorder that is current now.
    ///
    /// # Errors
    /// [`Error::Config`] for a setting out of bounds.
    pub fn new(config: VitalsConfig) -> Result<Self, Error> {
        config.validate()?;
        let guard = Guard::new(config, Instant::now());
        Ok(Self { shared: Arc::new(Shared { guard, meters: Meters::new() }) })
    }
}

impl fmt::Debug for VitalsService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VitalsService")
            .field("config", self.shared.guard.config())
            .finish_non_exhaustive()
    }
}

impl<B> Service<Request<B>> for VitalsService
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = self.shared.clone();
        Box::pin(async move { Ok(shared.answer(request).await) })
    }
}

impl Shared {
    async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        match *request.method() {
            Method::GET => return script(VITALS_SCRIPT),
            Method::HEAD => return script(""),
            Method::POST => {}
            _ => return self.refuse(Refusal::Method),
        }
        let (parts, body) = request.into_parts();
        if let Err(refusal) = self.guard.admit(&parts.headers, &parts.uri, Instant::now()) {
            return self.refuse(refusal);
        }
        let config = self.guard.config();
        let limited = Limited::new(body, config.max_bytes);
        let bytes = match timeout(config.timeout, limited.collect()).await {
            Ok(Ok(collected)) => collected.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return self.refuse(Refusal::TooLarge);
            }
            Ok(Err(_)) | Err(_) => return self.refuse(Refusal::Body),
        };
        match read(&bytes) {
            Ok(parts) => {
                for part in parts {
                    match part {
                        Ok((vital, value)) => self.meters.record(vital, value),
                        Err(refusal) => self.meters.refused(refusal),
                    }
                }
                status(StatusCode::NO_CONTENT)
            }
            Err(refusal) => self.refuse(refusal),
        }
    }

    fn refuse(&self, refusal: Refusal) -> Response<Full<Bytes>> {
        self.meters.refused(refusal);
        let mut response = status(match refusal {
            Refusal::Method => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::Origin => StatusCode::FORBIDDEN,
            Refusal::Rate => StatusCode::TOO_MANY_REQUESTS,
            Refusal::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Body | Refusal::Malformed | Refusal::UnknownMetric | Refusal::OutOfBounds => {
                StatusCode::BAD_REQUEST
            }
        });
        if refusal == Refusal::Method {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
        }
        response
    }
}

impl Meters {
    fn new() -> Self {
        for vital in Vital::ALL {
            let unit = if vital == Vital::Cls { Unit::Count } else { Unit::Seconds };
            describe_histogram!(vital.metric(), unit, vital.help());
        }
        describe_counter!(TOTAL, "Web vitals taken, by Google's thresholds.");
        describe_counter!(REJECTED, "Beacons, or parts of them, that were not taken.");
        Self {
            values: Vital::ALL.map(|vital| histogram!(vital.metric())),
            ratings: Vital::ALL.map(|vital| {
                Rating::ALL.map(
                    |rating| counter!(TOTAL, "metric" => vital.label(), "rating" => rating.label()),
                )
            }),
            refusals: Refusal::ALL.map(|refusal| counter!(REJECTED, "reason" => refusal.label())),
        }
    }

    fn record(&self, vital: Vital, value: f64) {
        let row = Vital::ALL.iter().position(|it| *it == vital).unwrap_or_default();
        let rating = vital.rating(value);
        let column = Rating::ALL.iter().position(|it| *it == rating).unwrap_or_default();
        if let Some(histogram) = self.values.get(row) {
            histogram.record(vital.base(value));
        }
        if let Some(counter) = self.ratings.get(row).and_then(|it| it.get(column)) {
            counter.increment(1);
        }
    }

    fn refused(&self, refusal: Refusal) {
        let at = Refusal::ALL.iter().position(|it| *it == refusal).unwrap_or_default();
        if let Some(counter) = self.refusals.get(at) {
            counter.increment(1);
        }
    }
}

fn script(text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(Bytes::from_static(text.as_bytes())));
    let headers: [(HeaderName, &str); 3] = [
        (CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (CACHE_CONTROL, "public, max-age=86400"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    // A HEAD must not say 0, which a server would take from its empty body.
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(VITALS_SCRIPT.len()));
    response
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

const TOTAL: &str = "web_vitals_total";
const REJECTED: &str = "web_vitals_rejected_total";
