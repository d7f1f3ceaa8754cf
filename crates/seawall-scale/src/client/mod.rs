//! HTTP requests of actuators and sources, over any tower service.

mod plain;

use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use tower_service::Service;

use crate::ConfigError;
use crate::actuate::Boxed;

/// Where to ask, as whom, and over what.
///
/// [`plain`](Self::plain) speaks HTTP/1.1 without TLS over TCP or a Unix socket;
/// [`over`](Self::over) takes any client that is a tower service, such as one of hyper-util with a
/// connector of hyper-rustls. Clones are cheap and share connections.
#[derive(Clone)]
pub struct Http {
    base: Arc<str>,
    identity: Option<HeaderValue>,
    send: Arc<Sending>,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Sending = dyn Fn(Request<Full<Bytes>>) -> Boxed<'static, Sent> + Send + Sync;
type Sent = Result<Response<Bytes>, BoxError>;

impl Http {
    /// `http://host:port`, with a path before all others if there is one, or
    /// `unix:///var/run/docker.sock`.
    ///
    /// # Errors
    /// Another kind of address; `https` needs [`over`](Self::over).
    pub fn plain(address: &str) -> Result<Self, ConfigError> {
        if let Some(path) = address.strip_prefix("unix://") {
            return plain::unix(path, address);
        }
        let client = plain::tcp();
        let known = address.strip_prefix("http://");
        if known.is_none_or(|rest| rest.is_empty() || rest.contains('@')) {
            return Err(bad_address(address));
        }
        Self::over(address, client)
    }

    /// Any client. Bodies of answers are read whole, up to 4 MiB.
    ///
    /// # Errors
    /// An address without scheme or host, or with a name and password in it: give those to
    /// [`basic`](Self::basic).
    pub fn over<S, B>(address: &str, client: S) -> Result<Self, ConfigError>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let address = address.trim_end_matches('/');
        let uri: Result<http::Uri, _> = address.parse();
        let proper = uri.is_ok_and(|uri| {
            uri.scheme().is_some()
                && uri.query().is_none()
                && uri.authority().is_some_and(|it| !it.as_str().contains('@'))
        });
        if !proper {
            return Err(bad_address(address));
        }
        Ok(Self::with(address, move |request| {
            let mut client = client.clone();
            async move {
                poll_fn(|context| client.poll_ready(context)).await.map_err(Into::into)?;
                read(client.call(request).await.map_err(Into::into)?).await
            }
        }))
    }

    fn with<F, A>(base: &str, send: F) -> Self
    where
        F: Fn(Request<Full<Bytes>>) -> A + Send + Sync + 'static,
        A: Future<Output = Sent> + Send + 'static,
    {
        let send = Arc::new(move |request| -> Boxed<'static, Sent> { Box::pin(send(request)) });
        Self { base: base.into(), identity: None, send }
    }

    /// With a name and a password. Neither is ever written to a log.
    ///
    /// # Errors
    /// A name with a colon in it, which cannot be sent.
    pub fn basic(self, name: &str, password: &str) -> Result<Self, ConfigError> {
        let shown = "a name without a colon";
        if name.contains(':') {
            return Err(ConfigError::Text { field: "name", value: "..".into(), bound: shown });
        }
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
        self.identified(&format!("Basic {pair}"))
    }

    /// With a token, which is never written to a log.
    ///
    /// # Errors
    /// A token that does not fit in a header.
    pub fn bearer(self, token: &str) -> Result<Self, ConfigError> {
        self.identified(&format!("Bearer {token}"))
    }

    fn identified(self, value: &str) -> Result<Self, ConfigError> {
        let bound = "visible ASCII";
        let text = |_| ConfigError::Text { field: "token", value: "..".into(), bound };
        let mut value = HeaderValue::from_str(value).map_err(text)?;
        value.set_sensitive(true);
        Ok(Self { identity: Some(value), ..self })
    }

    /// `path` begins with a slash. Cancel safe; a request that is dropped may have been received.
    pub(crate) async fn get(&self, path: &str) -> Sent {
        self.ask(Request::get(self.uri(path)), Bytes::new()).await
    }

    #[cfg(feature = "swarm")]
    pub(crate) async fn post_json(&self, path: &str, body: &serde_json::Value) -> Sent {
        let request =
            Request::post(self.uri(path)).header(header::CONTENT_TYPE, "application/json");
        self.ask(request, body.to_string().into()).await
    }

    fn uri(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn ask(&self, request: http::request::Builder, body: Bytes) -> Sent {
        let mut request = request.header(header::ACCEPT, "application/json");
        if let Some(identity) = &self.identity {
            request = request.header(header::AUTHORIZATION, identity);
        }
        (self.send)(request.body(Full::new(body))?).await
    }
}

async fn read<B>(answer: Response<B>) -> Sent
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let (parts, body) = answer.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}

/// One segment of a path, whatever it holds.
#[cfg(any(feature = "swarm", feature = "rabbitmq"))]
pub(crate) fn segment(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

/// The value of the address is not shown whole: it may hold a password.
fn bad_address(address: &str) -> ConfigError {
    let scheme = address.split("://").next().unwrap_or_default();
    let value = scheme.chars().take(20).collect::<String>() + "://..";
    let bound = "http://host:port without a password, or unix:///path";
    ConfigError::Text { field: "address", value: value.into(), bound }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("base", &self.base).finish_non_exhaustive()
    }
}

const MAX_ANSWER: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_a_password_is_refused_and_not_shown() {
        for bad in ["http://me:secret@host", "https://host", "ftp://secret", "host:80", "http://"] {
            let said = Http::plain(bad).unwrap_err().to_string();
            assert!(said.starts_with("address: ") && !said.contains("secret"), "{bad}: {said}");
        }
        assert!(Http::plain("http://host:1/prefix/").is_ok());
    }

    #[test]
    fn a_secret_is_not_shown() {
        let http = Http::plain("http://host").unwrap();
        let http = http.basic("me", "secret").unwrap();
        assert!(!format!("{http:?}").contains("secret"));
        assert!(http.clone().bearer("sec\nret").is_err());
        assert!(http.basic("a:b", "secret").is_err());
    }

    #[cfg(any(feature = "swarm", feature = "rabbitmq"))]
    #[test]
    fn a_segment_cannot_leave_its_place() {
        assert_eq!(segment("/"), "%2F");
        assert_eq!(segment("a/../b?c#d e"), "a%2F..%2Fb%3Fc%23d%20e");
    }
}
