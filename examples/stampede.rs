//! What happens when a thousand callers want a key that nobody has.
//!
//! ```text
//! cargo run --release --example stampede
//! ```
//!
//! Starts a Redis of its own. The origin is a loader that takes 20 ms; what counts is how often it
//! runs. The last part starts eight processes, which share nothing but that Redis.

#![expect(clippy::print_stdout, reason = "a program that prints")]

use std::error::Error;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Parser;
use futures_util::future::join_all;
use seawall_cache::{Cache, Got, Load, LoadError, Redis, RedisConfig};
use seawall_devstack::Stack;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// Shows one load where there might be a thousand.
#[derive(Debug, Parser)]
struct Args {
    /// Internal: run as one of the eight processes, over this Redis.
    #[arg(long, hide = true, value_name = "URL")]
    child: Option<String>,
}

#[derive(Debug, Clone, thiserror::Error)]
#[error("the origin is down")]
struct OriginDown;

type Outcome = Result<Got<String>, LoadError<OriginDown>>;

/// Takes its time, and counts.
#[derive(Clone, Default)]
struct Origin {
    loads: Arc<AtomicU64>,
    down: bool,
}

impl Origin {
    async fn load(self) -> Result<String, OriginDown> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        sleep(LOAD_TAKES).await;
        if self.down { Err(OriginDown) } else { Ok("a page".to_owned()) }
    }

    async fn read(&self, cache: &Cache<u64, String>, key: u64) -> Outcome {
        let origin = self.clone();
        cache.get_or_load(&key, |_load: Load<String>| origin.load()).await
    }

    fn loads(&self) -> u64 {
        self.loads.load(Ordering::Relaxed)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if let Some(url) = Args::parse().child {
        return child(url).await;
    }
    let stack = Stack::builder().redis().start().await?;
    let url = stack.redis()?.url();
    let redis = Redis::connect(RedisConfig { url: url.clone(), ..RedisConfig::default() }).await?;
    let cache: Cache<u64, String> = Cache::builder("page").remote(redis.clone()).build()?;
    println!("The loader takes {} ms. L2 is a Redis of its own.\n", LOAD_TAKES.as_millis());
    println!("{:<44}{:>8}{:>8}{:>8}{:>8}", "", "answers", "errors", "loads", "ms");

    let origin = Origin::default();
    let start = Instant::now();
    let answers = join_all((0..1_000).map(|_| origin.read(&cache, 1))).await;
    row("1 000 callers, a key that nobody has", &answers, origin.loads(), start);

    let origin = Origin::default();
    let start = Instant::now();
    let leaver = timeout(LOAD_TAKES / 4, origin.read(&cache, 2));
    let (left, answers) =
        tokio::join!(leaver, join_all((0..1_000).map(|_| origin.read(&cache, 2))));
    // On a machine that stalls the load may be over before the caller's patience is.
    let leaves = if left.is_err() { "leaves" } else { "left too late" };
    row(&format!("the caller that began the load {leaves}"), &answers, origin.loads(), start);

    let origin = Origin { down: true, ..Origin::default() };
    let start = Instant::now();
    let answers = join_all((0..1_000).map(|_| origin.read(&cache, 3))).await;
    row("the loader fails", &answers, origin.loads(), start);

    let origin = Origin::default();
    let start = Instant::now();
    let waves = join_all((0..1_000).map(|_| origin.read(&cache, 4)));
    let removal = async {
        sleep(LOAD_TAKES / 2).await;
        cache.remove(&4).await;
        origin.read(&cache, 4).await
    };
    let (mut answers, after) = tokio::join!(waves, removal);
    answers.push(after);
    row("removed half-way: who comes after loads anew", &answers, origin.loads(), start);

    processes(&url).await?;
    cache.shutdown().await;
    redis.shutdown(Duration::from_secs(1)).await;
    stack.shutdown().await;
    Ok(())
}

fn row(what: &str, answers: &[Outcome], loads: u64, start: Instant) {
    let ms = start.elapsed().as_secs_f64() * 1e3;
    let ok = answers.iter().filter(|answer| answer.is_ok()).count();
    let errors = answers.len() - ok;
    println!("{what:<44}{ok:>8}{errors:>8}{loads:>8}{ms:>8.1}");
}

/// Eight processes of a hundred callers: one lease in Redis, one load.
async fn processes(url: &str) -> Result<(), Box<dyn Error>> {
    let program = std::env::current_exe()?;
    let spawn = |_| {
        Command::new(&program)
            .args(["--child", url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    };
    let mut children: Vec<Child> = (0..PROCESSES).map(spawn).collect::<Result<_, _>>()?;
    let mut outputs = Vec::new();
    for child in &mut children {
        let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        // It says that it is ready.
        lines.next_line().await?.ok_or("a process ended early")?;
        outputs.push(lines);
    }
    let start = Instant::now();
    for child in &mut children {
        child.stdin.as_mut().ok_or("no input")?.write_all(b"go\n").await?;
    }
    let (mut ok, mut errors, mut loads) = (0, 0, 0);
    for lines in &mut outputs {
        let line = lines.next_line().await?.ok_or("a process ended early")?;
        let numbers: Vec<u64> =
            line.split(' ').map(str::parse).collect::<Result<_, std::num::ParseIntError>>()?;
        let [its_ok, its_errors, its_loads] = numbers[..] else { return Err("bad line".into()) };
        ok += its_ok;
        errors += its_errors;
        loads += its_loads;
    }
    let ms = start.elapsed().as_secs_f64() * 1e3;
    println!(
        "{:<44}{ok:>8}{errors:>8}{loads:>8}{ms:>8.1}",
        "8 processes of 100 callers, a key nobody has"
    );
    Ok(())
}

async fn child(url: String) -> Result<(), Box<dyn Error>> {
    let redis = Redis::connect(RedisConfig { url, ..RedisConfig::default() }).await?;
    let cache: Cache<u64, String> = Cache::builder("page").remote(redis.clone()).build()?;
    println!("ready");
    let mut line = String::new();
    BufReader::new(tokio::io::stdin()).read_line(&mut line).await?;
    let origin = Origin::default();
    let answers = join_all((0..100).map(|_| origin.read(&cache, 5))).await;
    let ok = answers.iter().filter(|answer| answer.is_ok()).count();
    println!("{ok} {} {}", answers.len() - ok, origin.loads());
    redis.shutdown(Duration::from_secs(1)).await;
    Ok(())
}

const LOAD_TAKES: Duration = Duration::from_millis(20);
const PROCESSES: usize = 8;
