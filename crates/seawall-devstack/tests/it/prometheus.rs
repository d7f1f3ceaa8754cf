//! What can be done to Prometheus.

use seawall_devstack::{Error, Stack};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::eventually;

/// A page to scrape, for as long as the test runs.
async fn target() -> std::net::SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let page = "HTTP/1.0 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\n\r\n\
                            # TYPE answer gauge\nanswer 42\n";
                let _ = stream.write_all(page.as_bytes()).await;
            });
        }
    });
    addr
}

#[tokio::test]
async fn prometheus_scrapes_its_target_and_keeps_its_data_over_a_restart() {
    let stack = Stack::builder().prometheus(target().await).start().await.unwrap();
    let prometheus = stack.prometheus().unwrap();
    let scraped = || async { prometheus.query("answer").await.unwrap().contains("\"42\"") };
    eventually("a scrape", scraped).await;
    prometheus.restart().await.unwrap();
    let kept = || async {
        prometheus.query("count_over_time(answer[1h])").await.is_ok_and(|it| it.contains("value"))
    };
    eventually("the samples of before", kept).await;
    let error = prometheus.query("answer{").await.unwrap_err();
    assert!(matches!(error, Error::Prometheus { .. }) && !error.is_retryable(), "{error:?}");
    prometheus.kill().await.unwrap();
    let error = prometheus.query("answer").await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
}
