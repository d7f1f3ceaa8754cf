use std::time::Duration;

use tokio::time::Instant;

use super::write::{OLDEST, VERSION};
use super::{Entry, LogError, Logged};
use crate::{Decision, Policy, State, decide, offset};

/// A decision that was made again.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Replayed {
    /// Since the beginning of the log; 0 if before it.
    pub at: Duration,
    /// The policy's group.
    pub group: String,
    /// Instances before.
    pub previous: u32,
    /// What the log says.
    pub recorded: Decision,
    /// What was decided now.
    pub replayed: Decision,
}

impl Replayed {
    /// Whether both are the same, to the bit.
    #[must_use]
    pub fn same(&self) -> bool {
        self.recorded.same(&self.replayed)
    }

    /// What was decided and why, in a sentence; and the other decision, if they
    /// differ.
    #[must_use]
    pub fn tell(&self) -> String {
        let total = self.at.as_secs();
        let (hours, minutes, seconds) = (total / 3600, total / 60 % 60, total % 60);
        let clock = format!("{hours:02}:{minutes:02}:{seconds:02}");
        let told = self.recorded.tell(&self.group, self.previous);
        if self.same() {
            return format!("{clock} {told}");
        }
        let other = self.replayed.tell(&self.group, self.previous);
        format!("{clock} {told} This time: {other}")
    }
}

/// Makes every decision of a log again, each from what the log says of the
/// signals and of what the engine was told; the state follows from the decisions
/// made now.
///
/// # Errors
/// The log does not begin with its start, or is of another version.
pub fn replay(entries: &[Entry]) -> Result<Vec<Replayed>, LogError> {
    run(entries, None)
}

/// The decisions of a log that `candidate` would have made otherwise. It decides
/// from the sizes that the log's policy made, on what it remembers itself.
///
/// # Errors
/// As of [`replay`].
pub fn try_policy(entries: &[Entry], candidate: &Policy) -> Result<Vec<Replayed>, LogError> {
    let mut all = run(entries, Some(candidate))?;
    all.retain(|each| each.recorded.target != each.replayed.target);
    Ok(all)
}

fn run(entries: &[Entry], candidate: Option<&Policy>) -> Result<Vec<Replayed>, LogError> {
    let base = base();
    let mut replayed = Vec::new();
    let mut world: Option<World> = None;
    for (index, entry) in entries.iter().enumerate() {
        if let Entry::Start { version, policy, state } = entry {
            if !(OLDEST..=VERSION).contains(version) {
                return Err(LogError::Version { entry: index, version: *version });
            }
            let (policy, live) = ((**policy).clone(), state.restore(base));
            let shadow = live.under(&policy, candidate.unwrap_or(&policy));
            world = Some(World { policy, shadow, live });
            continue;
        }
        let world = world.as_mut().ok_or(LogError::NoStart)?;
        replayed.extend(world.hear(entry, candidate, base));
    }
    Ok(replayed)
}

/// What a replay knows.
struct World {
    policy: Policy,
    live: State,
    /// What a candidate remembers.
    shadow: State,
}

impl World {
    fn hear(
        &mut self,
        entry: &Entry,
        candidate: Option<&Policy>,
        base: Instant,
    ) -> Option<Replayed> {
        let state = &mut self.live;
        match entry {
            // Heard by the caller.
            Entry::Start { .. } => {}
            Entry::Policy { policy } => {
                state.adopt(&self.policy, policy);
                self.policy = (**policy).clone();
            }
            Entry::Observe { current } => state.observe(*current),
            Entry::Clock { at, unix } => {
                state.set_clock(offset::to(base, *at), Duration::from_nanos(*unix));
            }
            Entry::Started { took } => state.started(Duration::from_nanos(*took)),
            Entry::Unsampled { names } => state.unsampled(names),
            Entry::Freeze { freeze } => {
                state.freeze = freeze.as_ref().map(|freeze| freeze.restore(base));
            }
            Entry::Pin { pin } => state.pin = pin.as_ref().map(|pin| pin.restore(base)),
            Entry::Decided { at, signals, decision, carried_out } => {
                let now = offset::to(base, *at);
                let signals = Logged::restore(signals, base);
                let again = decide(&self.policy, state, &signals, now);
                let answer = candidate.map(|candidate| {
                    self.shadow.follow(state);
                    let answer = decide(candidate, &self.shadow, &signals, now);
                    self.shadow.remember(&answer, now);
                    answer
                });
                let previous = state.current;
                if *carried_out {
                    state.apply(&again, now);
                } else {
                    state.remember(&again, now);
                }
                return Some(Replayed {
                    at: Duration::from_nanos(u64::try_from(*at).unwrap_or(0)),
                    group: self.policy.group.clone(),
                    previous,
                    recorded: (**decision).clone(),
                    replayed: answer.unwrap_or(again),
                });
            }
        }
        None
    }
}

/// Any instant will do, if those before it can be reached too: decisions depend
/// on differences only.
fn base() -> Instant {
    let now = Instant::now();
    now.checked_add(CENTURY).unwrap_or(now)
}

const CENTURY: Duration = Duration::from_secs(100 * 366 * 86_400);
