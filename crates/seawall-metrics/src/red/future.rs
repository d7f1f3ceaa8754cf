use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::body::RedBody;
use super::guard::{Guard, Unwinding};

pin_project! {
    /// Response future of [`Red`](super::Red). Dropped before it is ready, the
    /// request counts as cancelled.
    #[derive(Debug)]
    pub struct RedFuture<F> {
        #[pin]
        inner: F,
        // Taken when the response is handed over.
        guard: Option<Guard>,
    }
}

impl<F> RedFuture<F> {
    pub(super) fn new(guard: Guard, call: impl FnOnce() -> F) -> Self {
        Self { inner: call(), guard: Some(guard) }
    }
}

impl<F, B, E> Future for RedFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<RedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let watched = Unwinding(this.guard);
        let result = ready!(this.inner.poll(cx));
        let guard = watched.0.take();
        Poll::Ready(match result {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                let body = RedBody::new(body, guard, &parts);
                Ok(Response::from_parts(parts, body))
            }
            Err(error) => {
                if let Some(guard) = guard {
                    guard.failed();
                }
                Err(error)
            }
        })
    }
}
