//! An auction service on a real PostgreSQL primary with two streaming replicas and
//! a real Redis, under a real traffic trace. `make demo` runs it, `make serve` keeps
//! it up. Start reading at `service/mod.rs` (the service) or `demo.rs` (the run).
#![expect(
    unreachable_pub,
    reason = "a program has no outside; pub says what a module offers the others"
)]

mod args;
mod boot;
mod demo;
mod error;
mod load;
mod observe;
mod progress;
mod report;
mod scaling;
mod seed;
mod serve;
mod service;
mod settings;

use std::process::ExitCode;

use clap::Parser;

use args::Args;
use error::Failure;

fn main() -> ExitCode {
    let args = Args::parse();
    // The pool reports a lost node once; deadpool would report each of its connections.
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "warn,deadpool=error".to_owned());
    let filter = tracing_subscriber::EnvFilter::new(filter);
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();

    match run(&args) {
        Ok(code) => code,
        Err(failure) => {
            progress::explain(&failure);
            ExitCode::from(2)
        }
    }
}

/// The service runs here; the load gets a runtime of its own, so that a busy
/// service cannot hold back the requests that are due.
fn run(args: &Args) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| Failure::System { what: "starting a runtime", source })?;
    let outcome = runtime.block_on(async {
        if args.serve { serve::run(args).await } else { demo::run(args).await }
    });
    // Blocking tasks (a password being hashed) need not hold up the exit.
    runtime.shutdown_background();
    outcome
}
