//! Advice on a database from its primary and its replicas together, and what following it does to a plan.
//!
//! ```text
//! cargo run --release --example advisor
//! ```
//!
//! Starts a PostgreSQL primary with two streaming replicas of its own, and makes tables of metrics with some
//! faults on purpose: an index that is missing, one that is there twice, one that nobody uses, and one that
//! only a replica uses, which must not be called unused.

#![expect(clippy::print_stdout, reason = "a program that prints")]

use std::error::Error;
use std::time::Duration;

use seawall_devstack::Stack;
use seawall_pool::advisor::{AdvisorConfig, Finding};
use seawall_pool::{NodeConfig, Pool, PoolConfig};
use tokio::time::Instant;

const LATEST: &str = "SELECT metric_value FROM performance_metrics \
     WHERE service_name = $1 AND metric_type = $2 ORDER BY timestamp DESC LIMIT 20";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let stack = Stack::builder().replicas(2).start().await?;
    let primary = stack.primary()?;
    let admin = primary.client().await?;
    admin.batch_execute(SCHEMA).await?;
    // Filling the tables is not what they are for.
    admin.batch_execute("SELECT pg_stat_force_next_flush()").await?;
    admin.batch_execute("SELECT pg_stat_reset(), pg_stat_statements_reset()").await?;
    for replica in stack.replicas() {
        replica.wait_caught_up(primary, Duration::from_secs(30)).await?;
    }
    let pool = Pool::connect(PoolConfig {
        primary: NodeConfig::new(primary.url()),
        replicas: stack.replicas().iter().map(|it| NodeConfig::new(it.url())).collect(),
        ..PoolConfig::default()
    })
    .await?;

    println!("Some load: reads on the replicas, writes on the primary.\n");
    let before = load(&pool).await?;
    // Only this replica serves the question that the index on server_id is for.
    let reports = stack.replica(1)?.client().await?;
    for _ in 0..25 {
        reports
            .batch_execute("SELECT max(timestamp) FROM system_resources WHERE server_id = 'web-7'")
            .await?;
    }
    reports.batch_execute("SELECT pg_stat_force_next_flush()").await?;

    // A week of statistics is what it asks for otherwise; here all is a few seconds old.
    let config = AdvisorConfig {
        min_statistics_age: Duration::ZERO,
        min_mean: Duration::from_micros(200),
        timeout: Duration::from_secs(20),
        ..AdvisorConfig::default()
    };
    let advisor = pool.advisor(config)?;
    let report = advisor.report().await?;
    println!("{report}");

    let missing = report.suggestions.iter().find(|it| it.finding == Finding::MissingIndex);
    let missing = missing.ok_or("no missing index was found")?;
    println!("The plan on replica-1 before:\n");
    print_plan(&pool.explain("replica-1", LATEST).await?);
    let applied = advisor.apply(missing).await?;
    println!("\n{}\n  took {:.0?}; it is valid\n", applied.sql, applied.took);
    for replica in stack.replicas() {
        replica.wait_caught_up(primary, Duration::from_secs(30)).await?;
    }
    println!("The plan on replica-1 after:\n");
    print_plan(&pool.explain("replica-1", LATEST).await?);
    let after = load(&pool).await?;
    println!("\nThe same reads took {before:.1?} each before and take {after:.1?} now.");
    pool.shutdown().await;
    stack.shutdown().await;
    Ok(())
}

/// Reads and writes as a service would; returns the mean time of a read.
async fn load(pool: &Pool) -> Result<Duration, Box<dyn Error>> {
    let began = Instant::now();
    let mut reads = 0;
    for round in 0..40 {
        for (service, kind) in [("checkout", "response_time"), ("search", "throughput")] {
            pool.read().query(LATEST, &[&service, &kind]).await?;
            reads += 1;
        }
        if round % 10 == 0 {
            let sql = "INSERT INTO system_resources (server_id, cpu_usage_percent) VALUES ($1, 50)";
            pool.write().execute(sql, &[&"web-1"]).await?;
        }
    }
    Ok(began.elapsed() / reads)
}

fn print_plan(plan: &str) {
    plan.lines().for_each(|line| println!("    {line}"));
}

/// As the history tables of `docs/`, with faults.
const SCHEMA: &str = "
CREATE TABLE performance_metrics (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    metric_type varchar(50), service_name varchar(100), endpoint varchar(255),
    metric_value decimal(10,3), unit varchar(20), timestamp timestamptz DEFAULT now(),
    metadata jsonb DEFAULT '{}');
CREATE TABLE system_resources (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    server_id varchar(100), cpu_usage_percent decimal(5,2), timestamp timestamptz DEFAULT now());
INSERT INTO performance_metrics (metric_type, service_name, metric_value, unit, timestamp)
    SELECT (ARRAY['response_time', 'throughput', 'error_rate'])[1 + i % 3],
           (ARRAY['checkout', 'search', 'bids', 'login'])[1 + i / 3 % 4], i % 1000, 'ms',
           now() - i * interval '1 s'
    FROM generate_series(1, 40000) AS i;
INSERT INTO system_resources (server_id, cpu_usage_percent, timestamp)
    SELECT 'web-' || i % 500, i % 100, now() - i * interval '1 s' FROM generate_series(1, 20000) AS i;
CREATE INDEX metrics_unit ON performance_metrics (unit);
CREATE INDEX resources_server ON system_resources (server_id, timestamp);
CREATE INDEX resources_server_again ON system_resources (server_id, timestamp);
CREATE INDEX resources_head ON system_resources (timestamp);
ANALYZE performance_metrics, system_resources;
";
