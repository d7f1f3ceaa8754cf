//! Every policy beside tower's own balancer, on the same arrivals, with one of
//! ten nodes slow, flapping or failing fast. The time is made up, so nothing waits.
//!
//! `cargo run --release --example balance -- [REQUESTS] [SEED] [LOAD]`

#![expect(clippy::print_stdout, reason = "printing is what it does")]

use std::error::Error;

use seawall_balance::Policy;

// The tests of the crate hold it to the same simulation.
#[path = "../tests/it/sim/mod.rs"]
mod sim;

use sim::{Fault, Ours, Peer, Report, Scenario};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let requests = args.next().map_or(Ok(REQUESTS), |text| text.parse())?;
    let seed = args.next().map_or(Ok(1), |text| text.parse())?;
    let load: f64 = args.next().map_or(Ok(LOAD), |text| text.parse())?;
    println!("{requests} requests, on ten nodes of four workers that take 10 ms for each.");
    println!("They arrive by chance at {load} of what all nodes can do.");
    println!("An attempt is given up after 1 s; a request has three. Same arrivals for all.");
    for (fault, what) in [
        (Fault::None, "All nodes are well"),
        (Fault::Slow, "Node 0 turns ten times slower after a quarter of the time"),
        (Fault::Flapping, "Node 0 stands still for 1.5 s of every 3 s"),
        (Fault::FastFailing, "Node 0 answers with an error in half a millisecond"),
    ] {
        let scenario = Scenario { fault, requests, load, seed };
        println!("\n{what}\n");
        println!(
            "  {:<24}{:>9}{:>10}{:>10}{:>9}{:>12}",
            "", "p50 ms", "p99 ms", "p999 ms", "failed", "to node 0"
        );
        row("tower p2c + PeakEwma", &sim::run(scenario, || Ok(Peer::new(seed)))?);
        for policy in Policy::ALL {
            let report = sim::run(scenario, || Ours::new(policy, seed));
            row(policy.as_str(), &report?);
        }
    }
    Ok(())
}

fn row(name: &str, report: &Report) {
    println!(
        "  {name:<24}{:>9.1}{:>10.1}{:>10.1}{:>9}{:>11.2}%",
        report.quantile(0.5),
        report.quantile(0.99),
        report.quantile(0.999),
        report.failed,
        report.share_of_bad() * 100.0
    );
}

const REQUESTS: usize = 20_000;
const LOAD: f64 = 0.6;
