//! Tokens that know their cluster and timeline.

use seawall_devstack::Stack;
use seawall_pool::{Causal, Error, Lsn, NodeConfig, Outcome, Pool, PoolConfig, Token};

use crate::support::{
    COMMIT_WAITS, admin, commits_wait, config, count, is_up, millis, node, pool, pool_of_one, port,
    secs, stack, until,
};

async fn with_counter(pool: &Pool) {
    pool.write().execute("CREATE TABLE counter (value bigint)", &[]).await.unwrap();
    pool.write().execute("INSERT INTO counter VALUES (0)", &[]).await.unwrap();
}

const SET: &str = "UPDATE counter SET value = $1";
const GET: &str = "SELECT value FROM counter";

async fn get(pool: &Pool, after: Token) -> i64 {
    pool.read().after(after).query_one(GET, &[]).await.unwrap().get(0)
}

/// Stops and starts replay, so that every round has another replica behind.
async fn disturb(stack: &Stack, round: i64) {
    let (one, two) = (stack.replica(0).unwrap(), stack.replica(1).unwrap());
    match round % 40 {
        0 => one.pause_replay().await.unwrap(),
        10 => two.pause_replay().await.unwrap(),
        20 => one.resume_replay().await.unwrap(),
        30 => two.resume_replay().await.unwrap(),
        _ => {}
    }
}

#[tokio::test]
async fn a_token_read_behind_the_commit_covers_it_whatever_replay_does() {
    let stack = stack(2).await;
    let pool = pool(&stack).await;
    with_counter(&pool).await;
    let mut last = None::<Token>;
    for round in 1..=200 {
        disturb(&stack, round).await;
        let mut conn = pool.write().get().await.unwrap();
        let tx = conn.transaction().await.unwrap();
        tx.execute(SET, &[&round]).await.unwrap();
        let token = tx.commit_token().await.unwrap();
        let asked = conn.token().await.unwrap();
        drop(conn);
        assert_eq!((asked.system, asked.timeline), (token.system, 1));
        assert!(token.lsn <= asked.lsn && token.system != 0);
        assert!(last.is_none_or(|last| last.lsn < token.lsn));
        last = Some(token);
        assert_eq!(get(&pool, token).await, round);
    }
}

#[tokio::test]
async fn a_token_of_the_next_sample_covers_what_was_committed_and_takes_no_connection() {
    let stack = stack(2).await;
    let pool = Pool::connect(PoolConfig { max_size: 1, ..config(&stack) }).await.unwrap();
    with_counter(&pool).await;
    for round in 1..=100 {
        disturb(&stack, round).await;
        let held = pool.write().get().await.unwrap();
        held.execute(SET, &[&round]).await.unwrap();
        // The one connection to the primary is out.
        let token = pool.token().await.unwrap();
        drop(held);
        assert_eq!(get(&pool, token).await, round);
    }
}

#[tokio::test]
async fn a_commit_that_fails_gives_no_token_and_leaves_nothing_open() {
    let stack = stack(0).await;
    let pool = pool_of_one(&stack).await;
    let table = "CREATE TABLE later (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)";
    pool.write().execute(table, &[]).await.unwrap();
    let mut conn = pool.write().get().await.unwrap();
    let tx = conn.transaction().await.unwrap();
    tx.execute("INSERT INTO later VALUES (1), (1)", &[]).await.unwrap();
    let error = tx.commit_token().await.unwrap_err();
    assert_eq!(error.outcome(), Some(Outcome::NoEffect), "{error}");
    assert_eq!(error.sqlstate().unwrap().code(), "23505");

    let tx = conn.transaction().await.unwrap();
    tx.execute("INSERT INTO later VALUES (2)", &[]).await.unwrap();
    assert!(tx.execute("SELECT 1/0", &[]).await.is_err());
    let error = tx.commit_token().await.unwrap_err();
    assert_eq!(error.outcome(), Some(Outcome::NoEffect), "a silent rollback is no commit");

    let tx = conn.transaction().await.unwrap();
    tx.execute("INSERT INTO later VALUES (3)", &[]).await.unwrap();
    assert!(tx.commit_token().await.unwrap().lsn < Lsn(u64::MAX));
    drop(conn);
    let conn = pool.write().get().await.unwrap();
    let row = conn.query_one("SELECT array_agg(id) FROM later", &[]).await.unwrap();
    assert_eq!(row.get::<_, Vec<i32>>(0), [3]);
    // Two statements of one transaction would have one number.
    let sql = "SELECT pg_current_xact_id()::text";
    let (first, second) = (conn.query_one(sql, &[]).await, conn.query_one(sql, &[]).await);
    assert_ne!(first.unwrap().get::<_, String>(0), second.unwrap().get::<_, String>(0));
}

#[tokio::test]
async fn what_one_user_wrote_and_saw_he_sees_again_whatever_replay_does() {
    let stack = stack(2).await;
    let pool = pool(&stack).await;
    with_counter(&pool).await;
    let (writer, reader) = (Causal::new(), Causal::new());
    let mut seen = 0;
    for round in 1..=200 {
        disturb(&stack, round).await;
        pool.write().causal(&writer).execute(SET, &[&round]).await.unwrap();
        let row = pool.read().causal(&writer).query_one(GET, &[]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), round, "reads his own writes");
        let row = pool.read().causal(&reader).query_one(GET, &[]).await.unwrap();
        assert!(row.get::<_, i64>(0) >= seen, "reads never go back");
        seen = row.get(0);
    }
    assert!(writer.has_advanced() && writer.token().unwrap().timeline == 1);
}

/// He is to look whether it took effect, and a replica may not have it yet.
#[tokio::test]
async fn after_a_write_of_unknown_outcome_its_user_reads_on_the_primary() {
    let stack = stack(1).await;
    let pool = pool(&stack).await;
    until("the replica serves", secs(20), async || is_up(&pool, "replica-1")).await;
    let primary = stack.primary().unwrap().addr().port();
    let nap = "SELECT pg_sleep(60)";
    for dropped in [false, true] {
        let user = Causal::new();
        let write = pool.write().causal(&user).timeout(millis(200));
        if dropped {
            let gave_up = tokio::time::timeout(millis(100), write.execute(nap, &[])).await;
            assert!(gave_up.is_err());
        } else {
            let error = write.execute(nap, &[]).await.unwrap_err();
            assert_eq!(error.outcome(), Some(Outcome::Unknown), "{error}");
        }
        assert_eq!(port(pool.read().causal(&user)).await, primary, "dropped: {dropped}");
        // A loader takes up what the handle knows.
        let sql = "SELECT key, inet_server_port() FROM unnest($1::int8[]) AS key";
        let loader = pool.read().causal(&user).loader(sql, |row| row.try_get::<_, i64>(0));
        let row = loader.load(7).await.unwrap().unwrap();
        assert_eq!(row.get::<_, i32>(1), i32::from(primary), "dropped: {dropped}");
    }
    // What the server refused was not done.
    let user = Causal::new();
    pool.write().causal(&user).execute("SELECT 1 / 0", &[]).await.unwrap_err();
    let replica = stack.replica(0).unwrap().addr().port();
    assert_eq!(port(pool.read().causal(&user)).await, replica);
}

#[tokio::test]
async fn tokens_of_another_cluster_are_refused_and_so_are_its_servers() {
    let stack = stack(0).await;
    // Stacks are copies of one template per directory, and so of one cluster.
    let dir = std::env::temp_dir().join(format!("seawall-pool-foreign-{}", std::process::id()));
    let other = Stack::builder().dir(&dir).replicas(1).start().await.unwrap();
    let (here, there) = (pool(&stack).await, pool(&other).await);
    let foreign = there.token().await.unwrap();
    let error = here.read().after(foreign).query("SELECT 1", &[]).await.unwrap_err();
    assert!(matches!(error, Error::ForeignToken { .. }), "{error}");
    assert!(!error.is_retryable());
    // Through text and back, into another pool of the same cluster.
    let text = foreign.to_string();
    let again = pool(&other).await;
    again.read().after(text.parse::<Token>().unwrap()).query("SELECT 1", &[]).await.unwrap();

    let replica = NodeConfig::new(other.replica(0).unwrap().url());
    let mixed = PoolConfig { replicas: vec![replica], ..config(&stack) };
    let mixed = Pool::connect(mixed).await.unwrap();
    assert!(!is_up(&mixed, "replica-1"));
    let status = node(&mixed, "replica-1").to_string();
    assert!(status.contains("of another cluster"), "{status}");
    assert_eq!(port(mixed.read()).await, stack.primary().unwrap().port());
    other.shutdown().await;
    std::fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn a_promotion_sends_older_tokens_to_the_primary_and_newer_ones_back_to_their_sender() {
    let stack = stack(2).await;
    let (old, new, follower) =
        (stack.primary().unwrap(), stack.replica(0).unwrap(), stack.replica(1).unwrap());
    let before = pool(&stack).await;
    with_counter(&before).await;
    let past = before.token().await.unwrap();
    assert_eq!(past.timeline, 1);
    new.wait_caught_up(old, secs(30)).await.unwrap();
    follower.wait_caught_up(old, secs(30)).await.unwrap();
    new.promote().await.unwrap();
    follower.follow(new.addr()).await.unwrap();

    let config = PoolConfig {
        primary: NodeConfig::new(new.url()),
        replicas: vec![NodeConfig::new(follower.url())],
        catch_up_wait: secs(10),
        ..config(&stack)
    };
    let after = Pool::connect(config).await.unwrap();
    let causal = Causal::new();
    let write = after.write().causal(&causal).execute(SET, &[&5i64]);
    assert_eq!(write.await.unwrap(), 1);
    let token = causal.token().unwrap();
    assert_eq!((token.system, token.timeline), (past.system, 2));
    let on_follower = async || port(after.read().after(token)).await == follower.port();
    until("the follower serves the new timeline", secs(10), on_follower).await;
    assert_eq!(get(&after, token).await, 5);
    for _ in 0..10 {
        assert_eq!(port(after.read().after(past)).await, new.port(), "older: the primary knows");
    }
    // The pool of the old primary serves what was written after it only from who followed.
    let followed = async || match before.read().after(token).query_one(GET, &[]).await {
        Ok(row) => row.get::<_, i64>(0) == 5,
        Err(error) => {
            assert!(error.is_retryable(), "{error}");
            false
        }
    };
    until("a node is found that has it", secs(10), followed).await;
    // Of a timeline that nobody is on nobody can have anything.
    let token = Token { timeline: 3, ..token };
    let error = before.read().after(token).query_one(GET, &[]).await.unwrap_err();
    assert!(matches!(error, Error::UnknownTimeline { .. }), "{error}");
    assert!(error.is_retryable());
    assert_eq!(error.outcome(), Some(Outcome::NotSent));
}

#[tokio::test]
async fn a_role_without_rights_has_tokens_that_name_the_cluster_and_one_with_less_still_works() {
    let stack = stack(1).await;
    let primary = stack.primary().unwrap();
    admin(primary, "CREATE ROLE app LOGIN; GRANT CREATE ON SCHEMA public TO app").await;
    stack.replica(0).unwrap().wait_caught_up(primary, secs(30)).await.unwrap();
    let as_app = || {
        let mut config = config(&stack);
        for node in std::iter::once(&mut config.primary).chain(&mut config.replicas) {
            let (scheme, rest) = node.url.split_once("://").unwrap();
            let rest = rest.split_once('@').map_or(rest, |(_, rest)| rest);
            node.url = format!("{scheme}://app@{rest}");
        }
        config.catch_up_wait = secs(10);
        config
    };
    let pool = Pool::connect(as_app()).await.unwrap();
    let token = pool.token().await.unwrap();
    assert!(token.system != 0 && token.timeline == 1, "{token}");
    assert_eq!(port(pool.read().after(token)).await, stack.replica(0).unwrap().port());

    admin(primary, "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM public").await;
    stack.replica(0).unwrap().wait_caught_up(primary, secs(30)).await.unwrap();
    let blind = Pool::connect(as_app()).await.unwrap();
    until("the replica is up", secs(30), async || is_up(&blind, "replica-1")).await;
    let token = blind.token().await.unwrap();
    assert_eq!((token.system, token.timeline), (0, 0));
    assert!(token.lsn > Lsn(0));
    assert_eq!(port(blind.read().after(token)).await, stack.replica(0).unwrap().port());
}

#[tokio::test]
async fn a_write_that_asks_for_it_waits_until_the_replica_shows_it() {
    let stack = stack(1).await;
    let (primary, replica) = (stack.primary().unwrap(), stack.replica(0).unwrap());
    let pool = pool(&stack).await;
    with_counter(&pool).await;
    let names = primary.client().await.unwrap();
    names.batch_execute("ALTER SYSTEM SET synchronous_standby_names = '*'").await.unwrap();
    names.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let synchronous = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
    let is_synchronous = async || count(primary, synchronous).await == 1;
    until("the replica is synchronous", secs(30), is_synchronous).await;
    replica.pause_replay().await.unwrap();
    commits_wait(primary).await;
    replica.resume_replay().await.unwrap();

    for round in 1..=50i64 {
        pool.write().remote_apply().execute(SET, &[&round]).await.unwrap();
        let row = pool.read().query_one(GET, &[]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), round, "without a token");
    }
    let setting = "SELECT current_setting('synchronous_commit')";
    let row = pool.write().query_one(setting, &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), "on", "the connection is as it was");

    replica.pause_replay().await.unwrap();
    let write = pool.write().remote_apply().timeout(millis(300)).execute(SET, &[&60i64]).await;
    assert_eq!(write.unwrap_err().outcome(), Some(Outcome::Unknown), "it waits for the replica");
    pool.write().execute(SET, &[&61i64]).await.expect("others do not");
    let mut conn = pool.write().get().await.unwrap();
    let tx = conn.transaction().await.unwrap();
    tx.remote_apply().await.unwrap();
    tx.execute(SET, &[&62i64]).await.unwrap();
    let resume = async {
        let waiting = async || count(primary, COMMIT_WAITS).await > 0;
        until("the commit waits", secs(30), waiting).await;
        replica.resume_replay().await.unwrap();
    };
    let (committed, ()) = tokio::join!(tx.commit_token(), resume);
    committed.unwrap();
    drop(conn);
    let row = pool.read().query_one(GET, &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 62);
}

/// Nobody knows how much log there is in an archive: the next record may be a commit that shows already.
#[tokio::test]
async fn a_standby_that_receives_nothing_claims_one_more_than_it_has_replayed() {
    let stack = stack(1).await;
    let replica = stack.replica(0).unwrap();
    admin(replica, "ALTER SYSTEM SET primary_conninfo = ''").await;
    replica.restart().await.unwrap();
    let pool = pool(&stack).await;
    let serves = async || {
        let at = pool.read().query_at("SELECT 1", &[]).await.unwrap();
        let alone = &*at.node == "replica-1";
        assert!(!alone || at.seen.lsn.0 == at.lsn.0 + 1, "{at:?}");
        alone
    };
    until("the replica serves", secs(30), serves).await;
}
