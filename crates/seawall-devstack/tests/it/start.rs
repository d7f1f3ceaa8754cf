//! Starting and stopping.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, getpgid, getpgrp};
use seawall_devstack::{Error, Stack};
use tokio::time::timeout;

use crate::support::{Base, SOON, entries, eventually, processes_in, processes_of};

#[tokio::test]
async fn warm_stack_is_ready_within_five_seconds() {
    Stack::builder().postgres().start().await.unwrap().shutdown().await;
    let stack = Stack::builder().replicas(2).redis().start().await.unwrap();
    println!("primary, 2 replicas and Redis were ready in {:?}", stack.ready_in());
    assert!(stack.ready_in() < Duration::from_secs(30), "{:?}", stack.ready_in());
}

#[tokio::test]
async fn replicas_see_what_the_primary_wrote() {
    let stack = Stack::builder().replicas(2).start().await.unwrap();
    let primary = stack.primary().unwrap();
    let client = primary.client().await.unwrap();
    client.batch_execute("CREATE TABLE t (n int); INSERT INTO t VALUES (42)").await.unwrap();
    assert_eq!(stack.replicas().len(), 2);
    for replica in stack.replicas() {
        replica.wait_caught_up(primary, SOON).await.unwrap();
        let client = replica.client().await.unwrap();
        let row = client.query_one("SELECT n, pg_is_in_recovery() FROM t", &[]).await.unwrap();
        assert_eq!((row.get::<_, i32>(0), row.get::<_, bool>(1)), (42, true));
    }
    let senders = client
        .query("SELECT application_name FROM pg_stat_replication ORDER BY 1", &[])
        .await
        .unwrap();
    let names: Vec<&str> = senders.iter().map(|row| row.get(0)).collect();
    assert_eq!(names, ["replica-1", "replica-2"]);
}

#[tokio::test]
async fn statement_statistics_are_there_on_every_server() {
    let stack = Stack::builder().replicas(1).start().await.unwrap();
    let replica = stack.replica(0).unwrap();
    replica.wait_caught_up(stack.primary().unwrap(), SOON).await.unwrap();
    for server in [stack.primary().unwrap(), replica] {
        let client = server.client().await.unwrap();
        client.query("SELECT count(*) FROM pg_stat_statements", &[]).await.unwrap();
    }
}

#[tokio::test]
async fn settings_override_the_defaults_on_every_server() {
    let stack = Stack::builder()
        .replicas(1)
        .setting("shared_buffers", "16MB")
        .setting("search_path", "it's, public")
        .start()
        .await
        .unwrap();
    for server in [stack.primary().unwrap(), stack.replica(0).unwrap()] {
        let client = server.client().await.unwrap();
        let sql = "SELECT current_setting('shared_buffers'), current_setting('search_path')";
        let row = client.query_one(sql, &[]).await.unwrap();
        assert_eq!((row.get(0), row.get(1)), ("16MB", "it's, public"));
    }
}

#[tokio::test]
async fn setting_that_would_break_the_stack_is_refused_before_anything_starts() {
    let base = Base::new();
    for (name, value) in [("port", "1"), ("PORT", "1"), ("a b", "1"), ("", "1"), ("jit", "a\nb")] {
        let builder = Stack::builder().dir(base.path()).postgres().setting(name, value);
        let error = builder.start().await.unwrap_err();
        assert!(matches!(&error, Error::Setting { name: named, .. } if named == name), "{error}");
        assert!(!error.is_retryable());
    }
    let error = Stack::builder().dir(base.path()).replicas(9).start().await.unwrap_err();
    assert!(matches!(error, Error::Setting { .. }), "{error}");
    assert_eq!(entries(base.path()).len(), 0);
}

#[tokio::test]
async fn servers_do_not_run_as_root() {
    let stack = Stack::builder().postgres().redis().start().await.unwrap();
    for pid in [stack.primary().unwrap().pid(), stack.redis().unwrap().pid()] {
        // Without /proc, PostgreSQL itself has refused to.
        if let Ok(status) = fs::read_to_string(format!("/proc/{}/status", pid.unwrap())) {
            let uids = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
            assert!(!uids.split_whitespace().any(|uid| uid == "0"), "{uids}");
        }
    }
}

#[tokio::test]
async fn ctrl_c_of_the_test_does_not_reach_the_servers() {
    let stack = Stack::builder().replicas(1).redis().start().await.unwrap();
    let watchdog = processes_of(stack.dir()).into_iter().find(|it| it.2.contains("watchdog"));
    let servers = [stack.primary().unwrap().pid(), stack.replica(0).unwrap().pid()];
    let redis = stack.redis().unwrap().pid();
    for pid in servers.into_iter().chain([redis, watchdog.map(|it| it.0)]) {
        let pid = Pid::from_raw(pid.unwrap().try_into().unwrap());
        // A terminal signals the group that this process is in.
        assert_ne!(getpgid(pid).unwrap(), getpgrp());
    }
}

#[tokio::test]
async fn link_planted_in_the_temporary_directory_is_not_followed() {
    let (base, elsewhere) = (Base::new(), Base::new());
    Stack::builder().dir(base.path()).redis().start().await.unwrap().shutdown().await;
    let shared = base.shared();
    fs::remove_dir_all(&shared).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), &shared).unwrap();
    let error = Stack::builder().dir(base.path()).redis().start().await.unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert_eq!(entries(elsewhere.path()).len(), 0);
}

#[tokio::test]
async fn missing_program_is_named_with_the_package_that_has_it() {
    let base = Base::new();
    let nowhere = base.path().join("nowhere");
    let builder = || Stack::builder().dir(base.path()).postgres_bin(&nowhere).redis_bin(&nowhere);
    let error = builder().postgres().start().await.unwrap_err().to_string();
    for part in
        ["postgres", "apt-get install postgresql", "brew install postgresql@", "scripts/setup"]
    {
        assert!(error.contains(part), "{error}");
    }
    let error = builder().redis().start().await.unwrap_err().to_string();
    for part in ["apt-get install redis-server", "brew install redis", "scripts/setup"] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(entries(base.path()).len(), 0);
}

#[tokio::test]
async fn server_that_was_not_asked_for_is_an_error_that_says_how_to_ask() {
    let stack = Stack::builder().redis().start().await.unwrap();
    let error = stack.primary().unwrap_err();
    assert!(error.to_string().contains(".postgres()"), "{error}");
    let error = stack.replica(0).unwrap_err();
    assert!(error.to_string().contains(".replicas(count)"), "{error}");
    let error = stack.redis_cluster().unwrap_err();
    assert!(error.to_string().contains(".redis_cluster()"), "{error}");
    assert!(stack.redis().is_ok());
}

#[tokio::test]
async fn failed_start_shows_the_log_and_keeps_it_and_leaves_nothing_else() {
    let base = Base::new();
    let builder = Stack::builder().dir(base.path()).replicas(1).redis();
    let error = builder.setting("shared_buffers", "plenty").start().await.unwrap_err();
    let Error::Exited { log, path, .. } = &error else { panic!("{error}") };
    assert!(log.as_str().contains("invalid value for parameter \"shared_buffers\""), "{error}");
    assert!(fs::read_to_string(path).unwrap().contains("shared_buffers"), "{}", path.display());
    assert!(!error.is_retryable());
    assert_eq!(base.stacks().len(), 0);

    let builder = Stack::builder().dir(base.path()).redis();
    let error = builder.redis_setting("no-such-setting", "1").start().await.unwrap_err();
    assert!(error.to_string().contains("no-such-setting"), "{error}");
    assert_eq!(base.stacks().len(), 0);
}

#[tokio::test]
async fn server_that_is_not_ready_in_time_is_an_error_and_is_stopped() {
    let base = Base::new();
    let builder = Stack::builder().dir(base.path()).postgres().start_timeout(Duration::ZERO);
    let error = builder.start().await.unwrap_err();
    assert!(matches!(error, Error::NotReady { .. }), "{error}");
    assert!(error.is_retryable());
    assert_eq!(base.stacks().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stacks_started_at_once_do_not_collide_even_on_the_first_start() {
    let base = Base::new();
    let start = || Stack::builder().dir(base.path()).replicas(1).redis().start();
    let (a, b, c) = tokio::try_join!(start(), start(), start()).unwrap();
    let mut ports = Vec::new();
    for (number, stack) in [&a, &b, &c].into_iter().enumerate() {
        let (primary, replica) = (stack.primary().unwrap(), stack.replica(0).unwrap());
        let client = primary.client().await.unwrap();
        client.batch_execute(&format!("CREATE TABLE only_{number} ()")).await.unwrap();
        replica.wait_caught_up(primary, SOON).await.unwrap();
        ports.extend([primary.port(), replica.port(), stack.redis().unwrap().port()]);
    }
    for stack in [&a, &b, &c] {
        let client = stack.replica(0).unwrap().client().await.unwrap();
        let sql = "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'only_%'";
        assert_eq!(client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 1);
    }
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 9);
    assert_eq!(base.stacks().len(), 3);
}

#[tokio::test]
async fn template_with_a_missing_file_is_made_anew() {
    let base = Base::new();
    let start = || Stack::builder().dir(base.path()).postgres().start();
    start().await.unwrap().shutdown().await;
    // What a cleaner of old temporary files does.
    let templates = entries(&base.shared().join("templates"));
    let template = templates.iter().find(|path| path.is_dir()).unwrap();
    fs::remove_file(template.join("data/PG_VERSION")).unwrap();
    let stack = start().await.unwrap();
    stack.primary().unwrap().client().await.unwrap();
    assert!(template.join("data/PG_VERSION").exists());
}

#[tokio::test]
async fn cancelled_start_leaves_nothing() {
    let base = Base::new();
    let start = || Stack::builder().dir(base.path()).replicas(1).redis().start();
    start().await.unwrap().shutdown().await;
    for delay in [0, 20, 100, 200] {
        let _ = timeout(Duration::from_millis(delay), start()).await;
    }
    eventually("no stack is left", || async { base.stacks().is_empty() }).await;
    eventually("no process is left", || async { processes_in(base.path()).is_empty() }).await;
}

#[tokio::test]
async fn dropped_and_shut_down_stacks_are_gone_when_that_returns() {
    for gracefully in [true, false] {
        let stack = Stack::builder().replicas(1).redis().start().await.unwrap();
        let dir = stack.dir().to_path_buf();
        let _busy = stack.primary().unwrap().client().await.unwrap();
        let redis = stack.redis().unwrap().addr();
        if gracefully {
            stack.shutdown().await;
        } else {
            drop(stack);
        }
        assert!(!dir.exists());
        assert_eq!(processes_of(&dir), []);
        assert!(tokio::net::TcpStream::connect(redis).await.is_err());
    }
}

#[tokio::test]
async fn logs_are_kept_when_asked_for() {
    let base = Base::new();
    let start = |keep| Stack::builder().dir(base.path()).redis().keep_logs(keep).start();
    start(true).await.unwrap().shutdown().await;
    start(false).await.unwrap().shutdown().await;
    let kept = entries(&base.shared().join("kept-logs"));
    assert_eq!(kept.len(), 1);
    assert!(fs::read_to_string(kept[0].join("redis.log")).unwrap().contains("Ready to accept"));
}
