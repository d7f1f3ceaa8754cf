//! L1, one rule and one race at a time.

mod checks;
mod echoes;
mod fences;
mod looks;
mod marks;
mod model;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::engine::EngineKind;
use super::*;
use crate::remote::Watcher as _;

type L1 = Arc<Local<u64, u64, u64>>;

const TTL: Duration = Duration::from_secs(60);

fn options() -> Options<u64, u64> {
    Options {
        namespace: "numbers".into(),
        engine: EngineKind::default(),
        capacity: 1_000,
        weigher: None,
        remote: true,
        l1_ttl: TTL,
        max_staleness: None,
        refresh_beta: 1.0,
        load_timeout: Duration::from_secs(30),
        node: 0,
        clock: Clock::exact(),
    }
}

/// Without an L2.
fn alone() -> L1 {
    Arc::new(Local::new(Options { remote: false, ..options() }))
}

/// With an L2 that tells nothing; the namespace's mark is known.
fn timed() -> L1 {
    let l1 = Arc::new(Local::new(options()));
    read_mark(&l1, NAMESPACE);
    l1
}

/// With an L2 that tells of changes, over links that are up.
fn watched() -> L1 {
    watched_with(options())
}

fn watched_with(options: Options<u64, u64>) -> L1 {
    let l1 = Arc::new(Local::new(options));
    l1.watched();
    for node in 0..2 {
        l1.link(node, true);
    }
    l1.proved(Instant::now());
    read_mark(&l1, NAMESPACE);
    l1
}

/// What the namespace's mark is at first.
const NAMESPACE: u64 = 100;

/// Reads the namespace's mark, which L2 says is `version`.
fn read_mark(l1: &L1, version: u64) -> bool {
    learn(l1, &Arc::clone(l1.namespace()), Mark::new(version))
}

fn learn(l1: &L1, cell: &Cell, mark: Mark) -> bool {
    let now = l1.clock().now();
    l1.learn(cell, l1.ask(now), mark, now)
}

fn draft(l1: &L1, value: u64, version: u64) -> Draft<u64> {
    let at = l1.clock().now();
    Draft {
        value: Some(Arc::new(value)),
        at,
        age: Duration::ZERO,
        fresh: TTL,
        hard: TTL,
        l1: TTL,
        delta: Duration::ZERO,
        version,
        source: 0,
        node: 0,
        namespace: l1.namespace().last_known().unwrap_or(0),
        tags: Vec::new(),
        degraded: false,
    }
}

fn fill(lease: &Lease<u64, u64, u64>, l1: &L1, value: u64, version: u64) -> bool {
    lease.fill(draft(l1, value, version), l1.clock().now()).0 != Kept::No
}

fn end_write(lease: &Lease<u64, u64, u64>, l1: &L1, value: u64, version: u64) -> bool {
    lease.end_write(draft(l1, value, version), true, l1.clock().now()) != Kept::No
}

/// Fills key 1 with value 10 of version 5.
fn filled(l1: &L1) -> Entry<u64> {
    let (kept, entry) = l1.lease(1).fill(draft(l1, 10, 5), l1.clock().now());
    assert_eq!(kept, Kept::Yes);
    entry
}

/// A snapshot of what the engine holds under key 1.
fn held(l1: &L1) -> Entry<u64> {
    l1.table.shelf().look(&1).expect("held")
}

/// As [`watched`], with each engine.
fn watched_on_each() -> impl Iterator<Item = L1> {
    let kinds = [
        EngineKind::Moka,
        #[cfg(feature = "quick")]
        EngineKind::Quick,
    ];
    kinds.into_iter().map(|engine| watched_with(Options { engine, ..options() }))
}

fn look(l1: &L1) -> Look<u64> {
    l1.look(&1, l1.clock().now())
}

/// What a plain hit on key 1 answers.
fn value(l1: &L1) -> Option<u64> {
    match look(l1) {
        Look::Hit(entry) => entry.value().map(|value| **value),
        _ => None,
    }
}
