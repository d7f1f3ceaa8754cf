use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::TcpListener;

use super::Dialer;
use crate::{Resolver, Tls};

/// A node by a name, and what the name stands for.
fn dialer() -> (Dialer, Arc<Mutex<Vec<SocketAddr>>>) {
    let zone = Arc::<Mutex<Vec<SocketAddr>>>::default();
    let config = "postgres://app@db.example/app".parse().unwrap();
    let answer = Arc::clone(&zone);
    let resolver = Resolver::new(move |name, port| {
        assert_eq!((name.as_str(), port), ("db.example", 5432));
        let found = answer.lock().clone();
        async { Ok(found) }
    });
    (Dialer::new(config, resolver, Tls::default()), zone)
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn a_name_is_resolved_anew_for_each_connection_and_its_addresses_are_tried_in_turn() {
    let (dialer, zone) = dialer();
    let ((one, first), (two, second)) = (listener().await, listener().await);
    *zone.lock() = vec![first];
    dialer.dial().await.unwrap();
    one.accept().await.unwrap();

    // The first is gone: nothing listens there any more.
    drop(one);
    *zone.lock() = vec![first, second];
    dialer.dial().await.unwrap();
    two.accept().await.unwrap();

    *zone.lock() = vec![second];
    dialer.dial().await.unwrap();
    two.accept().await.unwrap();

    zone.lock().clear();
    let error = dialer.dial().await.map(drop).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable, "{error}");
}

#[tokio::test]
async fn an_address_is_no_name_and_nobody_is_asked_for_it() {
    for url in ["host=127.0.0.1", "host=::1", "host=db hostaddr=127.0.0.1", "host=/tmp"] {
        let resolver = Resolver::new(|_, _| async { Err(io::ErrorKind::Other.into()) });
        let dialer = Dialer::new(url.parse().unwrap(), resolver, Tls::default());
        assert!(!dialer.has_name() && dialer.look_up().await.is_none(), "{url}");
        assert!(!dialer.addresses().await.unwrap().is_empty(), "{url}");
    }
}
