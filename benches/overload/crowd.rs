//! Clients that come at random, whatever the service does, and want an answer in time.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Request, StatusCode};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rand_distr::{Distribution as _, Poisson};
use seawall_limit::Criticality;
use tokio::time::{Instant, MissedTickBehavior};
use tower::Service;

use crate::Body;

/// What a client waits for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(1);
const USERS: u64 = 1_000;

/// What became of the requests that came while this was noted.
#[derive(Default)]
pub(crate) struct Notes {
    in_time: AtomicU64,
    critical: AtomicU64,
    critical_in_time: AtomicU64,
    /// In seconds, of what was answered, late or not.
    latencies: Mutex<Vec<f64>>,
    /// What a call took that turned its request away at once, in nanoseconds.
    refusals: Mutex<Vec<f64>>,
}

impl Notes {
    /// Answers in time.
    pub(crate) fn in_time(&self) -> u64 {
        self.in_time.load(Ordering::Relaxed)
    }

    /// The share of the critical requests that were answered in time.
    pub(crate) fn critical(&self) -> f64 {
        let answered = self.critical_in_time.load(Ordering::Relaxed) as f64;
        answered / self.critical.load(Ordering::Relaxed) as f64
    }

    pub(crate) fn p99(&self) -> f64 {
        percentile(&mut self.latencies.lock(), 0.99)
    }

    /// The median of what a refusal took, and its p99.
    pub(crate) fn refusals(&self) -> (f64, f64) {
        let mut refusals = self.refusals.lock();
        (percentile(&mut refusals, 0.5), percentile(&mut refusals, 0.99))
    }
}

fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len().saturating_sub(1) as f64 * share) as usize;
    values.get(place).copied().unwrap_or(f64::NAN)
}

/// A guard with the service behind it.
pub(crate) trait Door: Send {
    /// A request that comes now. It is on its way when this returns.
    fn ask(&self, request: Request<Body>, critical: bool, notes: &Arc<Notes>);
}

/// Any tower service is one: an error, or a status that is not 200, turns the request away.
pub(crate) struct Through<S>(pub(crate) S);

impl<S, B, E> Door for Through<S>
where
    S: Service<Request<Body>, Response = http::Response<B>, Error = E> + Clone + Send,
    S::Future: Send + 'static,
    B: Send + 'static,
    E: Send + 'static,
{
    fn ask(&self, request: Request<Body>, critical: bool, notes: &Arc<Notes>) {
        let start = Instant::now();
        let mut service = self.0.clone();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        // All guards here are ready at once, or say by an error that they are not.
        let _ = service.poll_ready(&mut context);
        let mut call: Pin<Box<S::Future>> = Box::pin(service.call(request));
        // The service itself never answers at once.
        if call.as_mut().poll(&mut context).is_ready() {
            notes.refusals.lock().push(start.elapsed().as_nanos() as f64);
            return;
        }
        let notes = Arc::clone(notes);
        tokio::spawn(async move {
            // Polled anew, so that it wakes this task.
            let mut call = pin!(call);
            let served = match poll_fn(|cx| call.as_mut().poll(cx)).await {
                Ok(response) => response.status() == StatusCode::OK,
                Err(_) => false,
            };
            if served {
                answered(&notes, start.elapsed(), critical);
            }
        });
    }
}

fn answered(notes: &Notes, took: Duration, critical: bool) {
    notes.latencies.lock().push(took.as_secs_f64());
    if took <= PATIENCE {
        notes.in_time.fetch_add(1, Ordering::Relaxed);
        if critical {
            notes.critical_in_time.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Sends so many requests a second, noted in one after the other of the phases.
pub(crate) async fn send(
    door: Box<dyn Door>,
    rate: f64,
    phases: Vec<(Duration, Arc<Notes>)>,
    seed: u64,
) {
    let mut random = StdRng::seed_from_u64(seed);
    let arrivals = Poisson::new(rate * TICK.as_secs_f64()).ok();
    let mut ticks = tokio::time::interval(TICK);
    // A tick that is late is made up for: the load does not depend on how things go.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut until = Instant::now();
    for (length, notes) in phases {
        until += length;
        while ticks.tick().await < until {
            let count = arrivals.map_or(0.0, |arrivals| arrivals.sample(&mut random)) as u64;
            for _ in 0..count {
                let criticality = class(random.random_range(0..100));
                let user = random.random_range(0..USERS);
                let critical = criticality == Criticality::CriticalPlus;
                notes.critical.fetch_add(critical.into(), Ordering::Relaxed);
                let mut request = Request::new(Body::new());
                request.extensions_mut().insert((criticality, user));
                door.ask(request, critical, &notes);
            }
        }
    }
}

/// As in a shop: few pay, most look, some are robots.
fn class(hundredth: u32) -> Criticality {
    match hundredth {
        0..5 => Criticality::CriticalPlus,
        5..15 => Criticality::Critical,
        15..75 => Criticality::SheddablePlus,
        _ => Criticality::Sheddable,
    }
}
