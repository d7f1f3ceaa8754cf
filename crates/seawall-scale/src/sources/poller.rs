use std::collections::BTreeMap;
use std::fmt;
use std::hash::RandomState;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::Gauge;
use seawall_signal::{Signals, Source, Unit};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::{PollConfig, Probe, Reading, SourceError, telemetry};
use crate::ConfigError;
use crate::actuate::{Backoff, jitter};

/// Asks probes in the background and keeps what they last said. Dropping it ends its tasks.
#[derive(Debug)]
pub struct Poller {
    kept: Arc<Mutex<Kept>>,
    probes: Vec<Task>,
    random: RandomState,
}

#[derive(Debug, Default)]
struct Kept {
    samples: BTreeMap<Box<str>, Value>,
}

struct Value {
    value: f64,
    unit: Unit,
    at: Instant,
    age: Gauge,
}

#[derive(Debug)]
struct Task {
    name: Box<str>,
    status: watch::Receiver<ProbeStatus>,
    task: AbortHandle,
}

/// How a probe does.
#[derive(Clone, Debug, Default)]
pub struct ProbeStatus {
    /// When it was last asked with success.
    pub read_at: Option<Instant>,
    /// How often in a row it failed.
    pub failures: u32,
    /// Why, if the last time failed.
    pub error: Option<Arc<SourceError>>,
}

impl ProbeStatus {
    fn tried(&self) -> bool {
        self.read_at.is_some() || self.failures > 0
    }
}

impl Default for Poller {
    fn default() -> Self {
        Self::new()
    }
}

impl Poller {
    /// Without probes.
    #[must_use]
    pub fn new() -> Self {
        telemetry::describe();
        Self { kept: Arc::default(), probes: Vec::new(), random: RandomState::new() }
    }

    /// Begins to ask a probe. Must be called within a Tokio runtime. Of two probes that read the
    /// same signal, the younger sample wins.
    ///
    /// # Errors
    /// The configuration does not validate; then nothing is begun.
    pub fn add(
        &mut self,
        probe: impl Probe + 'static,
        config: PollConfig,
    ) -> Result<(), ConfigError> {
        config.validate()?;
        let (report, status) = watch::channel(ProbeStatus::default());
        let name = Box::from(probe.name());
        let kept = Arc::clone(&self.kept);
        let task = tokio::spawn(poll(probe, config, kept, report, self.random.clone()));
        self.probes.push(Task { name, status, task: task.abort_handle() });
        Ok(())
    }

    /// Each probe's name and how it does, in the order in which they were added.
    #[must_use]
    pub fn status(&self) -> impl ExactSizeIterator<Item = (&str, ProbeStatus)> {
        self.probes.iter().map(|task| (&*task.name, task.status.borrow().clone()))
    }

    /// Waits until each probe has been asked once, with or without success: before that a missing
    /// signal says nothing. At most an interval and a deadline of each. Cancel safe.
    pub async fn settled(&self) {
        for task in &self.probes {
            // A task that is gone has nothing more to say.
            let _gone = task.status.clone().wait_for(ProbeStatus::tried).await.is_err();
        }
    }
}

/// Takes a short lock; no allocation for signals that `signals` knows.
impl Source for Poller {
    fn feed(&self, signals: &mut Signals, now: Instant) {
        for (name, kept) in &lock(&self.kept).samples {
            kept.age.set(now.saturating_duration_since(kept.at).as_secs_f64());
            signals.set(name, kept.value, kept.unit, kept.at);
        }
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.probes.iter().for_each(|task| task.task.abort());
    }
}

async fn poll(
    probe: impl Probe,
    config: PollConfig,
    kept: Arc<Mutex<Kept>>,
    report: watch::Sender<ProbeStatus>,
    random: RandomState,
) {
    let mut backoff = Backoff::new(config.interval, config.backoff_max);
    let mut turn = 0;
    sleep(jitter(&random, turn, config.interval.min(FIRST_WITHIN))).await;
    loop {
        let asked_at = Instant::now();
        let answer = timeout(config.deadline, probe.read()).await;
        let answer = answer.unwrap_or(Err(SourceError::Timeout { after: config.deadline }));
        let pause = match answer {
            Ok(readings) => {
                lock(&kept).keep(readings, asked_at);
                telemetry::read(probe.name(), "ok");
                if backoff.failures() > 0 {
                    tracing::info!(probe = probe.name(), "the source answers again");
                }
                backoff.reset();
                report.send_replace(ProbeStatus { read_at: Some(asked_at), ..Default::default() });
                (asked_at + config.interval).saturating_duration_since(Instant::now())
            }
            Err(error) => {
                telemetry::read(probe.name(), error.name());
                if backoff.failures() == 0 {
                    let source = std::error::Error::source(&error).map(tracing::field::display);
                    tracing::warn!(probe = probe.name(), %error, source, "a source fails");
                }
                let pause = backoff.fail();
                let error = Some(Arc::new(error));
                report.send_modify(|status| {
                    status.failures = backoff.failures();
                    status.error = error;
                });
                pause
            }
        };
        turn += 1;
        let most = pause * u32::from(config.jitter_percent) / 100;
        sleep(pause - jitter(&random, turn, most)).await;
    }
}

impl Kept {
    fn keep(&mut self, readings: Vec<Reading>, asked_at: Instant) {
        for Reading { signal, value, unit, age } in readings {
            // A process that started after the world was so cannot say when that was.
            let at = asked_at.checked_sub(age);
            let Some(at) = at.filter(|_| value.is_finite()) else { continue };
            match self.samples.get_mut(&signal) {
                Some(kept) if kept.at > at => {}
                Some(kept) => (kept.value, kept.unit, kept.at) = (value, unit, at),
                None => {
                    let age = telemetry::age(&signal);
                    self.samples.insert(signal, Value { value, unit, at, age });
                }
            }
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").field("value", &self.value).field("at", &self.at).finish()
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An engine that waits for its first numbers should not wait for a long interval.
const FIRST_WITHIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
