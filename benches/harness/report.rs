//! The table and the file.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;

use crate::Role;

/// One subject at one case, as `target/bench/NAME.json` has it.
#[derive(Clone, Debug, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "the schema of the bench file")]
pub struct Row {
    /// What was done.
    pub case: String,
    /// Who did it.
    pub subject: String,
    /// Ours, floor or peer.
    pub role: Role,
    /// The median over the rounds.
    pub value: f64,
    /// Of `value` and `spread`.
    pub unit: &'static str,
    /// The least and the most of the rounds.
    pub spread: [f64; 2],
}

impl Row {
    /// Sums up the rounds; NaN for none.
    #[must_use]
    pub fn of(
        case: &str,
        subject: &str,
        role: Role,
        unit: &'static str,
        mut rounds: Vec<f64>,
    ) -> Self {
        rounds.sort_by(f64::total_cmp);
        let at = |index: usize| rounds.get(index).copied().unwrap_or(f64::NAN);
        let (median, last) = (rounds.len() / 2, rounds.len().saturating_sub(1));
        let (case, subject) = (case.to_owned(), subject.to_owned());
        Self { case, subject, role, value: at(median), unit, spread: [at(0), at(last)] }
    }
}

/// Prints `rows` case by case; the ratio is to the first of ours in the case.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_table(name: &str, rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\n{name}: median of the rounds, least and most, ratio to ours")?;
    let width = rows.iter().map(|row| row.subject.len()).max().unwrap_or(0);
    let mut case = "";
    for row in rows {
        if row.case != case {
            case = &row.case;
            writeln!(out, "\n  {case}")?;
        }
        let ours = rows.iter().find(|other| other.case == row.case && other.role == Role::Ours);
        let ratio = ours.map_or(f64::NAN, |ours| row.value / ours.value);
        let role = match row.role {
            Role::Ours => "ours",
            Role::Floor => "floor",
            Role::Peer => "peer",
        };
        writeln!(
            out,
            "    {role:<6}{:<width$}{:>12.1} {:<4}[{:>10.1} {:>10.1}]{ratio:>9.2}x",
            row.subject, row.value, row.unit, row.spread[0], row.spread[1]
        )?;
    }
    Ok(())
}

/// Writes `target/bench/NAME.json`.
///
/// # Errors
/// When the folder or the file cannot be written.
pub fn write_json(name: &str, rows: &[Row]) -> io::Result<()> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    let folder = target.join("bench");
    fs::create_dir_all(&folder)?;
    let text = serde_json::to_string_pretty(rows).map_err(io::Error::other)?;
    fs::write(folder.join(format!("{name}.json")), text + "\n")
}
