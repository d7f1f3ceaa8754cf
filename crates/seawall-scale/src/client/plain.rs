use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::Http;
use crate::ConfigError;

/// Connections are kept and shared.
pub(super) fn tcp() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

/// A connection per request: on the same machine it costs little.
#[cfg(unix)]
pub(super) fn unix(path: &str, _address: &str) -> Result<Http, ConfigError> {
    use std::sync::Arc;

    use hyper::client::conn::http1::handshake;
    use hyper_util::rt::TokioIo;
    use tokio::net::UnixStream;
    use tokio::task::JoinHandle;

    struct AbortOnDrop(JoinHandle<()>);

    impl Drop for AbortOnDrop {
        fn drop(&mut self) {
            self.0.abort();
        }
    }

    if !path.starts_with('/') {
        let bound = "an absolute path after unix://";
        return Err(ConfigError::Text { field: "address", value: path.into(), bound });
    }
    let path: Arc<str> = path.into();
    Ok(Http::with("http://localhost", move |request| {
        let path = Arc::clone(&path);
        async move {
            let stream = UnixStream::connect(&*path).await?;
            let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
            let _driven = AbortOnDrop(tokio::spawn(async move {
                // What goes wrong is told by the answer.
                let _ended = connection.await;
            }));
            super::read(sender.send_request(request).await?).await
        }
    }))
}

#[cfg(not(unix))]
pub(super) fn unix(_path: &str, address: &str) -> Result<Http, ConfigError> {
    Err(super::bad_address(address))
}
