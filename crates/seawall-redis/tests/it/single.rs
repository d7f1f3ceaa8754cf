//! One server.

use seawall_devstack::Stack;
use seawall_redis::Error;

use super::*;

#[tokio::test]
async fn a_server_that_comes_back_is_connected_to_again() {
    let stack = Stack::builder().redis().start().await.unwrap();
    let redis = stack.redis().unwrap();
    let followed = connected(redis.url()).await;
    let routes = &followed.routes;
    assert_eq!(set(routes, "a", "1").await.unwrap(), 0);
    assert_eq!(get(routes, "a").await.unwrap(), (Some("1".into()), 0));
    routes.ping().await.unwrap();
    redis.kill().await.unwrap();
    until("nothing is queued for a server that is gone", async || routes.to(0).is_err()).await;
    assert_eq!(routes.connected(), (false, false));
    get(routes, "a").await.expect_err("not connected");
    routes.ping().await.expect_err("not connected");
    redis.restart().await.unwrap();
    until("it answers again", async || get(routes, "a").await.is_ok()).await;
    routes.close().await.unwrap();
    get(routes, "a").await.expect_err("closed for good");
}

#[tokio::test]
async fn nobody_there_is_an_error_within_the_timeout_and_no_wait_when_lazy() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Taken, and never answered.
    for scheme in ["redis", "redis-cluster"] {
        let url = format!("{scheme}://127.0.0.1:{port}");
        let timeout = Duration::from_millis(300);
        let settings = Settings { connect_timeout: timeout, ..settings(url) };
        let error = Masters::connect(&settings).await.expect_err("nobody answers");
        assert!(error.is_retryable(), "{error:?}");
        let lazy = follow(Masters::connect_lazy(&settings).unwrap());
        assert_eq!(lazy.routes.connected(), (false, false));
        get(&lazy.routes, "a").await.expect_err("not connected");
    }
    let odd = settings("nowhere".into());
    let error = Masters::connect(&odd).await.expect_err("no URL");
    assert!(matches!(error, Error::Url(_)), "{error:?}");
}

#[tokio::test]
async fn a_lazy_start_finds_a_server_that_comes_later() {
    let stack = Stack::builder().redis().start().await.unwrap();
    let redis = stack.redis().unwrap();
    redis.kill().await.unwrap();
    let followed = follow(Masters::connect_lazy(&settings(redis.url())).unwrap());
    get(&followed.routes, "a").await.expect_err("not connected");
    redis.restart().await.unwrap();
    until("it answers", async || get(&followed.routes, "a").await.is_ok()).await;
}
