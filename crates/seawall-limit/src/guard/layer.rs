//! The guard layer, its checks and its answers.

use std::sync::Arc;

use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use metrics::{Counter, counter, describe_counter};
use tower_layer::Layer;

use super::limits::Guards;
use super::service::GuardService;
use crate::answer::Problem;
use crate::body::LimitBody;

/// A tower layer that turns oversized requests away: 414, 431, 400 and 413, as
/// `application/problem+json`. Clones share everything.
///
/// ```
/// use seawall_limit::{GuardLayer, Guards};
///
/// let layer = GuardLayer::new(Guards { max_body: 64 * 1024, ..Guards::default() });
/// ```
///
/// A body whose `Content-Length` is too large is refused before any of it is
/// read. One of unknown length is counted as it streams: the service inside
/// reads the error [`BodyTooLarge`](super::BodyTooLarge), and if that happens
/// before it has produced a response, the response becomes a 413, whatever it
/// made of the error. Nothing is buffered.
///
/// A compressed body is counted as it comes. Where a layer such as tower-http's
/// `RequestDecompressionLayer` unpacks it, put a second guard layer inside of
/// that one: it counts what comes out, and ends a bomb when it passes the bound,
/// so that no more is unpacked than that and what the decoder has in hand. A body
/// that nothing unpacks is for the handler to refuse.
///
/// With 413, an HTTP/1 connection is told to close, since the rest of the body
/// may still be on its way.
#[derive(Debug, Clone)]
pub struct GuardLayer {
    watch: Arc<Watch>,
}

impl GuardLayer {
    /// A layer with these bounds.
    #[must_use]
    pub fn new(guards: Guards) -> Self {
        Self { watch: Arc::new(Watch::new(guards)) }
    }
}

impl Default for GuardLayer {
    fn default() -> Self {
        Self::new(Guards::default())
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = GuardService<S>;

    fn layer(&self, inner: S) -> GuardService<S> {
        GuardService::new(inner, Arc::clone(&self.watch))
    }
}

/// What all services of one layer share.
#[derive(Debug)]
pub(crate) struct Watch {
    guards: Guards,
    url: Guard,
    headers: Guard,
    header_bytes: Guard,
    query: Guard,
    body: Guard,
}

impl Watch {
    fn new(guards: Guards) -> Self {
        describe_counter!(REJECTIONS, "Requests turned away for their size, by guard.");
        let Guards { max_body, max_url, max_headers, max_header_bytes, max_query_params } = guards;
        let url = format!("The path and query are longer than {max_url} bytes.");
        let headers = format!("There are more than {max_headers} header lines.");
        let bytes = format!("The header lines are longer than {max_header_bytes} bytes together.");
        let query = format!("There are more than {max_query_params} query parameters.");
        let body = format!("The body is larger than {max_body} bytes.");
        Self {
            guards,
            url: Guard::new("url", StatusCode::URI_TOO_LONG, &url),
            headers: Guard::new("headers", StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, &headers),
            header_bytes: Guard::new(
                "header_bytes",
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                &bytes,
            ),
            query: Guard::new("query", StatusCode::BAD_REQUEST, &query),
            body: Guard::new("body", StatusCode::PAYLOAD_TOO_LARGE, &body),
        }
    }

    /// The guard that a request's head fails, if any.
    pub(crate) fn refuse<B: Body>(&self, request: &Request<B>) -> Option<&Guard> {
        let (guards, uri) = (&self.guards, request.uri());
        let query = uri.query().unwrap_or_default();
        let url = uri.path_and_query().map_or(0, |whole| whole.as_str().len());
        if url > guards.max_url {
            Some(&self.url)
        } else if request.headers().len() > guards.max_headers {
            Some(&self.headers)
        } else if header_bytes(request.headers()) > guards.max_header_bytes {
            Some(&self.header_bytes)
        } else if parameters(query) > guards.max_query_params {
            Some(&self.query)
        } else if declared(request) > guards.max_body {
            Some(&self.body)
        } else {
            None
        }
    }

    pub(crate) const fn max_body(&self) -> u64 {
        self.guards.max_body
    }

    /// The answer to a body that turned out too large.
    pub(crate) fn body_response<B>(&self, head: &Asked) -> Response<LimitBody<B>> {
        self.body.response(head)
    }
}

/// One guard's answer and count.
pub(crate) struct Guard {
    status: StatusCode,
    problem: Problem,
    rejections: Counter,
}

impl Guard {
    fn new(name: &'static str, status: StatusCode, detail: &str) -> Self {
        let rejections = counter!(REJECTIONS, "guard" => name);
        Self { status, problem: Problem::plain(status, detail), rejections }
    }

    pub(crate) fn response<B>(&self, head: &Asked) -> Response<LimitBody<B>> {
        self.rejections.increment(1);
        let mut response = self.problem.response(self.status, &head.method);
        if self.status == StatusCode::PAYLOAD_TOO_LARGE && head.version <= Version::HTTP_11 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("status", &self.status).finish_non_exhaustive()
    }
}

/// What an answer depends on.
pub(crate) struct Asked {
    method: Method,
    version: Version,
}

impl Asked {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        Self { method: request.method().clone(), version: request.version() }
    }
}

fn header_bytes(headers: &HeaderMap) -> usize {
    let line = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
    headers.iter().map(line).sum()
}

fn parameters(query: &str) -> usize {
    if query.is_empty() { 0 } else { query.bytes().filter(|byte| *byte == b'&').count() + 1 }
}

/// The bytes of body that the request says it has, at least.
fn declared<B: Body>(request: &Request<B>) -> u64 {
    let length =
        request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    request.body().size_hint().lower().max(length.unwrap_or(0))
}

const REJECTIONS: &str = "seawall_limit_guard_rejections_total";
