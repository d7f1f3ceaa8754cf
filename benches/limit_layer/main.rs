//! What does the whole quota layer add to a request that is admitted (identity, lists, three
//! policies, fields), in process and over HTTP, beside tower_governor with its fields and one quota?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

mod over_http;
mod process;
mod stack;

use bench_harness::Bench;

fn main() -> std::io::Result<()> {
    let mut bench = Bench::new("limit_layer");
    process::measure(&mut bench);
    over_http::measure(&mut bench)?;
    bench.finish()
}
