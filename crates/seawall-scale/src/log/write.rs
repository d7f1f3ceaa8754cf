use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seawall_signal::Signals;
use tokio::time::Instant;

use super::{Entry, Logged};
use crate::state::{SavedFreeze, SavedPin};
use crate::{Decision, Freeze, Pin, Policy, State, offset};

/// Where the entries of a log go. Called from the engine's methods, so it must
/// return soon.
pub trait LogSink: Send {
    /// Takes the next entry.
    fn entry(&mut self, entry: Entry);
}

/// A log in memory, shared by its clones. It grows without bound: for tests and
/// tools.
#[derive(Clone, Debug, Default)]
pub struct Entries(Arc<Mutex<Vec<Entry>>>);

impl Entries {
    /// All entries so far; the log is empty after it.
    #[must_use]
    pub fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl LogSink for Entries {
    fn entry(&mut self, entry: Entry) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }
}

/// Turns what happens to an engine into entries.
pub(crate) struct Writer {
    sink: Box<dyn LogSink>,
    base: Instant,
}

impl Writer {
    pub(crate) fn start(
        sink: impl LogSink + 'static,
        policy: &Policy,
        state: &State,
        now: Instant,
    ) -> Self {
        let mut writer = Self { sink: Box::new(sink), base: now };
        writer.sink.entry(Entry::Start {
            version: VERSION,
            policy: Box::new(policy.clone()),
            state: Box::new(state.save(now)),
        });
        writer
    }

    pub(crate) fn decided(
        &mut self,
        policy: &Policy,
        signals: &Signals,
        decision: &Decision,
        carried_out: bool,
        now: Instant,
    ) {
        self.sink.entry(Entry::Decided {
            at: offset::from(self.base, now),
            signals: Logged::all(policy, signals, self.base),
            decision: Box::new(decision.clone()),
            carried_out,
        });
    }

    pub(crate) fn observe(&mut self, current: u32) {
        self.sink.entry(Entry::Observe { current });
    }

    pub(crate) fn clock(&mut self, at: Instant, unix: Duration) {
        let at = offset::from(self.base, at);
        self.sink.entry(Entry::Clock { at, unix: nanos(unix) });
    }

    pub(crate) fn started(&mut self, took: Duration) {
        self.sink.entry(Entry::Started { took: nanos(took) });
    }

    pub(crate) fn unsampled(&mut self, state: &State) {
        let names = state.names_unsampled().all().to_vec();
        self.sink.entry(Entry::Unsampled { names });
    }

    pub(crate) fn freeze(&mut self, freeze: Option<&Freeze>) {
        let freeze = freeze.map(|freeze| SavedFreeze::new(freeze, self.base));
        self.sink.entry(Entry::Freeze { freeze });
    }

    pub(crate) fn pin(&mut self, pin: Option<&Pin>) {
        let pin = pin.map(|pin| SavedPin::new(pin, self.base));
        self.sink.entry(Entry::Pin { pin });
    }

    pub(crate) fn policy(&mut self, policy: &Policy) {
        self.sink.entry(Entry::Policy { policy: Box::new(policy.clone()) });
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("base", &self.base).finish_non_exhaustive()
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Of the format. Version 1 had neither names of instances nor what states remember of what
/// instances share and of throughput.
pub(super) const VERSION: u32 = 2;

/// The oldest that is read.
pub(super) const OLDEST: u32 = 1;
