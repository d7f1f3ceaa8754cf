//! Several processes, which share nothing but Redis.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use seawall_cache::{Cache, Load, Redis, RedisConfig};
use seawall_devstack::{Reply, Stack};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, sleep, timeout};

const PROCESSES: usize = 8;
const CALLERS: usize = 100;
const LOAD_TAKES: Duration = Duration::from_millis(200);
/// Longer than a busy machine keeps a holder from renewing it: who is not heard of is relieved, and
/// that is a second load.
const PATIENT_LEASE_MS: u64 = 20_000;
const PATIENCE: Duration = Duration::from_secs(30);

/// Not a test of its own: the process that the tests below start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(url) = std::env::var("SEAWALL_CHILD_OF") else { return };
    let lease_ms = std::env::var("SEAWALL_CHILD_LEASE_MS").unwrap().parse().unwrap();
    // On a busy machine a deadline of 100 ms passes now and then, and that is a load without L2.
    let command_timeout = Duration::from_secs(5);
    let config = RedisConfig { url, command_timeout, ..RedisConfig::default() };
    let redis = Redis::connect(config).await.unwrap();
    let cache: Cache<u64, u64> = Cache::builder("processes")
        .lease_ttl(Duration::from_millis(lease_ms))
        .remote(redis.clone())
        .build()
        .unwrap();
    println!("ready");
    BufReader::new(tokio::io::stdin()).read_line(&mut String::new()).await.unwrap();
    let loads = Arc::new(AtomicU64::new(0));
    let ask = || {
        let (cache, loads) = (cache.clone(), Arc::clone(&loads));
        tokio::spawn(async move {
            let load = |_load: Load<u64>| async move {
                loads.fetch_add(1, Ordering::Relaxed);
                println!("loading");
                sleep(LOAD_TAKES).await;
                Ok::<_, std::io::Error>(7_u64)
            };
            cache.get_or_load(&1, load).await.is_ok_and(|got| got.value.as_deref() == Some(&7))
        })
    };
    let answers = join_all((0..CALLERS).map(|_| ask())).await;
    let right = answers.into_iter().filter(|answer| matches!(answer, Ok(true))).count();
    println!("done {right} {}", loads.load(Ordering::Relaxed));
    redis.shutdown(Duration::from_secs(1)).await;
}

struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    async fn start(url: &str, lease_ms: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["processes::child", "--exact", "--nocapture"])
            .env("SEAWALL_CHILD_OF", url)
            .env("SEAWALL_CHILD_LEASE_MS", lease_ms.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut process = Self { child, lines };
        process.line("ready").await;
        process
    }

    async fn go(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"go\n").await.unwrap();
    }

    /// The rest of the next line that holds `word`.
    async fn line(&mut self, word: &str) -> String {
        let read = async {
            loop {
                let line = self.lines.next_line().await.unwrap().expect("it ended early");
                // The test harness writes its own words before ours.
                if let Some((_, rest)) = line.split_once(word) {
                    return rest.trim().to_owned();
                }
            }
        };
        timeout(PATIENCE, read).await.expect("in time")
    }

    async fn done(&mut self) -> (usize, u64) {
        let line = self.line("done").await;
        let (right, loads) = line.split_once(' ').unwrap();
        (right.parse().unwrap(), loads.parse().unwrap())
    }
}

async fn start_all(url: &str, lease_ms: u64) -> Vec<Process> {
    join_all((0..PROCESSES).map(|_| Process::start(url, lease_ms))).await
}

#[tokio::test]
async fn eight_processes_of_a_hundred_callers_load_once() {
    let stack = Stack::builder().redis().start().await.unwrap();
    let mut processes = start_all(&stack.redis().unwrap().url(), PATIENT_LEASE_MS).await;
    for process in &mut processes {
        process.go().await;
    }
    let mut loads = 0;
    for process in &mut processes {
        let (right, its_loads) = process.done().await;
        assert_eq!(right, CALLERS);
        loads += its_loads;
    }
    assert_eq!(loads, 1);
    stack.shutdown().await;
}

#[tokio::test]
async fn a_process_killed_while_it_loads_is_relieved_when_its_lease_ends() {
    let stack = Stack::builder().redis().start().await.unwrap();
    let mut processes = start_all(&stack.redis().unwrap().url(), 3_000).await;
    let mut holder = processes.remove(0);
    holder.go().await;
    holder.line("loading").await;
    for process in &mut processes {
        process.go().await;
    }
    let killed = Instant::now();
    holder.child.kill().await.unwrap();
    let redis = stack.redis().unwrap();
    // Before Redis is asked how long the dead one still holds it.
    let asked = Instant::now();
    let lease = redis.command(&["PTTL", "lease{seawall:processes:1}"]).await.unwrap();
    let Reply::Integer(left) = lease else { panic!("{lease:?}") };
    let mut loads = 0;
    for process in &mut processes {
        let (right, its_loads) = process.done().await;
        assert_eq!(right, CALLERS);
        loads += its_loads;
    }
    assert_eq!(loads, 1, "one of the others took over");
    // Less than nothing where this machine stood still for all of its time.
    let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
    let took = asked.elapsed();
    assert!(took >= left + LOAD_TAKES, "{took:?}, before the lease ended in {left:?}");
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?}");
    stack.shutdown().await;
}
