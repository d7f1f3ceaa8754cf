use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, VARY};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tower_service::Service;

use super::accept;
use super::flight::{Flights, Wanted};
use crate::alias::Aliases;
use crate::handle::Handle;

/// Answers GET and HEAD with the exposition, every other method with 405.
///
/// The format is the one the scraper's `Accept` gives the greatest weight, the
/// text format if it takes none of [`Format`](crate::Format); with the feature
/// `gzip` the answer is compressed for those who take that.
///
/// It looks at method and headers only; the path is the router's business:
/// `Router::route_service("/metrics", handle.service())` in axum. Requests for
/// the same format that come while one is being rendered are answered with that
/// one; it is rendered on a thread for blocking work, once, however many of them
/// go away. Clones share this.
#[derive(Clone)]
pub struct MetricsService {
    handle: Handle,
    flights: Arc<Flights>,
}

impl Handle {
    /// A service that answers scrapes of these metrics.
    #[must_use]
    pub fn service(&self) -> MetricsService {
        MetricsService { handle: self.clone(), flights: Arc::default() }
    }
}

impl MetricsService {
    /// Serves `aliases` behind the metrics, in every format.
    ///
    /// ```
    /// # let (_, handle) = seawall_metrics::Recorder::builder().build()?;
    /// let service = handle.service().with_aliases(seawall_metrics::Aliases::required());
    /// # Ok::<_, seawall_metrics::Error>(())
    /// ```
    #[must_use]
    pub fn with_aliases(mut self, aliases: Aliases) -> Self {
        self.flights = Arc::new(Flights::with(aliases));
        self
    }
}

impl<B> Service<Request<B>> for MetricsService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = ScrapeFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut response = Response::new(Full::default());
        let get = request.method() == Method::GET;
        if !get && request.method() != Method::HEAD {
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return ScrapeFuture(Box::pin(async move { Ok(response) }));
        }
        let wanted = Self::wanted(request.headers());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(wanted.format.content_type()));
        headers.insert(VARY, HeaderValue::from_static(VARIES));
        if wanted.gzip {
            headers.insert(http::header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let Self { handle, flights } = self.clone();
        ScrapeFuture(Box::pin(async move {
            if get {
                *response.body_mut() = Full::from(flights.answer(handle, wanted).await);
            }
            Ok(response)
        }))
    }
}

impl fmt::Debug for MetricsService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsService").finish_non_exhaustive()
    }
}

/// The answer to a scrape. May be dropped at any time.
pub struct ScrapeFuture(Pin<Box<dyn Future<Output = Answer> + Send>>);

type Answer = Result<Response<Full<Bytes>>, Infallible>;

impl Future for ScrapeFuture {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for ScrapeFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScrapeFuture").finish_non_exhaustive()
    }
}

impl MetricsService {
    fn wanted(headers: &HeaderMap) -> Wanted {
        #[cfg(feature = "gzip")]
        let gzip = accept::gzip(headers);
        #[cfg(not(feature = "gzip"))]
        let gzip = false;
        Wanted { format: accept::format(headers), gzip }
    }
}

const VARIES: &str = if cfg!(feature = "gzip") { "accept, accept-encoding" } else { "accept" };

#[cfg(test)]
mod tests;
