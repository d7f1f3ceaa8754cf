use std::fmt;
use std::sync::Arc;

use metrics::{Gauge, Unit, describe_gauge, gauge};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::core::Belief;
use super::{LeaseConfig, LeaseError, LeaseStore};
use crate::ConfigError;

/// Takes a lease, keeps it, and says whether it is held. Dropping it ends the renewals, so that the
/// lease expires; [`shutdown`](Self::shutdown) gives it back at once.
pub struct Elector {
    store: Arc<dyn LeaseStore>,
    config: LeaseConfig,
    belief: watch::Receiver<Belief>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Elector {
    /// Begins to ask for the lease; `name` is for metrics and logs. Must be called within a Tokio
    /// runtime.
    ///
    /// # Errors
    /// The configuration does not validate.
    pub fn spawn(
        name: &str,
        store: impl LeaseStore + 'static,
        config: LeaseConfig,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        describe_gauge!(LEADER, Unit::Count, "1 while this process holds the lease, else 0.");
        let store: Arc<dyn LeaseStore> = Arc::new(store);
        let (tell, belief) = watch::channel(Belief::default());
        let (stop, stopped) = watch::channel(false);
        let renewal = Renewal {
            store: Arc::clone(&store),
            config: config.clone(),
            tell,
            leader: gauge!(LEADER, "lease" => name.to_owned()),
            name: name.to_owned(),
            led: false,
            failing: false,
        };
        let task = tokio::spawn(renewal.run(stopped));
        Ok(Self { store, config, belief, stop, task })
    }

    /// The number of the term, if this one leads now. No IO: one clock read.
    #[must_use]
    pub fn leads(&self) -> Option<u64> {
        self.belief.borrow().leads(Instant::now())
    }

    /// Asks the store whether the lease is held in that term. `false` also if it has ended while
    /// the store was asked. Cancel safe.
    ///
    /// # Errors
    /// The store could not be asked within a quarter of the lease.
    pub async fn confirm(&self, term: u64) -> Result<bool, LeaseError> {
        let after = self.config.ttl / 4;
        let held = timeout(after, self.store.holds(term)).await;
        let held = held.unwrap_or(Err(LeaseError::Timeout { after }))?;
        Ok(held && self.leads() == Some(term))
    }

    /// Waits until this one leads; the number of the term. `None` if the elector is at its end.
    /// Cancel safe.
    pub async fn elected(&self) -> Option<u64> {
        let mut belief = self.belief.clone();
        loop {
            let seen = *belief.borrow_and_update();
            // An election that ended before this task ran is none.
            if let Some(term) = seen.leads(Instant::now()) {
                return Some(term);
            }
            belief.changed().await.ok()?;
        }
    }

    /// Gives the lease back. Takes at most half of the lease; if it fails, the lease expires.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        // A task that panicked is gone as well.
        let _gone = (&mut self.task).await;
    }
}

struct Renewal {
    store: Arc<dyn LeaseStore>,
    config: LeaseConfig,
    tell: watch::Sender<Belief>,
    leader: Gauge,
    name: String,
    led: bool,
    failing: bool,
}

impl Renewal {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let quarter = self.config.ttl / 4;
        loop {
            let asked_at = Instant::now();
            match timeout(quarter, self.store.take(self.config.ttl)).await {
                Ok(Ok(term)) => {
                    self.failing = false;
                    let belief = Belief::answered(term, asked_at, self.config.ttl);
                    self.tell.send_replace(belief);
                }
                Ok(Err(error)) => self.failed(&error),
                Err(_) => self.failed(&LeaseError::Timeout { after: quarter }),
            }
            self.note();
            let ends = self.tell.borrow().until();
            let asks = asked_at + quarter;
            tokio::select! {
                () = sleep(asks.saturating_duration_since(Instant::now())) => {}
                // The end of a belief is told when it comes, not at the next renewal.
                () = until(ends, asks) => self.note(),
                _ = stopped.wait_for(|stop| *stop) => break,
            }
        }
        self.tell.send_replace(Belief::default());
        self.note();
        // It expires by itself otherwise.
        let _given = timeout(quarter, self.store.release()).await;
    }

    fn failed(&mut self, error: &LeaseError) {
        if !std::mem::replace(&mut self.failing, true) {
            let source = std::error::Error::source(error).map(tracing::field::display);
            tracing::warn!(lease = self.name, %error, source, "the lease cannot be renewed");
        }
    }

    fn note(&mut self) {
        let term = self.tell.borrow().leads(Instant::now());
        let leads = term.is_some();
        self.leader.set(f64::from(u8::from(leads)));
        if leads != std::mem::replace(&mut self.led, leads) {
            let lease = &self.name;
            if leads {
                tracing::info!(lease, term, "this engine leads");
            } else {
                tracing::warn!(lease, "this engine does not lead any more");
            }
        }
    }
}

/// When a belief ends, if that is before `asks`.
async fn until(ends: Option<Instant>, asks: Instant) {
    match ends {
        Some(ends) if ends < asks && ends > Instant::now() => tokio::time::sleep_until(ends).await,
        _ => std::future::pending().await,
    }
}

impl Drop for Elector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Elector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elector").field("leads", &self.leads()).finish_non_exhaustive()
    }
}

const LEADER: &str = "seawall_scale_leader";
