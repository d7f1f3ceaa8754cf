//! The middleware.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::COOKIE;
use http::{Request, Response};
use metrics::{Counter, counter};
use tower_service::Service;

use super::future::CausalFuture;
use super::layer::{Carrier, Config};
use super::seal::Carried;
use crate::Causal;

/// Made by [`CausalLayer`](super::CausalLayer).
#[derive(Clone)]
pub struct CausalService<S> {
    inner: S,
    config: Arc<Config>,
    forged: Counter,
}

impl<S> CausalService<S> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        crate::metrics::describe_forged();
        Self { inner, config, forged: counter!(crate::metrics::FORGED) }
    }

    fn carried<B>(&self, request: &Request<B>) -> Option<Carried> {
        let text = match &self.config.carrier {
            Carrier::Header(name) => request.headers().get(name)?.to_str().ok()?,
            Carrier::Cookie { name, .. } => {
                let cookies = request.headers().get_all(COOKIE).iter();
                let mut pairs =
                    cookies.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
                pairs.find_map(|pair| {
                    let (other, value) = pair.trim().split_once('=')?;
                    (other == &**name).then_some(value)
                })?
            }
        };
        let carried = self.config.seal.open(text);
        if carried.is_none() {
            self.forged.increment(1);
        }
        carried
    }
}

impl<S, B, R> Service<Request<B>> for CausalService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = CausalFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let causal = match self.carried(&request) {
            Some(Carried { token, unknown }) => Causal::resuming(token, unknown),
            None => Causal::new(),
        };
        request.extensions_mut().insert(causal.clone());
        CausalFuture::new(self.inner.call(request), causal, Arc::clone(&self.config))
    }
}

impl<S: std::fmt::Debug> std::fmt::Debug for CausalService<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CausalService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
