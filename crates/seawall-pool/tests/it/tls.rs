//! Encrypted connections, to a server with a certificate of its own making.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use seawall_devstack::{Postgres, Stack};
use seawall_pool::{Error, NodeConfig, Pool, PoolConfig, Tls};

use crate::support::{OPEN, admin, config, count, millis, node, secs, stack, until};

/// Connections of the pool, its monitor's and shared ones too, that are not encrypted.
const PLAIN: &str = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
     WHERE application_name = 'seawall-pool' AND NOT ssl";

/// Gives the server a certificate for `name`; what to trust.
async fn encrypt(server: &Postgres, name: &str) -> Tls {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let dir = server.data_dir();
    let owner = dir.metadata().unwrap();
    let files = [("server.crt", made.cert.pem()), ("server.key", made.signing_key.serialize_pem())];
    for (file, text) in files {
        let path = dir.join(file);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    admin(server, "ALTER SYSTEM SET ssl = on").await;
    admin(server, "SELECT pg_reload_conf()").await;
    let on = "SELECT count(*) FROM pg_settings WHERE name = 'ssl' AND setting = 'on'";
    until("TLS is on", secs(20), async || count(server, on).await == 1).await;
    Tls::trusting(made.cert.pem().as_bytes()).unwrap()
}

fn with(stack: &Stack, tls: Tls, mode: &str) -> PoolConfig {
    let url = stack.primary().unwrap().url();
    let and = if url.contains('?') { '&' } else { '?' };
    let primary = NodeConfig::new(format!("{url}{and}sslmode={mode}"));
    PoolConfig { primary, tls, max_size: 1, cancel_timeout: secs(20), ..config(stack) }
}

#[tokio::test]
async fn every_connection_of_a_pool_is_encrypted_and_its_session_as_safe_as_elsewhere() {
    let stack = stack(0).await;
    let primary = stack.primary().unwrap();
    let tls = encrypt(primary, "127.0.0.1").await;
    let pool = Pool::connect(with(&stack, tls, "require")).await.unwrap();
    until("a read is shared", secs(20), async || {
        pool.read().shared().query_one("SELECT 1", &[]).await.unwrap();
        node(&pool, "primary").lanes > 0
    })
    .await;
    assert!(count(primary, OPEN).await >= 3, "the pool's, the monitor's, a shared one");
    assert_eq!(count(primary, PLAIN).await, 0);

    // What the server says of the session is read inside of the encryption.
    let conn = pool.write().get().await.unwrap();
    conn.batch_execute("BEGIN; CREATE TABLE mark (id int)").await.unwrap();
    drop(conn);
    assert!(pool.write().query("SELECT * FROM mark", &[]).await.is_err(), "it was rolled back");
    assert_eq!(node(&pool, "primary").size, 1);
    // And a cancel request goes the same way.
    let limit = pool.write().timeout(millis(100));
    limit.query_one("SELECT pg_sleep(600)", &[]).await.unwrap_err();
    pool.write().query_one("SELECT 1", &[]).await.expect("the one connection is free");
    let running = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    assert_eq!(count(primary, running).await, 0);
}

#[tokio::test]
async fn a_server_that_cannot_show_who_it_is_gets_no_connection() {
    let stack = stack(0).await;
    let primary = stack.primary().unwrap();
    let refused = async |tls: Tls| {
        let error = Pool::connect(with(&stack, tls, "require")).await.unwrap_err();
        assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    };
    // One that has none to show.
    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let other = Tls::trusting(other.cert.pem().as_bytes()).unwrap();
    refused(other.clone()).await;
    // Of another name; of somebody else.
    let tls = encrypt(primary, "db.example").await;
    refused(tls).await;
    encrypt(primary, "127.0.0.1").await;
    refused(other).await;
    refused(Tls::default()).await;
    assert_eq!(count(primary, OPEN).await, 0);
    assert!(matches!(Tls::trusting(b"no certificate"), Err(Error::Certificates)));
}

#[tokio::test]
async fn a_server_without_encryption_is_used_without_where_that_may_be() {
    let stack = stack(0).await;
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let tls = Tls::trusting(made.cert.pem().as_bytes()).unwrap();
    for mode in ["prefer", "disable"] {
        let pool = Pool::connect(with(&stack, tls.clone(), mode)).await.unwrap();
        // The answer to the question for encryption is not taken for a message.
        let conn = pool.write().get().await.unwrap();
        conn.batch_execute("BEGIN; CREATE TABLE mark (id int)").await.unwrap();
        drop(conn);
        assert!(pool.write().query("SELECT * FROM mark", &[]).await.is_err(), "{mode}");
        let limit = pool.write().timeout(millis(100));
        limit.query_one("SELECT pg_sleep(600)", &[]).await.unwrap_err();
        pool.write().query_one("SELECT 1", &[]).await.expect(mode);
        assert!(count(stack.primary().unwrap(), PLAIN).await > 0, "{mode}");
    }
}
