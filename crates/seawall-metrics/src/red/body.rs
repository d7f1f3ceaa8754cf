use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http::header::CONTENT_LENGTH;
use http::response::Parts;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::guard::{Guard, NoBody, Unwinding};

pin_project! {
    /// Response body of [`Red`](super::Red): counts its bytes and carries the
    /// request's guard to the end.
    #[derive(Debug)]
    pub struct RedBody<B> {
        #[pin]
        inner: B,
        // Taken when the body ends.
        guard: Option<Guard>,
    }
}

impl<B: Body> RedBody<B> {
    pub(super) fn new(inner: B, guard: Option<Guard>, parts: &Parts) -> Self {
        let length = parts
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .or_else(|| inner.size_hint().exact());
        let guard = guard.and_then(|mut guard| {
            let ends_here = guard.headers(parts, length);
            if ends_here == NoBody::Yes || inner.is_end_stream() {
                guard.finished();
                None
            } else {
                Some(guard)
            }
        });
        Self { inner, guard }
    }
}

impl<B: Body> Body for RedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let watched = Unwinding(this.guard);
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        let guard = &mut *watched.0;
        if let Some(guard) = guard.as_mut() {
            guard.moved_on();
        }
        match &frame {
            Some(Ok(frame)) => {
                if let Some(guard) = guard.as_mut() {
                    if let Some(data) = frame.data_ref() {
                        guard.sent(data.remaining());
                    } else if let Some(trailers) = frame.trailers_ref() {
                        guard.trailers(trailers);
                    }
                }
                // A server may stop polling here; behind trailers it does.
                if (frame.is_trailers() || this.inner.is_end_stream())
                    && let Some(guard) = guard.take()
                {
                    guard.finished();
                }
            }
            Some(Err(_)) => {
                if let Some(guard) = guard.take() {
                    guard.broken();
                }
            }
            None => {
                if let Some(guard) = guard.take() {
                    guard.finished();
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
