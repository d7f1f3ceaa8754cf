//! Nodes whose role is not what the configuration says, and what stays on a replica.

use std::sync::Arc;

use parking_lot::Mutex;
use seawall_pool::tokio_postgres::error::SqlState;
use seawall_pool::{BufferConfig, Error, NodeConfig, Outcome, PoolConfig, Resolver};

use crate::support::{admin, config, count, is_up, node, pool, port, secs, stack, until};

#[tokio::test]
async fn an_old_primary_that_returns_as_a_standby_serves_reads_and_gets_no_write() {
    let stack = stack(1).await;
    let (old, new) = (stack.primary().unwrap(), stack.replica(0).unwrap());
    let pool = pool(&stack).await;
    admin(old, "CREATE TABLE mark (id bigint)").await;
    new.wait_caught_up(old, secs(20)).await.unwrap();
    // In order, so that it has nothing that the new one has not.
    old.stop().await.unwrap();
    new.promote().await.unwrap();
    let insert = "INSERT INTO mark VALUES ($1)";
    pool.write().execute(insert, &[&1i64]).await.unwrap();

    std::fs::write(old.data_dir().join("standby.signal"), "").unwrap();
    old.restart().await.unwrap();
    old.follow(new.addr()).await.unwrap();
    until("the old one is back", secs(20), async || is_up(&pool, "primary")).await;
    let serves = async || port(pool.read()).await == old.port();
    until("it serves reads", secs(20), serves).await;
    for id in 2..50i64 {
        pool.write().execute(insert, &[&id]).await.unwrap();
    }
    assert!(node(&pool, "replica-1").primary && !node(&pool, "primary").primary);
    let rows = "SELECT count(*) FROM mark";
    until("it has the writes", secs(20), async || count(old, rows).await == 49).await;
}

#[tokio::test]
async fn a_pool_whose_configuration_is_older_than_a_promotion_writes_to_the_promoted_one() {
    let stack = stack(2).await;
    let (old, new, other) =
        (stack.primary().unwrap(), stack.replica(0).unwrap(), stack.replica(1).unwrap());
    let former = pool(&stack).await;
    admin(old, "CREATE TABLE mark (id bigint)").await;
    for replica in [new, other] {
        replica.wait_caught_up(old, secs(20)).await.unwrap();
    }
    old.stop().await.unwrap();
    new.promote().await.unwrap();
    std::fs::write(old.data_dir().join("standby.signal"), "").unwrap();
    old.restart().await.unwrap();
    old.follow(new.addr()).await.unwrap();
    other.follow(new.addr()).await.unwrap();

    // As a service that starts again, or reads its configuration again, and as one that
    // was there all the time and is changed.
    let insert = "INSERT INTO mark VALUES ($1)";
    let later = pool(&stack).await;
    former.write().execute(insert, &[&0i64]).await.unwrap();
    former.resize(4).unwrap();
    former.set_weight("replica-2", 3).unwrap();
    for id in 1..=20i64 {
        former.write().execute(insert, &[&id]).await.unwrap();
        later.write().execute(insert, &[&id]).await.unwrap();
        if id == 10 {
            former.evict();
            later.evict();
        }
    }
    assert_eq!(count(new, "SELECT count(*) FROM mark").await, 41);
    for pool in [&former, &later] {
        assert!(node(pool, "replica-1").primary && !node(pool, "primary").primary);
    }
    until("the old one is up", secs(20), async || is_up(&later, "primary")).await;
    let old_serves = async || port(later.read()).await == old.port();
    until("it serves reads", secs(20), old_serves).await;
}

#[tokio::test]
async fn a_writer_of_another_cluster_is_not_taken_for_the_primary_at_the_start() {
    let stack = stack(1).await;
    let dir = std::env::temp_dir().join(format!("seawall-pool-stranger-{}", std::process::id()));
    let other = seawall_devstack::Stack::builder().dir(&dir).replicas(0).start().await.unwrap();
    let primary = NodeConfig::new(stack.replica(0).unwrap().url());
    let replicas = vec![NodeConfig::new(other.primary().unwrap().url())];
    let buffer = BufferConfig { max_writes: 0, ..BufferConfig::default() };
    let config = PoolConfig { primary, replicas, buffer, ..config(&stack) };
    let pool = seawall_pool::Pool::connect(config).await.unwrap();
    let error = pool.write().execute("CREATE TABLE mark (id int)", &[]).await.unwrap_err();
    assert_eq!(error.outcome(), Some(Outcome::NotSent), "{error}");
    assert!(!node(&pool, "replica-1").primary);
    other.shutdown().await;
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn a_write_that_meets_a_demoted_primary_before_any_probe_is_run_once_on_the_new_one() {
    let stack = stack(1).await;
    let (old, new) = (stack.primary().unwrap(), stack.replica(0).unwrap());
    // Nobody looks but for a reason.
    let config = PoolConfig { health_interval: secs(60), ..config(&stack) };
    let pool = seawall_pool::Pool::connect(config).await.unwrap();
    admin(old, "CREATE TABLE mark (id bigint)").await;
    new.wait_caught_up(old, secs(20)).await.unwrap();
    old.stop().await.unwrap();
    new.promote().await.unwrap();
    std::fs::write(old.data_dir().join("standby.signal"), "").unwrap();
    old.restart().await.unwrap();
    old.follow(new.addr()).await.unwrap();

    let insert = "INSERT INTO mark VALUES ($1)";
    for id in 1..=5i64 {
        pool.write().execute(insert, &[&id]).await.unwrap();
    }
    let rows = "SELECT count(*) * 100 + sum(id)::bigint FROM mark";
    assert_eq!(count(new, rows).await, 515, "five, each once");
}

/// `in_hot_standby`, which a promoted server tells all of its sessions with their next answer.
#[tokio::test]
async fn a_promotion_is_noticed_by_the_next_read_and_not_by_the_next_probe() {
    let stack = stack(1).await;
    let config = PoolConfig { health_interval: secs(60), ..config(&stack) };
    let pool = seawall_pool::Pool::connect(config).await.unwrap();
    let (old, new) = (stack.primary().unwrap(), stack.replica(0).unwrap());
    let conn = pool.read().get().await.unwrap();
    conn.query("SELECT", &[]).await.unwrap();
    assert_eq!(&**conn.node(), "replica-1");
    new.promote().await.unwrap();
    assert!(is_up(&pool, "replica-1"), "nobody has looked");
    // The next probe is due after this has given up.
    until("it is fenced", secs(20), async || {
        conn.query("SELECT", &[]).await.unwrap();
        !is_up(&pool, "replica-1")
    })
    .await;
    let status = node(&pool, "replica-1");
    assert!(status.to_string().contains("not in recovery"), "{status}");
    assert_eq!(port(pool.read()).await, old.port());
}

/// The server says so at the login; no write is sent there to find out.
#[tokio::test]
async fn a_login_at_a_server_in_recovery_is_enough_to_send_it_no_write() {
    let stack = stack(1).await;
    let (primary, standby) = (stack.primary().unwrap(), stack.replica(0).unwrap());
    let place = Arc::new(Mutex::new(primary.addr()));
    let answer = Arc::clone(&place);
    let config = PoolConfig {
        primary: NodeConfig::new(primary.url().replace("127.0.0.1", "primary.example")),
        replicas: Vec::new(),
        resolver: Resolver::new(move |_, _| {
            let found = *answer.lock();
            async move { Ok(vec![found]) }
        }),
        health_interval: secs(60),
        ..config(&stack)
    };
    let pool = seawall_pool::Pool::connect(config).await.unwrap();
    pool.write().execute("CREATE TABLE mark (id bigint)", &[]).await.unwrap();

    *place.lock() = standby.addr();
    pool.evict();
    let error = pool.write().execute("INSERT INTO mark VALUES (1)", &[]).await.unwrap_err();
    assert!(matches!(error, Error::NotWritable { .. }), "{error:?}");
    assert_eq!(port(pool.read()).await, standby.port());
    let log = std::fs::read_to_string(standby.log_path()).unwrap();
    assert!(!log.contains("read-only transaction"), "a write was sent there:\n{log}");
}

#[tokio::test]
async fn a_write_that_its_session_forbids_is_refused_at_once_and_no_primary_looked_for() {
    let stack = stack(1).await;
    let mut config = config(&stack);
    let forbids = "&options=-c%20default_transaction_read_only%3Don";
    config.primary.url = format!("{}{forbids}", config.primary.url);
    if !config.primary.url.contains('?') {
        config.primary.url = config.primary.url.replacen('&', "?", 1);
    }
    let pool = seawall_pool::Pool::connect(config).await.unwrap();
    let error = pool.write().execute("CREATE TABLE mark (id bigint)", &[]).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some(&SqlState::READ_ONLY_SQL_TRANSACTION), "{error}");
    assert!(node(&pool, "primary").writable, "it is no standby");
}

#[tokio::test]
async fn a_transaction_on_a_replica_stays_there_and_a_write_in_it_is_not_run_elsewhere() {
    let stack = stack(2).await;
    let pool = pool(&stack).await;
    admin(stack.primary().unwrap(), "CREATE TABLE mark (id bigint)").await;
    for replica in stack.replicas() {
        replica.wait_caught_up(stack.primary().unwrap(), secs(20)).await.unwrap();
    }
    let mut conn = pool.read().get().await.unwrap();
    let transaction = conn.transaction().await.unwrap();
    let mut ports = Vec::new();
    for _ in 0..10 {
        let row = transaction.query_one("SELECT inet_server_port()", &[]).await.unwrap();
        ports.push(row.get::<_, i32>(0));
    }
    ports.dedup();
    assert_eq!(ports.len(), 1, "{ports:?}");
    assert_ne!(ports[0], i32::from(stack.primary().unwrap().port()));
    let error = transaction.execute("INSERT INTO mark VALUES (1)", &[]).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some(&SqlState::READ_ONLY_SQL_TRANSACTION));
    assert_eq!(error.outcome(), Some(Outcome::NoEffect));
    drop(transaction);
    assert_eq!(count(stack.primary().unwrap(), "SELECT count(*) FROM mark").await, 0);
}

#[tokio::test]
async fn a_read_waits_no_longer_for_a_replica_than_it_may() {
    let stack = stack(1).await;
    let pool = PoolConfig { catch_up_wait: secs(1), ..config(&stack) };
    let pool = seawall_pool::Pool::connect(pool).await.unwrap();
    admin(stack.primary().unwrap(), "CREATE TABLE mark (id bigint)").await;
    stack.replica(0).unwrap().set_apply_delay(secs(600)).await.unwrap();
    let sql = "INSERT INTO mark VALUES (1)";
    let causal = seawall_pool::Causal::new();
    pool.write().causal(&causal).execute(sql, &[]).await.unwrap();
    let sql = "SELECT count(*), inet_server_port() FROM mark";
    let row = pool.read().causal(&causal).query_one(sql, &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
    assert_eq!(row.get::<_, i32>(1), i32::from(stack.primary().unwrap().port()));
}
