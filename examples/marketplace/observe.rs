//! Watches the service during the run: once a second, from the inside.

use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use seawall::cache::Stats as CacheStats;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use crate::boot::Market;
use crate::error::Failure;
use crate::load::crowd::{Crowd, Glance};
use crate::load::trace::Shape;
use crate::progress::Step;
use crate::report::{Decided, Tick};
use crate::scaling::Fleet;
use crate::service::App;

/// What was seen.
#[derive(Debug, Default)]
pub struct Watched {
    pub ticks: Vec<Tick>,
    pub decisions: Vec<Decided>,
}

/// A task that looks once a second until it is stopped.
#[derive(Debug)]
pub struct Observer {
    stop: watch::Sender<bool>,
    task: JoinHandle<Watched>,
    step: Step,
}

impl Observer {
    pub fn start(
        market: &Market,
        crowd: &Arc<Crowd>,
        shape: Shape,
        peak: f64,
    ) -> Result<Self, Failure> {
        let step = Step::count(
            "run",
            shape.duration().as_secs(),
            "{msg} [{bar:40}] {pos}/{len} s  {prefix}",
        );
        let (stop, stopped) = watch::channel(false);
        let watcher = Watcher {
            app: market.app().clone(),
            resources: market.resources().clone(),
            crowd: Arc::clone(crowd),
            fleet: Fleet::new(peak, shape.compression())?,
            bar: step.bar().clone(),
            peak,
            shape,
        };
        Ok(Self { stop, task: tokio::spawn(watcher.run(stopped)), step })
    }

    /// Ends the watch and hands over what was seen.
    pub async fn stop(self) -> Watched {
        // The task is gone only if it panicked; then there is nothing to stop.
        let _ = self.stop.send(true);
        let watched = self.task.await.unwrap_or_default();
        self.step.done(&format!("{} seconds watched", watched.ticks.len()));
        watched
    }
}

struct Watcher {
    app: App,
    resources: seawall::metrics::Resources,
    crowd: Arc<Crowd>,
    fleet: Fleet,
    bar: ProgressBar,
    peak: f64,
    shape: Shape,
}

impl Watcher {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) -> Watched {
        let mut watched = Watched::default();
        let start = Instant::now();
        let mut second = tokio::time::interval_at(start + SECOND, SECOND);
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = self.look(start);
        loop {
            let over = tokio::select! {
                _ = second.tick() => false,
                _ = stopped.changed() => true,
            };
            let look = self.look(Instant::now());
            if over && look.at - last.at < SECOND / 2 {
                // Too short for a point of its own in a plot, but part of the totals.
                if let Some(tick) = watched.ticks.last_mut() {
                    tick.add(&grown(&look, &last));
                }
                return watched;
            }
            self.compare(&look, &last, start, &mut watched);
            if over {
                return watched;
            }
            last = look;
        }
    }

    fn look(&self, at: Instant) -> Look {
        let (cache, reads) = (self.cache(), self.reads());
        Look { at, cache, reads, seen: self.crowd.glance() }
    }

    fn compare(&mut self, now: &Look, then: &Look, start: Instant, watched: &mut Watched) {
        let at = (now.at - start).as_secs_f64();
        let elapsed = (now.at - then.at).as_secs_f64().max(1e-3);
        let requests = now.seen.requests.saturating_sub(then.seen.requests) as f64 / elapsed;
        let cpu = self.resources.cpu_ratio().unwrap_or(f64::NAN);
        let running = at <= self.shape.duration().as_secs_f64() + 0.5;
        // After the trace the last answers trickle in; that is no load to size a fleet by.
        if running && let Some(decided) = self.fleet.decide(&self.app, requests, now.at) {
            watched.decisions.push(Decided { second: at.round() as u64, ..decided });
        }
        watched.ticks.push(Tick {
            offered: if running { self.peak * self.shape.at(at - elapsed / 2.0) } else { f64::NAN },
            cpu,
            instances: self.fleet.instances(),
            ..grown(now, then)
        });
        self.bar.set_position(at as u64);
        self.bar.set_prefix(format!(
            "{requests:.0}/s, cpu {:.0} %, {} errors, {} stale, {} instances wanted",
            cpu * 100.0,
            now.seen.errors,
            now.seen.stale,
            self.fleet.instances()
        ));
    }

    /// L1 hits, L2 hits and misses of all caches.
    fn cache(&self) -> (u64, u64, u64) {
        let caches = &self.app.caches;
        let all: [CacheStats; 4] = [
            caches.auctions.stats(),
            caches.names.stats(),
            caches.pages.stats(),
            caches.top.stats(),
        ];
        all.iter().fold((0, 0, 0), |(l1, l2, miss), stats| {
            (l1 + stats.l1_hits, l2 + stats.l2_hits, miss + stats.misses)
        })
    }

    fn reads(&self) -> Vec<u64> {
        self.app.pool.status().nodes.iter().map(|node| node.served.reads).collect()
    }
}

/// By how much the counters grew.
fn grown(now: &Look, then: &Look) -> Tick {
    let by = |now: u64, then: u64| now.saturating_sub(then);
    Tick {
        reads: now.reads.iter().zip(&then.reads).map(|(&now, &then)| by(now, then)).collect(),
        l1_hits: by(now.cache.0, then.cache.0),
        l2_hits: by(now.cache.1, then.cache.1),
        misses: by(now.cache.2, then.cache.2),
        ..Tick::default()
    }
}

/// The counters at one moment.
struct Look {
    at: Instant,
    cache: (u64, u64, u64),
    reads: Vec<u64>,
    seen: Glance,
}

const SECOND: Duration = Duration::from_secs(1);
