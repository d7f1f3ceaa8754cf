//! Boots PostgreSQL with two replicas and Redis, shows where they are, and stops them.
//!
//! ```text
//! cargo run --example devstack             # ends by itself
//! cargo run --example devstack -- --hold   # until Ctrl-C
//! ```

#![expect(clippy::print_stdout, reason = "a program that prints")]

use std::error::Error;
use std::time::Duration;

use seawall_devstack::Stack;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let hold = std::env::args().any(|arg| arg == "--hold");
    let stack = Stack::builder().replicas(2).redis().start().await?;
    println!("ready in {:.2} s, in {}\n", stack.ready_in().as_secs_f64(), stack.dir().display());

    let (primary, redis) = (stack.primary()?, stack.redis()?);
    println!("{:<10} {:>8}  url", "server", "pid");
    for server in std::iter::once(primary).chain(stack.replicas()) {
        row(server.name(), server.pid(), &server.url());
    }
    row(redis.name(), redis.pid(), &redis.url());

    // Something to replicate.
    let client = primary.client().await?;
    client.batch_execute("CREATE TABLE bids AS SELECT generate_series(1, 100000) AS bid").await?;
    println!("\n{:<10} {:<10} {:>12} {:>12}", "replica", "state", "received", "replayed");
    for replica in stack.replicas() {
        replica.wait_caught_up(primary, Duration::from_secs(30)).await?;
        let sql = "SELECT status FROM pg_stat_wal_receiver";
        let state: String = replica.client().await?.query_one(sql, &[]).await?.get(0);
        let (received, replayed) = (replica.lsn().await?, replica.replay_lsn().await?);
        println!("{:<10} {state:<10} {received:>12X} {replayed:>12X}", replica.name());
    }
    println!("{:<10} {:<10} {:>12X}", primary.name(), "written", primary.lsn().await?);

    if hold {
        println!("\nCtrl-C stops them.");
        tokio::signal::ctrl_c().await?;
    }
    stack.shutdown().await;
    println!("\nstopped, and everything removed");
    Ok(())
}

fn row(name: &str, pid: Option<u32>, url: &str) {
    let pid = pid.map_or_else(|| "down".to_owned(), |pid| pid.to_string());
    println!("{name:<10} {pid:>8}  {url}");
}
