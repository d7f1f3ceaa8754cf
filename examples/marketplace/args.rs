//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

/// An auction service on real PostgreSQL and Redis, under a real traffic trace.
#[derive(Clone, Debug, Parser)]
#[command(name = "marketplace")]
pub struct Args {
    /// Keep the service running and send no load
    #[arg(long)]
    pub serve: bool,

    /// Address to listen on [default: a free loopback port]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,

    /// Lift the quotas (guards stay)
    #[arg(long)]
    pub no_limits: bool,

    /// Length of the run in seconds, at most 3000: sessions last an hour
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..=3_000))]
    pub duration: u64,

    /// Traffic trace, `timestamp_s,value` [default: the 1998 World Cup group stage]
    #[arg(long, value_name = "FILE.csv")]
    pub trace: Option<PathBuf>,

    /// Seconds of the trace that one second of the run covers
    #[arg(long, value_name = "FACTOR", default_value_t = 120.0, value_parser = positive)]
    pub compress: f64,

    /// Arrivals a second in the busiest moment [default: measured on this machine]
    #[arg(long, value_name = "PER_SECOND", value_parser = positive)]
    pub rate: Option<f64>,

    /// Seed of the data and of the load
    #[arg(long, default_value_t = 1998)]
    pub seed: u64,

    /// Multiplies the seeded rows: 100 000 auctions, 1 000 000 bids, 50 000 users
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = scale)]
    pub scale: f64,

    /// Settings of the service [default: built in, see examples/marketplace/marketplace.toml]
    #[arg(long, value_name = "FILE.toml", env = "MARKETPLACE_CONFIG")]
    pub config: Option<PathBuf>,

    /// Signs sessions; instances that share it share sessions [default: random]
    #[arg(long, env = "MARKETPLACE_SECRET", hide_env_values = true)]
    pub secret: Option<String>,

    /// Where the HTML report goes
    #[arg(long, value_name = "FILE.html", default_value = "target/demo/report.html")]
    pub report: PathBuf,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("expected a number above 0".to_owned()),
    }
}

fn scale(text: &str) -> Result<f64, String> {
    match positive(text)? {
        number @ 0.001..=100.0 => Ok(number),
        _ => Err("expected a number from 0.001 to 100".to_owned()),
    }
}
