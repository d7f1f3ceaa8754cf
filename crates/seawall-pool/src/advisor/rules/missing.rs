//! Indexes that hot statements lack.

use super::estimate::{WRITE_COST, index_cost, scan_cost};
use super::pick::{covers, may_serve, pick};
use super::{full_name, spread};
use crate::advisor::config::AdvisorConfig;
use crate::advisor::evidence::Evidence;
use crate::advisor::needs::{self, Need};
use crate::advisor::report::{Note, bytes, many, shortened, thousands};
use crate::advisor::suggestion::{Action, Confidence, Finding, Severity, Suggestion};

/// An index that would make a statement cheaper, as far as estimates tell.
#[derive(Clone, Debug)]
pub(in crate::advisor) struct Candidate {
    /// Places in the evidence.
    pub(in crate::advisor) statement: usize,
    pub(in crate::advisor) table: usize,
    pub(in crate::advisor) columns: Vec<String>,
    before: f64,
    after: f64,
    confidence: Confidence,
}

/// Every index that some hot statement would be cheaper with, and how many statements could not be read.
pub(in crate::advisor) fn candidates(
    evidence: &Evidence,
    config: &AdvisorConfig,
) -> (Vec<Candidate>, usize) {
    let (mut candidates, mut unread) = (Vec::<Candidate>::new(), 0);
    for (at, statement) in evidence.statements.iter().enumerate() {
        let mean = config.min_mean.as_secs_f64() * 1e3;
        if statement.all_calls() < config.min_calls || statement.mean_ms() < mean {
            continue;
        }
        let Some(needs) = needs::of(&statement.text, &evidence.tables) else {
            unread += 1;
            continue;
        };
        let alone = needs.len() == 1;
        for found in needs.iter().filter_map(|need| candidate(evidence, config, at, need, alone)) {
            // A statement may want the same twice, as a table joined to itself does.
            let known = candidates.iter().any(|known| {
                (known.statement, known.table) == (at, found.table)
                    && known.columns == found.columns
            });
            if found.pays(config) && !known {
                candidates.push(found);
            }
        }
    }
    (candidates, unread)
}

pub(super) fn look(
    evidence: &Evidence,
    config: &AdvisorConfig,
    suggestions: &mut Vec<Suggestion>,
    notes: &mut Vec<Note>,
) {
    let (mut found, unread) = candidates(evidence, config);
    if unread > 0 {
        notes.push(Note::Unread { statements: unread });
    }
    // The longest first, so that those it begins with join it.
    found.sort_by_key(|candidate| (candidate.table, std::cmp::Reverse(candidate.columns.len())));
    let mut groups: Vec<(Vec<String>, Vec<Candidate>)> = Vec::new();
    for candidate in found {
        let fits = |(columns, members): &&mut (Vec<String>, Vec<Candidate>)| {
            members[0].table == candidate.table && columns.starts_with(&candidate.columns)
        };
        match groups.iter_mut().find(fits) {
            Some((_, members)) => members.push(candidate),
            None => groups.push((candidate.columns.clone(), vec![candidate])),
        }
    }
    let mut rated: Vec<_> = groups
        .into_iter()
        .filter_map(|(columns, members)| suggestion(evidence, columns, &members))
        .collect();
    rated.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let mut names: Vec<String> = evidence.indexes.iter().map(|index| index.name.clone()).collect();
    for (_, mut suggestion) in rated {
        let alike = |other: &&Suggestion| {
            other.finding == Finding::MissingIndex && other.table == suggestion.table
        };
        if suggestions.iter().filter(alike).count() >= MOST_PER_TABLE {
            continue;
        }
        if let Some(Action::CreateIndex { name, .. }) = &mut suggestion.action {
            *name = free_name(name, &names);
            names.push(name.clone());
        }
        suggestions.push(suggestion);
    }
}

impl Candidate {
    fn pays(&self, config: &AdvisorConfig) -> bool {
        self.after <= self.before * config.max_cost_share
    }
}

fn candidate(
    evidence: &Evidence,
    config: &AdvisorConfig,
    at: usize,
    need: &Need,
    alone: bool,
) -> Option<Candidate> {
    let (statement, table) = (&evidence.statements[at], &evidence.tables[need.table]);
    #[expect(clippy::cast_precision_loss, reason = "a threshold")]
    if table.rows < config.min_rows as f64 {
        return None;
    }
    // Where the planner reads the table by an index, there is one.
    let scan = match &statement.plan {
        Some(plan) => Some(plan.scans.iter().find(|scan| {
            (scan.schema.as_str(), scan.table.as_str()) == (&table.schema, &table.name)
        })?),
        None => None,
    };
    let picked = pick(evidence, config, statement, need)?;
    let own = evidence.indexes.iter().filter(|index| index.table == table.oid);
    if own.clone().any(|index| covers(index, &picked)) {
        return None;
    }
    // One over a part of the rows, or over an expression: whether it serves, only a plan tells.
    let unclear = own.into_iter().any(|index| may_serve(index, &picked));
    if unclear && scan.is_none() {
        return None;
    }
    let lookup = index_cost(table, evidence.random_page_cost, picked.lookups, picked.found);
    let scan_cost = scan.map_or_else(|| scan_cost(table), |scan| scan.cost);
    let before = statement.plan.as_ref().map_or(scan_cost, |plan| plan.cost);
    let columns = picked.columns;
    let trial = evidence.trials.iter().find(|trial| {
        trial.statement == statement.id && trial.table == table.oid && trial.columns == columns
    });
    let sure = scan.is_some() && !picked.guessed && !unclear;
    let trust = if sure { Confidence::Medium } else { Confidence::Low };
    let (after, confidence) = match trial {
        Some(trial) => (trial.cost, Confidence::High),
        // Nothing is sorted, and no more read than is wanted.
        None if picked.sorted && alone => (lookup, trust),
        None => ((before - scan_cost + lookup).max(lookup.min(before)), trust),
    };
    Some(Candidate { statement: at, table: need.table, columns, before, after, confidence })
}

/// With what it saves, in units of the planner.
fn suggestion(
    evidence: &Evidence,
    columns: Vec<String>,
    members: &[Candidate],
) -> Option<(f64, Suggestion)> {
    let table = &evidence.tables[members[0].table];
    let statement = |member: &Candidate| &evidence.statements[member.statement];
    #[expect(clippy::cast_precision_loss, reason = "estimates")]
    let calls = |member: &Candidate| statement(member).all_calls() as f64;
    let saved: f64 = members.iter().map(|it| calls(it) * (it.before - it.after)).sum();
    #[expect(clippy::cast_precision_loss, reason = "estimates")]
    let upkeep = table.writes as f64 * window(evidence) * WRITE_COST;
    // Half, because one side is measured better than the other.
    if saved <= 2.0 * upkeep {
        return None;
    }
    let saved_ms: f64 = members
        .iter()
        .map(|it| statement(it).total_ms * (1.0 - it.after / it.before.max(f64::MIN_POSITIVE)))
        .sum();
    let all_ms: f64 = evidence.statements.iter().map(|statement| statement.total_ms).sum();
    let share = saved_ms / all_ms.max(f64::MIN_POSITIVE);
    let mut lines = Vec::new();
    for member in members.iter().take(MOST_TOLD) {
        let statement = statement(member);
        lines.push(shortened(&statement.text));
        lines.push(format!(
            "calls {}, {:.1} ms each, planner's cost {} now and {} with it",
            spread(&statement.calls),
            statement.mean_ms(),
            thousands(member.before),
            thousands(member.after),
        ));
    }
    if members.len() > MOST_TOLD {
        lines.push(format!(
            "and {} more",
            many(members.len() - MOST_TOLD, "statement", "statements")
        ));
    }
    lines.push(format!(
        "about {:.0} % of the time of all statements looked at",
        (share * 100.0).min(100.0)
    ));
    lines.push(format!(
        "{} rows, {} writes so far: keeping it up to date costs about {:.1} % of what it saves",
        thousands(table.rows),
        table.writes,
        100.0 * upkeep / saved,
    ));
    let keys: f64 = columns
        .iter()
        .filter_map(|name| table.columns.iter().find(|column| column.name == *name))
        .map(|column| column.width)
        .sum();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate")]
    let size = (table.rows * (keys + ENTRY)) as u64;
    let (schema, name) = (table.schema.clone(), table.name.clone());
    let index = format!("{}_{}_idx", name, columns.join("_"));
    let suggestion = Suggestion {
        finding: Finding::MissingIndex,
        severity: match share {
            share if share >= 0.2 => Severity::High,
            share if share >= 0.05 => Severity::Medium,
            _ => Severity::Low,
        },
        confidence: members.iter().map(|it| it.confidence).max()?,
        table: full_name(table),
        action: Some(Action::CreateIndex { schema, table: name, name: index, columns }),
        evidence: lines,
        risk: format!(
            "reads the table twice while it is made, waits for older transactions, takes about {}",
            bytes(size)
        ),
    };
    Some((saved - upkeep, suggestion))
}

/// What part of the table's writes came while statements were counted, if they come evenly: the two were
/// not reset at the same time.
fn window(evidence: &Evidence) -> f64 {
    let primary = evidence.nodes.iter().find(|node| node.primary);
    let ages = primary.map(|node| (node.statements_age, node.statistics_age));
    match ages {
        Some((statements, all)) if statements > 0.0 && all > 0.0 => statements / all,
        _ => 1.0,
    }
}

/// A name of at most 63 bytes that no index has.
pub(super) fn free_name(wanted: &str, taken: &[String]) -> String {
    let mut number = 1;
    loop {
        let end = if number == 1 { String::new() } else { format!("_{number}") };
        let room = wanted.floor_char_boundary(LONGEST_NAME - end.len());
        let name = format!("{}{end}", &wanted[..room]);
        if !taken.contains(&name) {
            return name;
        }
        number += 1;
    }
}

const MOST_PER_TABLE: usize = 3;
/// Statements whose text is shown.
const MOST_TOLD: usize = 3;
/// Bytes of an entry of a btree beside its keys.
const ENTRY: f64 = 16.0;
/// Bytes, `NAMEDATALEN` less one.
const LONGEST_NAME: usize = 63;
