//! A request body that counts what passes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Buf as _;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// The request's body was larger than the guard allows; the source of a
/// [`GuardBody`] error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request body is larger than {limit} bytes")]
#[non_exhaustive]
pub struct BodyTooLarge {
    /// The bound, in bytes.
    pub limit: u64,
}

pin_project! {
    /// The request's body, ending in the error [`BodyTooLarge`] if it passes the
    /// bound. The frame that would pass it is not given out.
    #[derive(Debug)]
    pub struct GuardBody<B> {
        #[pin]
        body: B,
        limit: u64,
        left: u64,
        ended: bool,
        tripped: Option<Tripped>,
    }
}

impl<B: Body> GuardBody<B> {
    pub(crate) fn new(body: B, limit: u64) -> Self {
        // A body that promises to stay within the bound needs no one to be told.
        let bounded = body.size_hint().upper().is_some_and(|upper| upper <= limit);
        let tripped = (!bounded).then(Tripped::default);
        Self { body, limit, left: limit, ended: false, tripped }
    }

    pub(crate) fn tripped(&self) -> Option<Tripped> {
        self.tripped.clone()
    }
}

impl<B> Body for GuardBody<B>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = B::Data;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Self::Error>>> {
        let this = self.project();
        if *this.ended {
            return Poll::Ready(None);
        }
        let Some(frame) = ready!(this.body.poll_frame(cx)).transpose().map_err(Into::into)? else {
            return Poll::Ready(None);
        };
        let length = frame.data_ref().map_or(0, |data| data.remaining() as u64);
        if let Some(left) = this.left.checked_sub(length) {
            *this.left = left;
            return Poll::Ready(Some(Ok(frame)));
        }
        *this.ended = true;
        if let Some(tripped) = this.tripped {
            tripped.0.store(true, Ordering::Release);
        }
        Poll::Ready(Some(Err(BodyTooLarge { limit: *this.limit }.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        if hint.upper().is_none_or(|upper| upper > self.left) {
            let lower = hint.lower().min(self.left);
            hint = SizeHint::new();
            hint.set_lower(lower);
            hint.set_upper(self.left);
        }
        hint
    }
}

/// Tells the response future that the body passed its bound.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tripped(Arc<AtomicBool>);

impl Tripped {
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
