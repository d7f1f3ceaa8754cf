use std::fmt;
use std::sync::Arc;

use http::Extensions;
use metrics::Recorder;
use tower_layer::Layer;

use super::routes::{Routes, Source};
use super::service::Red;
use super::template::Templates;
use crate::error::Error;

/// Measures every request that passes.
///
/// | metric | kind | labels |
/// |---|---|---|
/// | `http_server_request_duration_seconds` | histogram | `http_request_method`, `http_route`, `http_response_status_code`, `error_type` |
/// | `http_server_time_to_first_byte_seconds` | histogram | `http_request_method`, `http_route` |
/// | `http_server_request_body_size_bytes` | histogram | `http_request_method`, `http_route` |
/// | `http_server_response_body_size_bytes` | histogram | `http_request_method`, `http_route` |
/// | `http_server_active_requests` | gauge | `http_request_method`, `http_route` |
///
/// The names are those of OpenTelemetry's HTTP conventions, with Prometheus
/// units. Each request adds exactly one value to the duration, which runs to
/// the end of the response body, with one outcome:
///
/// | outcome | `error_type` | status label |
/// |---|---|---|
/// | ok | absent | yes |
/// | status 5xx | the status code | yes |
/// | gRPC: `UNKNOWN`, `UNAVAILABLE` and others ([`grpc`](Self::grpc)) | the name | yes |
/// | inner service failed | `service_error` | absent |
/// | inner service panicked | `panic` | absent |
/// | dropped before the headers | `cancelled` | absent |
/// | body failed | `body_error` | yes |
/// | body panicked | `panic` | yes |
/// | body dropped before its end | `aborted` | yes |
///
/// A response without a body ends with its headers: that to HEAD, 1xx, 204 and
/// 304. So does one that changes the protocol: what a `WebSocket` does after its
/// 101 is no part of the request, and it is not in flight either.
///
/// The size of a request body is what the client announced: one that comes in
/// pieces of unknown number, or of more than 1 TiB, is in no histogram.
///
/// The route label is the template given by [`route`](Self::route) or found by
/// [`route_table`](Self::route_table), or `unmatched`: never the path. Methods other than the nine standard ones are
/// `_OTHER`. Beyond 1 024 routes further ones are `_OTHER` too.
///
/// Metrics go to the recorder that is global when a route is first requested
/// on a thread: install it before serving. Per request: two or three clock
/// reads, one hash look-up, no allocation once a thread has seen the route.
#[derive(Clone)]
#[must_use = "a layer does nothing until it is applied"]
pub struct RedLayer {
    templates: Templates,
    routes: Arc<Routes>,
    grpc: bool,
}

impl RedLayer {
    /// Measures with every route labelled `unmatched`, until
    /// [`route`](Self::route) says where templates come from.
    pub fn new() -> Self {
        Self {
            templates: Templates::Nothing,
            routes: Arc::new(Routes::new(Source::Facade)),
            grpc: false,
        }
    }

    /// Says where the matched route template is found in the extensions of a
    /// request. In axum, with the layer added by `Router::layer`:
    ///
    /// ```
    /// # use seawall_metrics::RedLayer;
    /// RedLayer::new().route(|e| e.get::<axum::extract::MatchedPath>().map(|path| path.as_str()));
    /// ```
    ///
    /// Give a template (`/users/{id}`), never the path itself: each value is a
    /// label.
    pub fn route<F>(mut self, hook: F) -> Self
    where
        F: for<'a> Fn(&'a Extensions) -> Option<&'a str> + Send + Sync + 'static,
    {
        self.templates = Templates::Hook(Arc::new(hook));
        self
    }

    /// Finds the route template by the request's path, for services without a
    /// router that tells: `/users/{id}`, `/static/{*path}`. Replaces
    /// [`route`](Self::route).
    ///
    /// ```
    /// # use seawall_metrics::RedLayer;
    /// let layer = RedLayer::new().route_table(["/users/{id}", "/users/me", "/static/{*path}"])?;
    /// # Ok::<_, seawall_metrics::Error>(())
    /// ```
    ///
    /// A static segment wins over a parameter, a parameter over a catch-all. A
    /// look-up is one walk down a radix tree.
    ///
    /// # Errors
    /// [`Error::Template`] for one that does not parse or that conflicts with
    /// one before it.
    pub fn route_table<T: Into<Box<str>>>(
        mut self,
        templates: impl IntoIterator<Item = T>,
    ) -> Result<Self, Error> {
        self.templates = Templates::table(templates)?;
        Ok(self)
    }

    /// Counts a call of gRPC by its own status too: one that ends with
    /// `UNKNOWN`, `DEADLINE_EXCEEDED`, `UNIMPLEMENTED`, `INTERNAL`,
    /// `UNAVAILABLE` or `DATA_LOSS` is an error of that type, as OpenTelemetry
    /// counts servers, and one that ends without any status is `UNKNOWN`.
    /// The status is in the trailers, or in the headers if there is no body.
    /// Only responses with a content type of `application/grpc`, alone or with
    /// `+proto` or the like behind it, are looked at: not gRPC-Web, whose status
    /// is in the bytes of its body.
    /// Default: off.
    pub fn grpc(mut self, on: bool) -> Self {
        self.grpc = on;
        self
    }

    /// Records to `recorder` rather than to the global one.
    pub fn recorder(mut self, recorder: impl Recorder + Send + Sync + 'static) -> Self {
        self.routes = Arc::new(Routes::new(Source::Given(Box::new(recorder))));
        self
    }
}

impl Default for RedLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RedLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedLayer").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for RedLayer {
    type Service = Red<S>;

    fn layer(&self, inner: S) -> Red<S> {
        Red::new(inner, self.templates.clone(), self.routes.clone(), self.grpc)
    }
}
