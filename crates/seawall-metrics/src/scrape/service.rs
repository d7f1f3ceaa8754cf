use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use tower_service::Service;

use crate::handle::Handle;
use crate::text;

/// Answers GET and HEAD with the exposition, every other method with 405.
///
/// It looks at the method only; the path is the router's business:
/// `Router::route_service("/metrics", handle.service())` in axum. Renders anew
/// for each request, on the thread that polls it.
#[derive(Clone, Debug)]
pub struct MetricsService {
    handle: Handle,
}

impl Handle {
    /// A service that answers scrapes of these metrics.
    #[must_use]
    pub fn service(&self) -> MetricsService {
        MetricsService { handle: self.clone() }
    }
}

impl<B> Service<Request<B>> for MetricsService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut response = Response::new(Full::default());
        match *request.method() {
            Method::GET | Method::HEAD => {
                let headers = response.headers_mut();
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(text::CONTENT_TYPE));
                if request.method() == Method::GET {
                    *response.body_mut() = Full::from(self.handle.render());
                }
            }
            _ => {
                *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
                let allow = HeaderValue::from_static("GET, HEAD");
                response.headers_mut().insert(ALLOW, allow);
            }
        }
        ready(Ok(response))
    }
}

#[cfg(test)]
mod tests;
