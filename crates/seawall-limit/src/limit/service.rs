//! The service inside the quota layer's gate.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::future::LimitFuture;
use super::gate::{Admitted, Judged};
use super::reload::Shared;
use crate::body::LimitBody;
use crate::lists::Access;

/// Made by [`LimitLayer`](super::LimitLayer).
///
/// Readiness is the inner service's own: nothing is taken before a request is there.
#[derive(Clone)]
pub struct LimitService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> LimitService<S> {
    pub(crate) const fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, A, B> Service<Request<A>> for LimitService<S>
where
    S: Service<Request<A>, Response = Response<B>> + Clone,
{
    type Response = Response<LimitBody<B>>;
    type Error = S::Error;
    type Future = LimitFuture<S, A, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        loop {
            let gate = self.shared.gate();
            let met = gate.meet(&request);
            if let Some(lists) = met.refused_by() {
                met.count();
                return LimitFuture::reject(lists.refusal(&request));
            }
            let marked = met.access == Some(Access::Allow)
                && request.extensions_mut().insert(Access::Allow).is_none();
            let mut admitted = Admitted::default();
            let moved = || !self.shared.is_current(&gate);
            let judged = gate.judge(&request, met.address, moved, &mut admitted);
            if !matches!(judged, Judged::Moved) {
                met.count();
            }
            return match judged {
                Judged::Moved => {
                    // The lists of the other gate may say something else.
                    if marked {
                        request.extensions_mut().remove::<Access>();
                    }
                    continue;
                }
                Judged::Admit => LimitFuture::pass(self.inner.call(request), admitted),
                Judged::Reject(response) => LimitFuture::reject(*response),
                Judged::Later(asked) => {
                    // The one that is ready is taken along, and a copy stays.
                    let copy = self.inner.clone();
                    let ready = std::mem::replace(&mut self.inner, copy);
                    LimitFuture::ask(asked, ready, request, Arc::clone(&gate))
                }
            };
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for LimitService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
