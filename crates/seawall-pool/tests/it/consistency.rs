//! Reads after writes.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::Mutex;
use seawall_devstack::Stack;
use seawall_pool::{Lsn, NodeConfig, Pool, PoolConfig};
use tokio::task::JoinSet;

use crate::support::{
    COMMIT_WAITS, admin, commits_wait, config, count, millis, node, pool, port, secs, stack, until,
};

async fn with_counter(pool: &Pool) {
    pool.write().execute("CREATE TABLE counter (value bigint)", &[]).await.unwrap();
    pool.write().execute("INSERT INTO counter VALUES (0)", &[]).await.unwrap();
}

/// Sets the counter and returns the token of the commit.
async fn set(pool: &Pool, value: i64) -> Lsn {
    let mut conn = pool.write().get().await.unwrap();
    let tx = conn.transaction().await.unwrap();
    tx.execute("UPDATE counter SET value = $1", &[&value]).await.unwrap();
    tx.commit().await.unwrap();
    conn.commit_lsn().await.unwrap()
}

async fn get(pool: &Pool, after: Lsn) -> i64 {
    let row = pool.read().after(after).query_one("SELECT value FROM counter", &[]).await.unwrap();
    row.get(0)
}

#[tokio::test]
async fn a_reader_with_a_token_never_sees_an_older_state_whatever_replay_does() {
    let stack = stack(2).await;
    let pool = pool(&stack).await;
    with_counter(&pool).await;
    let (one, two) = (stack.replica(0).unwrap(), stack.replica(1).unwrap());
    for round in 1..=400 {
        // Both run, one stands still, both stand still, and so on around.
        match round % 40 {
            0 => one.pause_replay().await.unwrap(),
            10 => two.pause_replay().await.unwrap(),
            20 => one.resume_replay().await.unwrap(),
            30 => two.resume_replay().await.unwrap(),
            _ => {}
        }
        let token = set(&pool, round).await;
        assert_eq!(get(&pool, token).await, round);
        let conn = pool.read().after(token).get().await.unwrap();
        let row = conn.query_one("SELECT value FROM counter", &[]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), round, "on {}", conn.node());
    }
}

#[tokio::test]
async fn a_reader_with_a_token_waits_for_a_replica_that_catches_up() {
    let stack = stack(2).await;
    let config = PoolConfig { catch_up_wait: secs(10), ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    with_counter(&pool).await;
    let before = node(&pool, "primary").served.reads;
    for round in 1..=100 {
        let token = set(&pool, round).await;
        assert_eq!(get(&pool, token).await, round);
    }
    let on_primary = node(&pool, "primary").served.reads - before;
    assert!(on_primary <= 10, "{on_primary} of 100 reads went to the primary");

    // Where every commit is shown late, it is waited for.
    for replica in stack.replicas() {
        replica.set_apply_delay(millis(100)).await.unwrap();
    }
    let (before, mut longest) = (node(&pool, "primary").served.reads, millis(0));
    for round in 101..=105 {
        let token = set(&pool, round).await;
        let asked = tokio::time::Instant::now();
        assert_eq!(get(&pool, token).await, round);
        longest = longest.max(asked.elapsed());
    }
    assert!(longest >= millis(50), "nobody waited: {longest:?}");
    let on_primary = node(&pool, "primary").served.reads - before;
    assert_eq!(on_primary, 0, "a wait of ten seconds is long enough");
}

#[tokio::test]
async fn only_the_replica_that_stands_still_is_avoided() {
    let stack = stack(2).await;
    let config = PoolConfig { catch_up_wait: secs(10), ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    with_counter(&pool).await;
    stack.replica(1).unwrap().pause_replay().await.unwrap();
    let token = set(&pool, 1).await;
    for _ in 0..50 {
        assert_eq!(port(pool.read().after(token)).await, stack.replica(0).unwrap().port());
    }
    stack.replica(1).unwrap().resume_replay().await.unwrap();
    let both = async || node(&pool, "replica-2").replay_lsn >= Some(token);
    until("replica-2 has caught up", secs(30), both).await;
    // The balancer starts it slowly.
    let serves = async || port(pool.read().after(token)).await == stack.replica(1).unwrap().port();
    until("replica-2 serves again", secs(10), serves).await;
}

/// The pool believes a replica to be at a position; the replica crashes and
/// comes back, before the pool can notice, with less than it had: an older row,
/// or not even the table.
#[test]
fn a_replica_that_crashed_and_came_back_with_less_serves_no_older_state() {
    for table_survives in [true, false] {
        crash_and_come_back_with_less(table_survives);
    }
}

fn crash_and_come_back_with_less(table_survives: bool) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (servers, client) = (runtime(), runtime());
    let stack = servers.block_on(stack(1));
    let (primary, replica) = (stack.primary().unwrap(), stack.replica(0).unwrap());
    // No spare connections: the read has to make one, to the new process.
    let config = PoolConfig { min_idle: 0, ..config(&stack) };
    let pool = client.block_on(Pool::connect(config)).unwrap();
    client.block_on(with_counter(&pool));
    if table_survives {
        servers.block_on(async {
            admin(primary, "CHECKPOINT").await;
            replica.wait_caught_up(primary, secs(30)).await.unwrap();
            admin(replica, "CHECKPOINT").await;
        });
    }
    let token = client.block_on(async {
        let token = set(&pool, 1).await;
        let known = async || node(&pool, "replica-1").replay_lsn >= Some(token);
        until("the pool knows that the replica has it", secs(30), known).await;
        token
    });
    // While these run, nothing of the pool does.
    servers.block_on(async {
        replica.set_apply_delay(secs(3_600)).await.unwrap();
        replica.kill().await.unwrap();
        replica.restart().await.unwrap();
        assert!(replica.replay_lsn().await.unwrap() < token.0, "the test has lost its point");
        let table = "SELECT count(*) FROM pg_class WHERE relname = 'counter'";
        assert_eq!(count(replica, table).await, i64::from(table_survives));
    });
    assert_eq!(client.block_on(get(&pool, token)), 1);
    client.block_on(pool.shutdown());
    servers.block_on(stack.shutdown());
}

#[tokio::test]
async fn rows_carry_a_position_that_covers_the_last_write_on_a_quiet_cluster() {
    let stack = stack(1).await;
    let pool = pool(&stack).await;
    with_counter(&pool).await;
    let token = set(&pool, 7).await;
    let sql = "SELECT value FROM counter";
    let at = pool.write().query_at(sql, &[]).await.unwrap();
    assert_eq!((&*at.node, at.value[0].get::<_, i64>(0)), ("primary", 7));
    assert!(at.lsn >= token, "{} covers {token}", at.lsn);

    let primary = stack.primary().unwrap();
    stack.replica(0).unwrap().wait_caught_up(primary, secs(30)).await.unwrap();
    let at = pool.read().query_at(sql, &[]).await.unwrap();
    assert_eq!((&*at.node, at.value[0].get::<_, i64>(0)), ("replica-1", 7));
    assert!(at.lsn >= token, "{} covers {token}", at.lsn);
}

/// Writers commit numbered rows and note their tokens; readers note what they
/// saw and the position it came with. No position may claim a commit that was
/// not visible.
async fn no_position_claims_an_invisible_commit(stack: &Stack, primary_only: bool) {
    let mut config = config(stack);
    if primary_only {
        config.replicas.clear();
    }
    let pool = Pool::connect(config).await.unwrap();
    pool.write().execute("CREATE TABLE history (id bigint)", &[]).await.unwrap();
    if let Ok(replica) = stack.replica(0) {
        replica.wait_caught_up(stack.primary().unwrap(), secs(30)).await.unwrap();
    }
    let next = Arc::new(AtomicI64::new(0));
    let tokens = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut writers = JoinSet::new();
    for _ in 0..4 {
        let (pool, next, tokens) = (pool.clone(), Arc::clone(&next), Arc::clone(&tokens));
        writers.spawn(async move {
            let mut conn = pool.write().get().await.unwrap();
            for _ in 0..150 {
                let id = next.fetch_add(1, Ordering::Relaxed);
                let tx = conn.transaction().await.unwrap();
                tx.execute("INSERT INTO history VALUES ($1)", &[&id]).await.unwrap();
                tx.commit().await.unwrap();
                let token = conn.commit_lsn().await.unwrap();
                tokens.lock().push((id, token));
            }
        });
    }
    let written = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for _ in 0..3 {
        let (pool, seen, written) = (pool.clone(), Arc::clone(&seen), Arc::clone(&written));
        readers.spawn(async move {
            let mut last = false;
            while !last {
                last = written.load(Ordering::Relaxed);
                let at = pool.read().query_at("SELECT id FROM history", &[]).await.unwrap();
                let ids: HashSet<i64> = at.value.iter().map(|row| row.get(0)).collect();
                seen.lock().push((at.lsn, ids));
            }
        });
    }
    writers.join_all().await;
    if let Ok(replica) = stack.replica(0) {
        replica.wait_caught_up(stack.primary().unwrap(), secs(30)).await.unwrap();
    }
    written.store(true, Ordering::Relaxed);
    readers.join_all().await;
    let tokens = tokens.lock();
    let mut claims = 0;
    for (lsn, ids) in seen.lock().iter() {
        for (id, token) in tokens.iter().filter(|(_, token)| token <= lsn) {
            assert!(
                ids.contains(id),
                "{lsn} claims {id}, committed at {token}, and did not see it"
            );
            claims += 1;
        }
    }
    assert!(claims > 1_000, "only {claims} claims: the test has lost its point");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_position_read_on_the_primary_claims_an_invisible_commit() {
    no_position_claims_an_invisible_commit(&stack(0).await, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_position_read_on_a_replica_claims_an_invisible_commit() {
    no_position_claims_an_invisible_commit(&stack(1).await, false).await;
}

/// A commit that waits for a synchronous replica is in the log and cannot be
/// seen, for as long as it waits.
#[tokio::test]
async fn no_position_claims_the_one_commit_that_is_in_the_log_and_not_visible() {
    let stack = stack(0).await;
    let pool = pool(&stack).await;
    with_counter(&pool).await;
    let primary = stack.primary().unwrap();
    admin(primary, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await;
    admin(primary, "SELECT pg_reload_conf()").await;
    let set = "SELECT count(*) FROM pg_settings WHERE setting = 'nobody'";
    until("the server has read it", secs(30), async || count(primary, set).await == 1).await;
    commits_wait(primary).await;
    let writer = tokio::spawn({
        let pool = pool.clone();
        async move {
            let conn = pool.write().timeout(secs(60)).get().await.unwrap();
            conn.execute("UPDATE counter SET value = 1", &[]).await.unwrap();
            conn.commit_lsn().await.unwrap()
        }
    });
    until("the commit waits", secs(30), async || count(primary, COMMIT_WAITS).await == 1).await;
    let at = pool.read().query_at("SELECT value FROM counter", &[]).await.unwrap();
    assert_eq!(at.value[0].get::<_, i64>(0), 0, "it is not visible yet");
    admin(primary, "ALTER SYSTEM RESET synchronous_standby_names").await;
    admin(primary, "SELECT pg_reload_conf()").await;
    let token = writer.await.unwrap();
    assert!(token > at.lsn, "{} claims the commit at {token} and did not see it", at.lsn);
}

#[tokio::test]
async fn lag_shows_a_replica_that_stands_still_and_forgets_a_quiet_time() {
    let stack = stack(1).await;
    let config = PoolConfig { health_interval: millis(50), ..config(&stack) };
    let pool = Pool::connect(config).await.unwrap();
    with_counter(&pool).await;
    let lag = || node(&pool, "replica-1").lag;
    let level = async || lag().is_some_and(|lag| lag.bytes == 0 && lag.time.is_zero());
    until("the replica is level", secs(20), level).await;

    stack.replica(0).unwrap().pause_replay().await.unwrap();
    set(&pool, 1).await;
    until("it falls behind", secs(30), async || lag().is_some_and(|lag| lag.bytes > 0)).await;
    until("it ages", secs(30), async || lag().is_some_and(|lag| lag.time > millis(500))).await;
    stack.replica(0).unwrap().resume_replay().await.unwrap();
    until("the replica is level again", secs(20), level).await;
}

#[tokio::test]
async fn a_standby_as_primary_serves_a_token_only_once_it_has_it() {
    let stack = stack(1).await;
    let replica = stack.replica(0).unwrap();
    let writer = pool(&stack).await;
    with_counter(&writer).await;
    replica.wait_caught_up(stack.primary().unwrap(), secs(30)).await.unwrap();
    let standby = PoolConfig {
        primary: NodeConfig::new(replica.url()),
        replicas: Vec::new(),
        ..config(&stack)
    };
    let standby = Pool::connect(standby).await.unwrap();
    replica.pause_replay().await.unwrap();
    let token = set(&writer, 1).await;
    let sql = "SELECT value FROM counter";
    standby.read().query_one(sql, &[]).await.unwrap();
    let error = standby.read().after(token).query_one(sql, &[]).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    replica.resume_replay().await.unwrap();
    let served = async || standby.read().after(token).query_one(sql, &[]).await.is_ok();
    until("it has caught up", secs(30), served).await;
}
