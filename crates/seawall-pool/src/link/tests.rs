use std::io;
use std::net::SocketAddr;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::net::TcpListener;

use super::{Config, dial};

/// What the name stands for at the moment.
static ZONE: Mutex<Vec<SocketAddr>> = Mutex::new(Vec::new());

fn by_zone(name: &str, _: u16) -> BoxFuture<'_, io::Result<Vec<SocketAddr>>> {
    assert_eq!(name, "db.example");
    Box::pin(async { Ok(ZONE.lock().clone()) })
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn a_name_is_resolved_anew_for_each_connection_and_its_addresses_are_tried_in_turn() {
    let config: Config = "postgres://app@db.example/app".parse().unwrap();
    let ((one, first), (two, second)) = (listener().await, listener().await);
    *ZONE.lock() = vec![first];
    dial(&config, by_zone).await.unwrap();
    one.accept().await.unwrap();

    // The first is gone: nothing listens there any more.
    drop(one);
    *ZONE.lock() = vec![first, second];
    dial(&config, by_zone).await.unwrap();
    two.accept().await.unwrap();

    *ZONE.lock() = vec![second];
    dial(&config, by_zone).await.unwrap();
    two.accept().await.unwrap();

    ZONE.lock().clear();
    let error = dial(&config, by_zone).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable, "{error}");
}
