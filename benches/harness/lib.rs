//! Runs ours beside its peers and its floor: interleaved, median and spread, ratios.
//!
//! A bench is a list of cases, a case a list of subjects doing the same work. Each
//! round runs every subject once, in an order that rotates, so that a slow moment
//! of the machine falls on all of them. The table goes to the terminal, the numbers
//! to `target/bench/NAME.json`.

mod report;
mod subject;

pub use report::{Row, write_json, write_table};
pub use subject::{Role, Subject};

use std::time::Duration;

use tokio::time::Instant;

/// Rounds of each case; odd, so that the median is one of them.
const ROUNDS: usize = 9;
/// About how long one subject runs in one round.
const ROUND: Duration = Duration::from_millis(60);
const MOST_ESTIMATES: usize = 24;

/// One bench program.
#[derive(Debug)]
pub struct Bench {
    name: &'static str,
    rounds: usize,
    round: Duration,
    rows: Vec<Row>,
}

impl Bench {
    /// `name` is the file under `target/bench/`.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        // Only `cargo bench` passes `--bench`; others want to see it run, not numbers.
        let has = |flag: &str| std::env::args().any(|arg| arg == flag);
        let quick = has("--quick") || !has("--bench");
        Self { name, rounds: if quick { 1 } else { ROUNDS }, round: ROUND, rows: Vec::new() }
    }

    /// With rounds of about so long a subject, not 60 ms: for subjects that work on so much memory
    /// that a short round would measure how it comes back after the others.
    #[must_use]
    pub fn with_round(mut self, round: Duration) -> Self {
        self.round = round;
        self
    }

    /// Measures all `subjects` at `case`, as nanoseconds an operation.
    pub fn case(&mut self, case: &str, mut subjects: Vec<Subject<'_>>) {
        let count = subjects.len();
        let mut samples = vec![Vec::with_capacity(self.rounds); count];
        let operations: Vec<u64> =
            subjects.iter_mut().map(|it| calibrate(it, self.round)).collect();
        for round in 0..self.rounds {
            for turn in 0..count {
                let index = (round + turn) % count;
                samples[index].push(time(&mut subjects[index], operations[index]));
            }
        }
        for (subject, samples) in subjects.iter().zip(samples) {
            self.rows.push(Row::of(case, subject.name, subject.role, "ns", samples));
        }
    }

    /// How many rounds a case has.
    #[must_use]
    pub fn rounds(&self) -> usize {
        self.rounds
    }

    /// Adds a row that was measured in another way, percentiles for instance.
    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Prints the table and writes the numbers.
    ///
    /// # Errors
    /// When `target/bench` cannot be written.
    pub fn finish(self) -> std::io::Result<()> {
        write_table(self.name, &self.rows, &mut std::io::stdout().lock())?;
        write_json(self.name, &self.rows)
    }
}

/// Finds how many operations fill a round, and warms the subject up.
fn calibrate(subject: &mut Subject<'_>, round: Duration) -> u64 {
    let round = round.as_nanos() as f64;
    let mut operations = 1_u64;
    let mut fills = 0;
    // Caches that are cold, and what a subject does once after it was filled, must not pass for
    // its speed: it counts when a round of so many took about as long as it should, twice.
    for _ in 0..MOST_ESTIMATES {
        let total = time(subject, operations) * operations as f64;
        let better = (operations as f64 * round / total.max(1.0)) as u64;
        if total > round * 0.8 && total < round * 1.25 {
            fills += 1;
            if fills == 2 {
                break;
            }
        }
        operations = better.clamp(1, (operations * 16).min(1 << 30));
    }
    operations
}

fn time(subject: &mut Subject<'_>, operations: u64) -> f64 {
    let start = Instant::now();
    (subject.run)(operations);
    start.elapsed().as_nanos() as f64 / operations as f64
}
