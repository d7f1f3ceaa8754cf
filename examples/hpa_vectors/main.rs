//! Does the autoscaler of seawall-scale decide as that of Kubernetes?
//!
//! ```sh
//! cargo run --release --example hpa_vectors -- FILE.json
//! ```
//!
//! Reads a file of vectors (schema `hpa-vectors/1`; without one, those of the crate), decides each, compares the fields that it
//! expects, and says which differ. Ends with an error if any does, or if one cannot be read.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it prints")]

mod expect;
mod input;
mod kinds;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use serde::Deserialize;
use serde_json::Value;

#[derive(Parser)]
#[command(about = "Decides vectors of the Kubernetes HPA and compares")]
struct Arguments {
    /// Files of vectors.
    #[arg(default_values = [PUBLIC, OWN])]
    files: Vec<PathBuf>,
    /// Only vectors whose id contains this.
    #[arg(long)]
    only: Option<String>,
}

/// A file of vectors.
#[derive(Deserialize)]
struct File {
    schema: String,
    /// Each read by itself, so that one that is not as it should be is one that failed.
    vectors: Vec<Value>,
}

#[derive(Deserialize)]
struct Vector {
    kind: String,
    input: Value,
    expect: Value,
}

#[derive(Default)]
struct Count {
    passed: usize,
    failed: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    for path in &arguments.files {
        let file = match read(path) {
            Ok(file) => file,
            Err(error) => {
                eprintln!("{}: {error}", path.display());
                return ExitCode::FAILURE;
            }
        };
        for (index, vector) in file.vectors.iter().enumerate() {
            let text = |field: &str| vector.get(field).and_then(Value::as_str).map(str::to_owned);
            let id = text("id").unwrap_or_else(|| format!("vector {index}"));
            if arguments.only.as_ref().is_some_and(|only| !id.contains(only.as_str())) {
                continue;
            }
            let differences = differences(vector).unwrap_or_else(|error| vec![error.to_string()]);
            let kind = text("kind").unwrap_or_else(|| "unknown".to_owned());
            let count = counts.entry(kind).or_default();
            if differences.is_empty() {
                count.passed += 1;
                continue;
            }
            count.failed += 1;
            println!("{id}");
            differences.iter().for_each(|difference| println!("    {difference}"));
        }
    }
    report(&counts)
}

fn differences(vector: &Value) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let Vector { kind, input, expect } = Vector::deserialize(vector)?;
    Ok(expect::differences(&expect, &kinds::decide(&kind, &input)?))
}

fn read(path: &PathBuf) -> Result<File, Box<dyn std::error::Error>> {
    let file: File = serde_json::from_slice(&std::fs::read(path)?)?;
    if file.schema != "hpa-vectors/1" {
        return Err(format!("schema {}, not hpa-vectors/1", file.schema).into());
    }
    Ok(file)
}

fn report(counts: &BTreeMap<String, Count>) -> ExitCode {
    println!("{:<24} {:>6} {:>6}", "kind", "passed", "failed");
    let mut all = Count::default();
    for (kind, Count { passed, failed }) in counts {
        println!("{kind:<24} {passed:>6} {failed:>6}");
        all.passed += passed;
        all.failed += failed;
    }
    println!("{} passed, {} failed", all.passed, all.failed);
    if all.failed == 0 && all.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The vectors that the crate is tested with: restated from Kubernetes, and written for it.
const PUBLIC: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/seawall-scale/tests/data/hpa_public.json");
const OWN: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/seawall-scale/tests/data/hpa_own.json");
