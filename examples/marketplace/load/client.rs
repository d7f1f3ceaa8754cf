//! The HTTP client of the load: keep-alive connections to one loopback address.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Pooled;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Who sends: an address, and a session where the route wants one.
#[derive(Clone, Debug, Default)]
pub struct Sender {
    pub address: String,
    pub token: Option<String>,
    /// The write this read must see, as the service gave it.
    pub read_after: Option<String>,
}

/// Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    pooled: Pooled<HttpConnector, Full<Bytes>>,
    base: String,
}

impl Client {
    pub fn new(server: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(TIMEOUT));
        let pooled = Pooled::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(1_024)
            .build(connector);
        Self { pooled, base: format!("http://{server}") }
    }

    /// Sends one request; `None` when no whole answer came within [`TIMEOUT`].
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        sender: &Sender,
        json: Option<&serde_json::Value>,
    ) -> Option<Answer> {
        let uri: Uri = format!("{}{path}", self.base).parse().ok()?;
        let mut request =
            Request::builder().method(method).uri(uri).header("x-forwarded-for", &sender.address);
        if let Some(token) = &sender.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(after) = &sender.read_after {
            request = request.header(crate::service::READ_AFTER, after);
        }
        let body = match json {
            Some(value) => {
                request = request.header("content-type", "application/json");
                Bytes::from(value.to_string())
            }
            None => Bytes::new(),
        };
        let request = request.body(Full::new(body)).ok()?;
        tokio::time::timeout(TIMEOUT, async {
            let (head, body) = self.pooled.request(request).await.ok()?.into_parts();
            let body = body.collect().await.ok()?.to_bytes();
            Some(Answer { status: head.status, headers: head.headers, body })
        })
        .await
        .ok()
        .flatten()
    }
}

/// Longer than any deadline of the service, so that the service's own answer wins.
const TIMEOUT: Duration = Duration::from_secs(30);
