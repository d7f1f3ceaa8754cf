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
use crate::load::crowd::Crowd;
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
        second.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut cache, mut reads, mut done) = (self.cache(), self.reads(), 0);
        loop {
            tokio::select! {
                _ = second.tick() => {}
                _ = stopped.changed() => return watched,
            }
            let now = Instant::now();
            let at = (now - start).as_secs_f64();
            if at > self.shape.duration().as_secs_f64() + 1.0 {
                // The last answers are still coming; the trace is over.
                continue;
            }
            let (cache_now, reads_now) = (self.cache(), self.reads());
            let (done_now, errors, stale) = self.crowd.glance();
            let rate = done_now.saturating_sub(done);
            let cpu = self.resources.cpu_ratio().unwrap_or(f64::NAN);
            let decided = self.fleet.decide(&self.app, rate as f64, cpu, now);
            if let Some(decision) = decided {
                watched.decisions.push(Decided { second: at.round() as u64, ..decision });
            }
            watched.ticks.push(Tick {
                offered: self.peak * self.shape.at(at - 0.5),
                reads: reads_now
                    .iter()
                    .zip(&reads)
                    .map(|(now, then)| now.saturating_sub(*then))
                    .collect(),
                l1_hits: cache_now.0.saturating_sub(cache.0),
                l2_hits: cache_now.1.saturating_sub(cache.1),
                misses: cache_now.2.saturating_sub(cache.2),
                cpu,
                instances: self.fleet.instances(),
            });
            self.bar.set_position(at as u64);
            self.bar.set_prefix(format!(
                "{rate}/s, cpu {:.0} %, {errors} errors, {stale} stale, {} instances wanted",
                cpu * 100.0,
                self.fleet.instances()
            ));
            (cache, reads, done) = (cache_now, reads_now, done_now);
        }
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

const SECOND: Duration = Duration::from_secs(1);
