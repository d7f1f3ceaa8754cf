//! The response body of both layers.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::limit::Meter;

pin_project! {
    /// The service's own body, or a short answer of the layer. It is not boxed; where a rule counts
    /// its bytes, it is settled when it ends or is dropped.
    pub struct LimitBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<B> {
        Inner { #[pin] body: B, meter: Option<Box<Meter>> },
        Answer { content: Option<Bytes> },
    }
}

impl<B> LimitBody<B> {
    pub(crate) const fn inner(body: B) -> Self {
        Self::metered(body, None)
    }

    /// Counts what is read of it.
    pub(crate) const fn metered(body: B, meter: Option<Box<Meter>>) -> Self {
        Self { kind: Kind::Inner { body, meter } }
    }

    pub(crate) const fn full(content: Bytes) -> Self {
        Self { kind: Kind::Answer { content: Some(content) } }
    }

    pub(crate) const fn empty() -> Self {
        Self { kind: Kind::Answer { content: None } }
    }
}

impl<B: Body<Data = Bytes>> Body for LimitBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Inner { body, meter } => {
                let frame = ready!(body.poll_frame(cx));
                if let Some(counter) = meter {
                    match frame.as_ref().map(|frame| frame.as_ref().map(Frame::data_ref)) {
                        Some(Ok(Some(data))) => counter.count(data.len()),
                        Some(Ok(None)) => {}
                        // Settled at the end, however long the body is kept.
                        Some(Err(_)) | None => *meter = None,
                    }
                }
                Poll::Ready(frame)
            }
            KindProjection::Answer { content } => {
                Poll::Ready(content.take().map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body, .. } => body.is_end_stream(),
            Kind::Answer { content } => content.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body, .. } => body.size_hint(),
            Kind::Answer { content } => {
                SizeHint::with_exact(content.as_ref().map_or(0, Bytes::len) as u64)
            }
        }
    }
}

impl<B: Default> Default for LimitBody<B> {
    fn default() -> Self {
        Self::inner(B::default())
    }
}

impl<B> fmt::Debug for LimitBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Inner { .. } => "Inner",
            Kind::Answer { .. } => "Answer",
        };
        f.debug_tuple("LimitBody").field(&kind).finish()
    }
}
