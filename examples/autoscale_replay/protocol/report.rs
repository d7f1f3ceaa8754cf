//! The tables, for a terminal and for the documentation.
#![expect(clippy::print_stdout, reason = "it prints")]

use std::fmt::Write as _;

use super::bars::bars;
use super::frontier::curve;
use super::runs::{Cell, MEASURING, Part};
use super::{Named, Protocol, svg};
use crate::policy::Kind;

/// Medians over the seeds, of policies at their defaults, at one delay.
pub(crate) struct Means {
    cells: Vec<(Kind, usize, Cell)>,
    traces: usize,
}

impl Means {
    pub(crate) fn new(cells: &[Cell], traces: usize, part: Part, delay: f64) -> Self {
        let mut medians = Vec::new();
        for kind in Kind::ALL {
            for trace in 0..traces {
                let mut seeds: Vec<Cell> = cells
                    .iter()
                    .filter(|cell| cell.entry.part == part && cell.entry.kind == kind)
                    .filter(|cell| cell.trace == trace && cell.delay == delay)
                    .copied()
                    .collect();
                seeds.sort_by(|a, b| a.j().total_cmp(&b.j()));
                if let Some(median) = seeds.get(seeds.len() / 2) {
                    medians.push((kind, trace, *median));
                }
            }
        }
        Self { cells: medians, traces }
    }

    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.cells.iter().any(|cell| cell.0 == kind)
    }

    pub(crate) fn at(&self, kind: Kind, trace: usize) -> Cell {
        let found = self.cells.iter().find(|cell| cell.0 == kind && cell.1 == trace);
        found.map_or(Cell::NOTHING, |cell| cell.2)
    }

    pub(crate) fn mean(&self, kind: Kind) -> Cell {
        let mut sum = Cell { bad: 0.0, cost: 0.0, starts: 0.0, dropped: 0.0, ..Cell::NOTHING };
        let share = 1.0 / self.traces.max(1) as f64;
        for trace in 0..self.traces {
            let cell = self.at(kind, trace);
            sum.bad += cell.bad * share;
            sum.cost += cell.cost * share;
            sum.starts += cell.starts * share;
            sum.dropped += cell.dropped * share;
        }
        sum
    }
}

/// Prints everything, and writes it to the folder of the report.
pub(crate) fn tell(
    protocol: &Protocol,
    traces: &[Named],
    cells: &[Cell],
) -> Result<(), Box<dyn std::error::Error>> {
    let titles: Vec<String> = traces.iter().map(Named::title).collect();
    let mut text = String::new();
    for delay in protocol.delays.iter().copied() {
        let means = Means::new(cells, traces.len(), Part::Defaults, delay);
        writeln!(text, "\n## Defaults, instances ready after {delay} s\n")?;
        defaults(&mut text, &means, &titles)?;
        if protocol.seeds.len() > 1 {
            worst_seed(&mut text, cells, traces.len(), delay)?;
        }
        if !protocol.quick {
            writeln!(text, "\n### Frontier, {delay} s\n")?;
            frontier(&mut text, cells, delay)?;
        }
        writeln!(text, "\n### Bars, {delay} s\n")?;
        for bar in bars(cells, &means, &titles, delay) {
            writeln!(text, "- {}: {}", if bar.met { "met" } else { "MISSED" }, bar.text)?;
        }
    }
    for (name, what) in [("fresh", "0 s late, of 15 s"), ("late", "30 s late, of 60 s")] {
        let means = Means::new(cells, traces.len(), Part::Equal(name), protocol.delays[0]);
        if means.has(Kind::Seawall) {
            writeln!(text, "\n## The same pipeline for all: {what}, every 15 s\n")?;
            summary(&mut text, &means)?;
        }
    }
    print!("{text}");
    if let Some(folder) = &protocol.report {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("scores.md"), &text)?;
        if !protocol.quick {
            let delay = protocol.delays[0];
            std::fs::write(folder.join("frontier.svg"), svg::frontier(cells, delay)?)?;
        }
    }
    Ok(())
}

/// Each trace a line, each policy a column: bad per cent, cost, starts a day.
fn defaults(text: &mut String, means: &Means, titles: &[String]) -> std::fmt::Result {
    let cell = |cell: Cell| format!("{:.2} / {:.2} / {:.0}", cell.bad, cell.cost, cell.starts);
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| means.has(*kind)).collect();
    let mut rows = vec![
        ["trace".to_owned()]
            .into_iter()
            .chain(kinds.iter().map(|kind| kind.name().to_owned()))
            .chain(["J of ours".to_owned()])
            .collect::<Vec<_>>(),
    ];
    for (index, title) in titles.iter().enumerate() {
        let of = |kind| means.at(kind, index).j();
        let best = MEASURING.map(of).into_iter().fold(f64::INFINITY, f64::min);
        let ours = of(Kind::Seawall);
        let mut row = vec![title.clone()];
        row.extend(kinds.iter().map(|kind| cell(means.at(*kind, index))));
        row.push(format!("{ours:.2} ({:.2}x)", ours / best));
        rows.push(row);
    }
    let mut row = vec!["mean".to_owned()];
    row.extend(kinds.iter().map(|kind| cell(means.mean(*kind))));
    row.push(format!("{:.2}", means.mean(Kind::Seawall).j()));
    rows.push(row);
    let mut row = vec!["mean J".to_owned()];
    row.extend(kinds.iter().map(|kind| format!("{:.2}", means.mean(*kind).j())));
    row.push(String::new());
    rows.push(row);
    table(text, &rows)
}

fn worst_seed(text: &mut String, cells: &[Cell], traces: usize, delay: f64) -> std::fmt::Result {
    let mut seeds: Vec<u64> = cells.iter().map(|cell| cell.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let all = seeds.iter().map(|seed| {
        let own: Vec<Cell> = cells.iter().filter(|cell| cell.seed == *seed).copied().collect();
        Means::new(&own, traces, Part::Defaults, delay).mean(Kind::Seawall).j()
    });
    let (least, most) =
        all.fold((f64::INFINITY, 0.0_f64), |(least, most), j| (least.min(j), most.max(j)));
    writeln!(text, "\nMean J of ours by seed: {least:.2} to {most:.2}.")
}

fn summary(text: &mut String, means: &Means) -> std::fmt::Result {
    let mut rows = vec![
        ["policy", "bad %", "dropped %", "cost", "starts/day", "J"].map(str::to_owned).to_vec(),
    ];
    for kind in Kind::ALL.into_iter().filter(|kind| means.has(*kind)) {
        let mean = means.mean(kind);
        rows.push(vec![
            kind.name().to_owned(),
            format!("{:.2}", mean.bad),
            format!("{:.2}", mean.dropped),
            format!("{:.2}", mean.cost),
            format!("{:.0}", mean.starts),
            format!("{:.2}", mean.j()),
        ]);
    }
    table(text, &rows)
}

fn frontier(text: &mut String, cells: &[Cell], delay: f64) -> std::fmt::Result {
    let mut rows =
        vec![["policy", "knob", "bad %", "cost", "starts/day"].map(str::to_owned).to_vec()];
    for kind in Kind::ALL {
        for point in curve(cells, kind, delay) {
            rows.push(vec![
                kind.name().to_owned(),
                format!("{}", point.knob),
                format!("{:.2}", point.bad),
                format!("{:.2}", point.cost),
                format!("{:.0}", point.starts),
            ]);
        }
    }
    table(text, &rows)
}

/// Aligned, and markdown as well.
pub(crate) fn table(text: &mut String, rows: &[Vec<String>]) -> std::fmt::Result {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for (index, row) in rows.iter().enumerate() {
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            if column == 0 {
                write!(text, "| {cell:<width$} ")?;
            } else {
                write!(text, "| {cell:>width$} ")?;
            }
        }
        writeln!(text, "|")?;
        if index == 0 {
            for (column, width) in widths.iter().enumerate() {
                let end = if column == 0 { '-' } else { ':' };
                write!(text, "|{}{end}", "-".repeat(width + 1))?;
            }
            writeln!(text, "|")?;
        }
    }
    Ok(())
}
