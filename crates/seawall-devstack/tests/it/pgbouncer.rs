//! What PgBouncer does before the primary.

use seawall_devstack::{Error, Stack};

#[tokio::test]
async fn clients_beyond_its_connections_share_those_it_has() {
    let stack = Stack::builder().pgbouncer(2).start().await.unwrap();
    let bouncer = stack.pgbouncer().unwrap();
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(bouncer.client().await.unwrap());
    }
    let mut backends = std::collections::BTreeSet::new();
    for client in &clients {
        let row = client.query_typed("SELECT pg_backend_pid()", &[]).await.unwrap();
        backends.insert(row[0].get::<_, i32>(0));
    }
    assert!((1..=2).contains(&backends.len()), "{backends:?}");

    bouncer.restart().await.unwrap();
    assert!(clients[0].simple_query("SELECT 1").await.is_err(), "its clients went with it");
    bouncer.client().await.unwrap().simple_query("SELECT 1").await.unwrap();
    bouncer.kill().await.unwrap();
    let error = bouncer.client().await.unwrap_err();
    assert!(matches!(error, Error::Postgres { .. }) && error.is_retryable(), "{error:?}");
}
