//! Indexes that cost and give nothing: invalid, duplicate, redundant, unused.

use super::{full_name, spread};
use crate::advisor::config::AdvisorConfig;
use crate::advisor::evidence::{Evidence, Index, Table};
use crate::advisor::report::{Note, bytes, duration};
use crate::advisor::suggestion::{Action, Confidence, Finding, Severity, Suggestion};

/// At most one suggestion for each index.
pub(super) fn look(
    evidence: &Evidence,
    config: &AdvisorConfig,
    suggestions: &mut Vec<Suggestion>,
    notes: &mut Vec<Note>,
) {
    let blind = blindness(evidence, config);
    let mut superseded: Vec<i64> = Vec::new();
    let mut unjudged = 0;
    for index in &evidence.indexes {
        let Some(table) = evidence.tables.iter().find(|table| table.oid == index.table) else {
            continue;
        };
        if index.building || index.partition {
            continue;
        }
        if !index.valid {
            suggestions.push(invalid(table, index));
        } else if index.constraint || index.replica_identity {
            // Rules and replication rest on it, whether anybody scans it or not.
        } else if let Some((finding, better)) =
            superior(evidence, index, &superseded, blind.is_none())
        {
            match replica_with(evidence, index).filter(|_| finding == Finding::DuplicateIndex) {
                // Dropped there by replay, it would end the queries that scan it.
                Some(node) => notes.push(Note::DuplicateInUse {
                    index: index.name.clone(),
                    twin: better.name.clone(),
                    node: node.to_owned(),
                }),
                None => {
                    superseded.push(index.oid);
                    suggestions.push(superfluous(table, index, finding, better));
                }
            }
        } else if index.is_idle() {
            match &blind {
                Some(_) => unjudged += 1,
                None => suggestions.push(unused(evidence, table, index)),
            }
        }
    }
    if let Some(reason) = blind.filter(|_| unjudged > 0) {
        notes.push(Note::UnusedNotJudged { indexes: unjudged, reason });
    }
}

/// Why nothing can be called unused, if so.
fn blindness(evidence: &Evidence, config: &AdvisorConfig) -> Option<String> {
    if let Some(node) = evidence.nodes.iter().find(|node| node.silent.is_some()) {
        return Some(format!("{} gave no statistics", node.name));
    }
    let known = evidence.nodes.iter().filter(|node| !node.primary).count();
    if usize::try_from(evidence.standbys).unwrap_or(usize::MAX) > known {
        let all = evidence.standbys;
        return Some(format!("the nodes feed {all} replicas and the pool knows {known}"));
    }
    let young = |age: f64| age < config.min_statistics_age.as_secs_f64();
    let node = evidence.nodes.iter().find(|node| young(node.statistics_age))?;
    Some(format!(
        "statistics of {} are {} old, {} is asked for",
        node.name,
        duration(node.statistics_age),
        duration(config.min_statistics_age.as_secs_f64()),
    ))
}

impl Index {
    fn drop(&self) -> Action {
        Action::DropIndex {
            schema: self.schema.clone(),
            name: self.name.clone(),
            definition: self.definition.clone(),
        }
    }

    /// Whether nobody scans it and nothing else rests on it. One that keeps its table clustered was put
    /// there for that.
    fn is_idle(&self) -> bool {
        !(self.unique || self.constraint || self.replica_identity || self.clustered)
            && self.scans.values().all(|scans| *scans == 0)
    }

    fn size(&self) -> String {
        format!("{} takes {}", self.name, bytes(self.bytes))
    }
}

/// An index that serves whatever `index` serves. One in use is not given up for one that nobody scans,
/// if that is to go as unused, as is `judged`: then neither would be left.
fn superior<'e>(
    evidence: &'e Evidence,
    index: &Index,
    superseded: &[i64],
    judged: bool,
) -> Option<(Finding, &'e Index)> {
    // What keeps a table clustered was put there for that.
    if index.clustered {
        return None;
    }
    let others = || {
        evidence.indexes.iter().filter(|other| {
            other.oid != index.oid
                && other.table == index.table
                && other.valid
                && !other.building
                && !superseded.contains(&other.oid)
                && other.method == index.method
                && other.condition == index.condition
                && (!index.unique || keeps_rule(other, index))
                && !(judged && other.is_idle() && !index.is_idle())
        })
    };
    let carries = |other: &Index, column: &String| {
        other.included.contains(column)
            || other.keys.iter().any(|key| key.column.as_ref() == Some(column))
    };
    let carries_all = |other: &Index| index.included.iter().all(|column| carries(other, column));
    if let Some(twin) = others().find(|other| {
        other.keys == index.keys && carries_all(other)
            // Of two that are alike in all, one stays.
            && ((other.unique && !index.unique)
                || other.constraint
                || other.replica_identity
                || other.clustered
                || other.included.len() > index.included.len()
                || (other.included.len() == index.included.len()
                    && preferred(evidence, other, index)))
    }) {
        return Some((Finding::DuplicateIndex, twin));
    }
    let longer = others().find(|other| {
        index.method == "btree"
            && !index.unique
            && other.keys.len() > index.keys.len()
            && other.keys.starts_with(&index.keys)
            && carries_all(other)
    })?;
    Some((Finding::RedundantIndex, longer))
}

/// Whether `other` keeps the values unique that `index` does, as it does.
fn keeps_rule(other: &Index, index: &Index) -> bool {
    let nulls_are_equal = |index: &Index| index.definition.contains(" NULLS NOT DISTINCT");
    other.unique
        && (other.immediate || !index.immediate)
        && nulls_are_equal(other) == nulls_are_equal(index)
}

/// The one that replicas use stays, else the one in use, of equals the older one.
fn preferred(evidence: &Evidence, a: &Index, b: &Index) -> bool {
    let rank = |index: &Index| {
        let scans = index.scans.values().sum::<u64>();
        let on_replicas = replica_scans(evidence, index).map(|(_, scans)| scans).sum::<u64>();
        (on_replicas, scans, std::cmp::Reverse(index.oid))
    };
    rank(a) > rank(b)
}

/// A replica that scans it.
fn replica_with<'e>(evidence: &'e Evidence, index: &'e Index) -> Option<&'e str> {
    replica_scans(evidence, index).find(|(_, scans)| *scans > 0).map(|(node, _)| node)
}

/// How often each replica has scanned it.
fn replica_scans<'e>(
    evidence: &'e Evidence,
    index: &'e Index,
) -> impl Iterator<Item = (&'e str, u64)> {
    let replicas = evidence.nodes.iter().filter(|node| !node.primary);
    replicas.map(|node| (&*node.name, index.scans.get(&node.name).copied().unwrap_or(0)))
}

fn superfluous(table: &Table, index: &Index, finding: Finding, better: &Index) -> Suggestion {
    let duplicate = finding == Finding::DuplicateIndex;
    let why = if duplicate {
        format!("{} has the same keys", better.name)
    } else {
        let keys: Vec<_> = better.keys.iter().map(|key| key.text.as_str()).collect();
        format!("{} ({}) begins with its keys", better.name, keys.join(", "))
    };
    Suggestion {
        finding,
        severity: if duplicate { Severity::Medium } else { Severity::Low },
        confidence: if duplicate { Confidence::High } else { Confidence::Medium },
        table: full_name(table),
        action: Some(index.drop()),
        evidence: vec![
            why,
            index.size(),
            format!("{} takes {}", better.name, bytes(better.bytes)),
            format!("scans {}", spread(&index.scans)),
            upkeep(table),
        ],
        risk: if duplicate {
            "none known, unless a statement names it in a hint".to_owned()
        } else {
            "the longer index is larger: a scan of it reads more pages".to_owned()
        },
    }
}

fn unused(evidence: &Evidence, table: &Table, index: &Index) -> Suggestion {
    let ages = evidence.nodes.iter().map(|node| node.statistics_age);
    let age = ages.fold(f64::INFINITY, f64::min);
    let large = index.bytes >= LARGE;
    let expression = index.keys.iter().any(|key| key.column.is_none());
    let mut risk = "something rare may need it, or it may be newer than the statistics".to_owned();
    if index.foreign_key {
        risk.push_str(
            "; deleting from the table it refers to reads this one row by row without it",
        );
    }
    if expression {
        risk.push_str("; the planner loses what it knows about the expression");
    }
    Suggestion {
        finding: Finding::UnusedIndex,
        severity: if large { Severity::Medium } else { Severity::Low },
        confidence: if index.foreign_key || expression {
            Confidence::Low
        } else {
            Confidence::Medium
        },
        table: full_name(table),
        action: Some(index.drop()),
        evidence: vec![
            format!("scans {} in {} or more", spread(&index.scans), duration(age)),
            index.size(),
            upkeep(table),
        ],
        risk,
    }
}

fn upkeep(table: &Table) -> String {
    match table.writes {
        0 => "nothing was written so far that keeps it up to date".to_owned(),
        1 => "the one write so far kept it up to date".to_owned(),
        writes => format!("each of {writes} writes so far kept it up to date"),
    }
}

fn invalid(table: &Table, index: &Index) -> Suggestion {
    // What REINDEX CONCURRENTLY leaves behind when it is broken off.
    let is_left = |mark: &str| {
        let after = index.name.rsplit_once(mark).map(|(_, after)| after);
        after.is_some_and(|after| after.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let left = (is_left("_ccnew") || is_left("_ccold")) && !index.constraint;
    let (schema, name) = (index.schema.clone(), index.name.clone());
    Suggestion {
        finding: Finding::InvalidIndex,
        severity: Severity::High,
        confidence: Confidence::High,
        table: full_name(table),
        action: Some(if left { index.drop() } else { Action::Reindex { schema, name } }),
        evidence: vec![
            format!("{} is marked invalid and is not being made now", index.name),
            "no query may use it, and every write may keep it up to date".to_owned(),
            index.size(),
        ],
        risk: if index.unique {
            "making it anew fails if there are duplicates by now".to_owned()
        } else {
            "none; the table stays in use".to_owned()
        },
    }
}

const LARGE: u64 = 100 << 20;
