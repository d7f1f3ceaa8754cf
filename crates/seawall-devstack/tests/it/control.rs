//! What can be done to a PostgreSQL server.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use seawall_devstack::{Direction, Error, Faults, Postgres, Proxy, Stack};
use tokio::time::Instant;

use crate::support::{SOON, eventually, hangs, is_alive, processes_of, send};

async fn start() -> Stack {
    Stack::builder().replicas(1).start().await.unwrap()
}

async fn write(server: &Postgres, table: &str) {
    let client = server.client().await.unwrap();
    client.batch_execute(&format!("CREATE TABLE {table} (n int)")).await.unwrap();
}

async fn sees(server: &Postgres, table: &str) -> bool {
    let client = server.client().await.unwrap();
    let row =
        client.query_one("SELECT to_regclass($1::text) IS NOT NULL", &[&table]).await.unwrap();
    row.get(0)
}

#[tokio::test]
async fn paused_replay_freezes_what_the_replica_shows_until_resumed() {
    let stack = start().await;
    let (primary, replica) = (stack.primary().unwrap(), stack.replica(0).unwrap());
    write(primary, "before").await;
    replica.wait_caught_up(primary, SOON).await.unwrap();

    replica.pause_replay().await.unwrap();
    write(primary, "after").await;
    // The log arrives all the same; it is only not applied.
    let written = primary.lsn().await.unwrap();
    eventually("the log is received", || async { replica.lsn().await.unwrap() >= written }).await;
    assert!(replica.replay_lsn().await.unwrap() < written);
    assert!(sees(replica, "before").await);
    assert!(!sees(replica, "after").await);
    let behind = replica.wait_caught_up(primary, Duration::from_millis(100)).await.unwrap_err();
    assert!(matches!(behind, Error::Deadline { .. }), "{behind}");

    replica.resume_replay().await.unwrap();
    replica.wait_caught_up(primary, SOON).await.unwrap();
    assert!(sees(replica, "after").await);
}

#[tokio::test]
async fn replay_of_a_primary_cannot_be_paused() {
    let stack = start().await;
    let error = stack.primary().unwrap().pause_replay().await.unwrap_err();
    assert!(matches!(error, Error::Postgres { .. }), "{error}");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn apply_delay_holds_commits_back_and_zero_releases_them() {
    let stack = start().await;
    let (primary, replica) = (stack.primary().unwrap(), stack.replica(0).unwrap());
    let delay = Duration::from_millis(700);
    replica.set_apply_delay(delay).await.unwrap();
    let begun = Instant::now();
    write(primary, "late").await;
    replica.wait_caught_up(primary, SOON).await.unwrap();
    assert!(begun.elapsed() >= delay - Duration::from_millis(50), "{:?}", begun.elapsed());

    replica.set_apply_delay(Duration::from_secs(3600)).await.unwrap();
    write(primary, "held").await;
    let held = replica.wait_caught_up(primary, Duration::from_millis(300)).await;
    assert!(held.is_err());
    replica.set_apply_delay(Duration::ZERO).await.unwrap();
    replica.wait_caught_up(primary, SOON).await.unwrap();
    assert!(sees(replica, "held").await);
}

#[tokio::test]
async fn promoted_replica_takes_writes_and_another_can_follow_it() {
    let stack = Stack::builder().replicas(2).start().await.unwrap();
    let (old, new, other) =
        (stack.primary().unwrap(), stack.replica(0).unwrap(), stack.replica(1).unwrap());
    // In order, so that both replicas have received the same log.
    old.stop().await.unwrap();
    new.promote().await.unwrap();
    write(new, "afterwards").await;

    other.follow(new.addr()).await.unwrap();
    other.wait_caught_up(new, SOON).await.unwrap();
    assert!(sees(other, "afterwards").await);
}

#[tokio::test]
async fn stopped_server_refuses_and_comes_back_on_its_port_with_its_data() {
    let stack = start().await;
    let primary = stack.primary().unwrap();
    let port = primary.port();
    write(primary, "kept").await;
    for immediate in [true, false] {
        if immediate {
            primary.stop_immediate().await.unwrap();
        } else {
            primary.stop().await.unwrap();
        }
        assert_eq!(primary.pid(), None);
        let refused = primary.client().await.unwrap_err();
        assert!(refused.is_retryable(), "{refused}");
        assert!(matches!(primary.pause().await, Err(Error::NotRunning { .. })));
        primary.stop().await.unwrap();
        primary.restart().await.unwrap();
        assert_eq!(primary.port(), port);
        assert!(sees(primary, "kept").await);
    }
    // The replica finds its way back by itself.
    write(primary, "streamed").await;
    stack.replica(0).unwrap().wait_caught_up(primary, SOON).await.unwrap();
}

#[tokio::test]
async fn paused_server_hangs_with_all_its_sessions_and_resumes() {
    let stack = start().await;
    let primary = stack.primary().unwrap();
    let open = primary.client().await.unwrap();
    primary.pause().await.unwrap();
    // Neither an open session nor a new one is served.
    assert!(hangs(open.query_one("SELECT 1", &[])).await);
    assert!(hangs(primary.client()).await);
    primary.resume().await.unwrap();
    let row = open.query_one("SELECT 2", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 2);
    primary.client().await.unwrap();
}

#[tokio::test]
async fn killed_primary_restarts_though_its_sessions_were_busy() {
    let stack = start().await;
    let primary = stack.primary().unwrap();
    write(primary, "kept").await;
    for _ in 0..3 {
        let busy = primary.client().await.unwrap();
        let spin = tokio::spawn(async move {
            let sql = "DO $$ BEGIN LOOP PERFORM 1; END LOOP; END $$";
            busy.batch_execute(sql).await
        });
        let sessions =
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active'";
        let watching = primary.client().await.unwrap();
        eventually("the loop runs", || async {
            watching.query_one(sessions, &[]).await.unwrap().get::<_, i64>(0) == 1
        })
        .await;
        let before = primary.pid().unwrap();
        primary.kill().await.unwrap();
        assert!(!is_alive(before));
        assert!(spin.await.unwrap().is_err());
        primary.kill().await.unwrap();
        primary.restart().await.unwrap();
        assert_ne!(primary.pid(), Some(before));
        assert!(sees(primary, "kept").await);
    }
    stack.replica(0).unwrap().wait_caught_up(primary, SOON).await.unwrap();
}

#[tokio::test]
async fn postmaster_killed_from_outside_does_not_block_the_restart() {
    let stack = Stack::builder().postgres().start().await.unwrap();
    let primary = stack.primary().unwrap();
    let _open = primary.client().await.unwrap();
    send(Signal::KILL, primary.pid().unwrap());
    eventually("its end is noticed", || async { primary.pid().is_none() }).await;
    primary.restart().await.unwrap();
    primary.client().await.unwrap();
}

#[tokio::test]
async fn killed_replica_catches_up_after_its_restart() {
    let stack = start().await;
    let (primary, replica) = (stack.primary().unwrap(), stack.replica(0).unwrap());
    replica.kill().await.unwrap();
    write(primary, "missed").await;
    replica.restart().await.unwrap();
    replica.wait_caught_up(primary, SOON).await.unwrap();
    assert!(sees(replica, "missed").await);
}

#[tokio::test]
async fn replication_through_a_proxy_can_be_cut_and_healed() {
    let stack = start().await;
    let (primary, replica) = (stack.primary().unwrap(), stack.replica(0).unwrap());
    let proxy = Proxy::start(primary.addr()).await.unwrap();
    replica.follow(proxy.addr()).await.unwrap();
    eventually("the replica comes by the proxy", || async { proxy.connections() == 1 }).await;
    replica.wait_caught_up(primary, SOON).await.unwrap();

    proxy.set(Faults { blackhole: Direction::Both, ..Faults::default() });
    write(primary, "unseen").await;
    assert!(replica.wait_caught_up(primary, Duration::from_millis(300)).await.is_err());
    proxy.clear();
    replica.wait_caught_up(primary, SOON).await.unwrap();
    assert!(sees(replica, "unseen").await);
}

#[tokio::test]
async fn stack_is_removed_whatever_state_its_servers_are_in() {
    let stack = Stack::builder().replicas(3).redis().start().await.unwrap();
    let dir = stack.dir().to_path_buf();
    let killed = stack.replica(0).unwrap();
    let segment_of = killed.pid().unwrap().to_string();
    killed.kill().await.unwrap();
    stack.replica(1).unwrap().pause().await.unwrap();
    stack.replica(2).unwrap().pause_replay().await.unwrap();
    stack.redis().unwrap().pause().await.unwrap();
    let redis = stack.redis().unwrap().pid().unwrap();
    // Not by way of the handle: the stack must notice by itself.
    send(Signal::KILL, stack.primary().unwrap().pid().unwrap());
    let begun = Instant::now();
    drop(stack);
    println!("removed in {:?}", begun.elapsed());
    assert!(!dir.exists());
    assert_eq!(processes_of(&dir), []);
    assert!(!is_alive(redis));
    // What a killed server held in the kernel is free, too.
    let segments = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let creators = segments.lines().filter_map(|line| line.split_whitespace().nth(4));
    assert!(!creators.into_iter().any(|pid| pid == segment_of), "{segments}");
}
