//! A response body that holds a permit until it ends.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::permit::Permit;
use crate::body::LimitBody;

pin_project! {
    /// The service's own body, or the layer's answer. The slot is given back at the last frame,
    /// at an error, or when this is dropped.
    pub struct OverloadBody<B> {
        #[pin]
        body: LimitBody<B>,
        permit: Option<Permit>,
    }
}

impl<B: Body> OverloadBody<B> {
    pub(crate) fn new(body: B, permit: Option<Permit>) -> Self {
        // A server does not poll a body that has ended already.
        let permit = permit.filter(|_| !body.is_end_stream());
        Self { body: LimitBody::inner(body), permit }
    }

    pub(crate) const fn answer(body: LimitBody<B>) -> Self {
        Self { body, permit: None }
    }
}

impl<B: Body<Data = Bytes>> Body for OverloadBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.body.as_mut().poll_frame(cx));
        // A server may not ask again after the last frame.
        if !matches!(frame, Some(Ok(_))) || this.body.is_end_stream() {
            *this.permit = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> fmt::Debug for OverloadBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holds = self.permit.is_some();
        f.debug_struct("OverloadBody").field("holds_permit", &holds).finish_non_exhaustive()
    }
}
