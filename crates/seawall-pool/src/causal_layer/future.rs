//! The response with its token.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::SET_COOKIE;
use http::{HeaderValue, Response};
use pin_project_lite::pin_project;

use super::layer::{Carrier, Config};
use super::seal::Carried;
use crate::Causal;

pin_project! {
    /// Resolves to the inner response; if the request moved its
    /// [`Causal`](crate::Causal), with the new token. What moves it while the body is sent is
    /// not carried, and what may be running when the future is dropped neither: there is no
    /// response to carry it.
    pub struct CausalFuture<F> {
        #[pin]
        inner: F,
        causal: Causal,
        config: Arc<Config>,
    }
}

impl<F> CausalFuture<F> {
    pub(super) fn new(inner: F, causal: Causal, config: Arc<Config>) -> Self {
        Self { inner, causal, config }
    }
}

impl<F, R, E> Future for CausalFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        let carried = Carried { token: this.causal.token(), unknown: this.causal.unknown() };
        if this.causal.has_news() {
            let text = this.config.seal.close(carried);
            let headers = response.headers_mut();
            match &this.config.carrier {
                Carrier::Header(name) => {
                    if let Ok(value) = HeaderValue::try_from(text) {
                        headers.insert(name.clone(), value);
                    }
                }
                Carrier::Cookie { name, max_age, secure } => {
                    let secure = if *secure { "; Secure" } else { "" };
                    let age = max_age.as_secs();
                    let line = format!(
                        "{name}={text}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}"
                    );
                    if let Ok(value) = HeaderValue::try_from(line) {
                        headers.append(SET_COOKIE, value);
                    }
                }
            }
        }
        Poll::Ready(Ok(response))
    }
}

impl<F> fmt::Debug for CausalFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CausalFuture").finish_non_exhaustive()
    }
}
