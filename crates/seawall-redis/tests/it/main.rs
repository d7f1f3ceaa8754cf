//! Ways to real servers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

mod cluster;
mod reads;
mod single;

use std::sync::Arc;
use std::time::Duration;

use fred::error::Error;
use seawall_redis::{Masters, Routes, Settings, Way};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// With deadlines that a busy machine does not miss.
fn settings(url: String) -> Settings {
    let (command_timeout, connect_timeout) = (Duration::from_secs(5), Duration::from_secs(20));
    Settings { url, command_timeout, connect_timeout, ..Settings::default() }
}

/// Followed until the task is dropped.
struct Followed {
    routes: Arc<Routes>,
    task: JoinHandle<()>,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn follow(masters: Masters) -> Followed {
    let routes = masters.routes();
    Followed { routes, task: tokio::spawn(masters.follow(|_, _| {})) }
}

/// Connected to all masters.
async fn connected(url: String) -> Followed {
    let followed = follow(Masters::connect(&settings(url)).await.expect("it is up"));
    until("all masters are connected to", async || followed.routes.connected() == (true, true))
        .await;
    followed
}

async fn get(routes: &Routes, key: &str) -> Result<(Option<String>, u32), Error> {
    let ask = |way: Way| async move { way.send("GET", vec![key.into()]).await };
    routes.ask(routes.topology().node(key.as_bytes()), ask).await
}

async fn set(routes: &Routes, key: &str, value: &str) -> Result<u32, Error> {
    let ask = |way: Way| async move { way.send("SET", vec![key.into(), value.into()]).await };
    let answer: (String, u32) = routes.ask(routes.topology().node(key.as_bytes()), ask).await?;
    assert_eq!(answer.0, "OK");
    Ok(answer.1)
}

/// Waits until it is so: the machine may stall.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_so().await {
        assert!(Instant::now() < end, "never came true: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}
