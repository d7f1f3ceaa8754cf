//! What happened, in order, and whether it was right.

use std::fmt::{self, Write as _};
use std::time::Duration;

use tokio::time::Instant;

/// An invalidation that was acknowledged: reads that must know of it answer with `version` or newer.
#[derive(Debug, Clone)]
struct Acknowledged {
    order: u64,
    at: Instant,
    key: u64,
    version: u64,
    node: u64,
    /// L2 did not acknowledge it: only its own node must know of it.
    partial: bool,
}

/// A read, from its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    order: u64,
    at: Instant,
    key: u64,
    /// Identifies the process: a node that crashed comes back as another.
    node: u64,
    /// Since when its link to the bus has been whole, if it is.
    linked_since: Option<Instant>,
}

impl Reading {
    /// How long ago it was asked.
    pub(crate) fn since(&self) -> Duration {
        self.at.elapsed()
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "read {} of key {} on node {}", self.order, self.key, self.node)
    }
}

/// What a read answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) version: u64,
    pub(crate) degraded: bool,
    pub(crate) from_l1: bool,
}

pub(crate) struct History {
    start: Instant,
    /// Whether every event is written down, for a person to read.
    told: bool,
    order: u64,
    acknowledged: Vec<Acknowledged>,
    violations: Vec<String>,
    lines: Vec<String>,
    reads: u64,
    from_l1: u64,
    crashes: u64,
}

impl History {
    pub(crate) fn new(start: Instant, told: bool) -> Self {
        Self {
            start,
            told,
            order: 0,
            acknowledged: Vec::new(),
            violations: Vec::new(),
            lines: Vec::new(),
            reads: 0,
            from_l1: 0,
            crashes: 0,
        }
    }

    pub(crate) fn acknowledged(
        &mut self,
        key: u64,
        version: u64,
        node: u64,
        partial: bool,
        at: Instant,
    ) {
        self.order += 1;
        let order = self.order;
        self.acknowledged.push(Acknowledged { order, at, key, version, node, partial });
    }

    pub(crate) fn reading(
        &mut self,
        key: u64,
        node: u64,
        linked_since: Option<Instant>,
        at: Instant,
    ) -> Reading {
        self.order += 1;
        Reading { order: self.order, at, key, node, linked_since }
    }

    /// The law.
    pub(crate) fn answered(&mut self, reading: Reading, answer: Answer) {
        self.reads += 1;
        self.from_l1 += u64::from(answer.from_l1);
        let must_know = |it: &&Acknowledged| {
            it.key == reading.key
                && it.order < reading.order
                && (it.node == reading.node
                    || !it.partial
                        && !answer.degraded
                        && it.at + BOUND <= reading.at
                        && reading.linked_since.is_some_and(|since| since + BOUND <= reading.at))
        };
        let least = self.acknowledged.iter().filter(must_know).max_by_key(|it| it.version).cloned();
        if let Some(least) = least
            && answer.version < least.version
        {
            let violation = format!(
                "node {} read key {} as of {}, asked at {:?}, {answer:?}: but {} was acknowledged \
                 to node {} at {:?}",
                reading.node,
                reading.key,
                answer.version,
                reading.at - self.start,
                least.version,
                least.node,
                least.at - self.start,
            );
            self.tell(|| violation.clone());
            self.violations.push(violation);
        }
    }

    pub(crate) fn wrong(&mut self, what: String) {
        self.violations.push(what);
    }

    pub(crate) fn crashed(&mut self) {
        self.crashes += 1;
    }

    pub(crate) fn tell(&mut self, what: impl FnOnce() -> String) {
        if self.told {
            let ms = (Instant::now() - self.start).as_secs_f64() * 1e3;
            self.lines.push(format!("{ms:>9.3} ms  {}", what()));
        }
    }

    pub(crate) fn violations(&self) -> &[String] {
        &self.violations
    }

    pub(crate) fn told(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            let _ = writeln!(text, "{line}");
        }
        text
    }

    /// Reads, those that L1 answered, invalidations, crashes.
    pub(crate) fn counts(&self) -> [u64; 4] {
        [self.reads, self.from_l1, self.acknowledged.len() as u64, self.crashes]
    }
}

/// How long after its acknowledgement every other node that is whole must know of an invalidation:
/// the longest message delay, a deadline of L2 for the check of an echo, and some slack.
pub(crate) const BOUND: Duration = Duration::from_millis(150);
