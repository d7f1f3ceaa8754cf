//! A recorder behind the `metrics` facade, with exact Prometheus exposition, windowed percentiles and a layer that counts every request once.
//!
//! ```
//! use std::time::Duration;
//! use seawall_metrics::Recorder;
//!
//! # fn main() -> Result<(), seawall_metrics::Error> {
//! let metrics = Recorder::builder()
//!     .buckets("payment_duration_seconds", &[0.1, 0.5, 1.0, 5.0])
//!     .install()?; // the global recorder from here on
//!
//! // Anywhere, in any crate that uses the facade:
//! metrics::counter!("payments_total", "method" => "card").increment(1);
//! metrics::histogram!("payment_duration_seconds").record(0.24);
//!
//! let last_minute = metrics.window("payment_duration_seconds", &[], Duration::from_secs(60));
//! assert_eq!(last_minute.count, 1);
//! assert!((last_minute.p99 - 0.24).abs() < 0.24 * last_minute.relative_error);
//!
//! let text = metrics.render();
//! assert!(text.contains("payments_total{method=\"card\"} 1\n"));
//! assert!(text.contains("payment_duration_seconds_bucket{le=\"0.5\"} 1\n"));
//! # Ok(())
//! # }
//! ```
//!
//! # When to use it, and when not
//! Use it in a service that Prometheus scrapes and that also wants its own
//! recent percentiles: for load shedding, scaling, a status page, a load test.
//! Do not use it to keep history (a window is at most [`MAX_WINDOW`]), nor
//! where quantiles must be closer than 1.6 % (`FullRange`, feature `hdr`).
//!
//! Everything goes through the facade: who stays with another exporter, such as
//! `metrics-exporter-prometheus`, installs that one and has the request layer,
//! web vitals, resources and active users all the same. Windows, `/metrics` and
//! OTLP are this recorder's. Both at once: `metrics-util`'s fan-out.
//!
//! # How it works
//! A histogram is an array of log-linear cells, 32 to each power of two, cut
//! further at the bucket bounds of the metric. One increment of one cell serves
//! windows and exposition alike. **Cells are only ever added to**: a window is the
//! difference of two readings, so no rotation, scrape or ending thread can lose a
//! value, and memory does not depend on how often values come, nor on anyone
//! scraping.
//!
//! The first thread that records a series owns its word (a histogram: its
//! cells) and writes there without locked instructions; others share a second
//! one. When those have come 64 times, the series gets a part for each thread
//! (a counter 1 KiB for up to eight threads, a histogram 0.4 KiB for each that
//! records), and threads no longer fight for a cache line.
//! Parts belong to numbers that threads hold while they live, at most 256 at a
//! time: nothing has to be collected when a thread ends. A look-up through a
//! macro is answered from a table of the thread's own, of at most 4096 keys
//! that it looked up twice, else from an index that keeps no copies of keys.
//!
//! A metric that has more than [`Config::max_series`] label sets folds the label
//! with the most values to `_overflow`. Totals stay exact. Once it has been
//! full, it lets new label sets in by how often they are looked up, into the
//! places of series that were idle for [`Config::idle_timeout`].
//!
//! Once a second a tick stores what each series gained. A window adds up the
//! ticks inside it: one second apart up to 10 s, five seconds apart beyond.
//! Ticks come from a task spawned by [`RecorderBuilder::install`], from
//! [`Handle::run`], or lazily from whoever reads a window.
//!
//! # Consistency
//! - The count of a histogram *is* the sum of its buckets; every scrape adds up,
//!   and no count ever falls.
//! - The sum may be ahead of the count by the values being recorded at the
//!   moment of the scrape.
//! - Two scrapes with no change between them are equal byte for byte. The names
//!   and bounds of series do not depend on the format.
//! - A scrape that comes while another one is being rendered gets its answer.
//! - A series that is removed because it was idle is gone from the exposition
//!   with its total; it is never removed while somebody keeps its handle. Only
//!   ticks remove series: without [`Handle::run`] (or `install` in a runtime)
//!   and without readers of windows none ever is.
//! - A window covers at least the time asked for ([`Window::span`] says how
//!   much), and a window without values is NaN, never zero.
//! - NaN, infinite (or beyond 1e280) values, and negative ones of metrics
//!   ending in `_seconds`, are not recorded but counted in
//!   `seawall_metrics_rejected_total`.
//!
//! # Names
//! Characters that Prometheus refuses become `_`. If the name is then taken by
//! another metric, the later one is exposed under its escaped name
//! (`U__a_2E_b` for `a.b`). One name used for two kinds, and a name that would
//! collide with the `_bucket`, `_sum` or `_count` of a histogram, is refused:
//! the later one records nothing. Both are counted in
//! `seawall_metrics_conflicts_total` and logged once (of refused names the
//! first thousand). A gauge whose name ends in `_total` is exposed as a counter; that is how fractional counters pass
//! through the facade, whose counters are whole numbers.
//!
//! # Cancel safety
//! [`Handle::run`] may be dropped at any time. The futures and bodies of the
//! RED layer count what became of the request when they are dropped. A scrape
//! may be dropped; its render goes on and answers who asks meanwhile. A `Listener`
//! and a push to a collector end at once when dropped, and in order by `shutdown`.
//! Nothing may be recorded from a signal handler. A global allocator may count
//! in a counter whose handle it keeps, not in a histogram.
//!
//! # Cost
//! Recording through a handle that is kept: no lock, no clock read, and no
//! allocation but for the first value of a thread in a range (16 cells, half a
//! power of two, for the first thread; else 64). Through a macro: a look-up in the thread's own table, and
//! the uncontended counting of a handle made and dropped. `docs/benches.md` has
//! figures. Memory: some 230 bytes per counter and 430 per histogram, with a
//! short label; for a histogram 144 more per range in use and per eight powers of
//! two in use, and for each thread with a part of its own 0.4 KiB and 0.5 KiB per
//! range. While a series is active its
//! windows take at most 80 slots of 16 bytes (counter) or of 10 bytes per cell
//! in use (histogram); an idle one has no slots. A tick costs some tens of
//! nanoseconds per idle series.
//!
//! # Features
//! | feature | what | default |
//! |---|---|---|
//! | `tower` | `RedLayer`, `MetricsService`, `VitalsService` | yes |
//! | `protobuf` | [`Format`]`::Protobuf`, with native histograms | no |
//! | `gzip` | compressed answers of `MetricsService` | no |
//! | `listener` | `Listener`: a small server for `/metrics` with an allow list | no |
//! | `otlp` | `Handle::push_otlp`: pushes to an OpenTelemetry collector | no |
//! | `hdr` | `FullRange`: every value of a load test, to three digits | no |
//! | `resources` | samples of host, process, control group and runtime | no |
//! | `serde` | settings from configuration files; a [`Window`] as JSON | no |

mod active;
mod alias;
mod cells;
mod config;
mod error;
mod expose;
mod feed;
#[cfg(feature = "hdr")]
mod full_range;
mod handle;
mod recorder;
mod registry;
mod snapshot;
mod window;

#[cfg(feature = "tower")]
mod red;
#[cfg(feature = "tower")]
mod scrape;
#[cfg(feature = "tower")]
mod vitals;

#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "resources")]
mod resources;

pub use active::{Active, ActiveConfig, Sketch};
pub use alias::{Alias, Aliases};
pub use config::{BYTES, Config, SECONDS};
pub use error::Error;
pub use expose::{CONTENT_TYPE, Format};
#[cfg(feature = "hdr")]
pub use full_range::FullRange;
pub use handle::Handle;
#[cfg(feature = "otlp")]
pub use otlp::{OtlpConfig, OtlpPush};
pub use recorder::{Recorder, RecorderBuilder};
pub use registry::Kind;
pub use snapshot::{
    HistogramSnapshot, MetricSnapshot, SeriesInfo, SeriesSnapshot, Snapshot, Value,
};
pub use window::{MAX_WINDOW, Window};

#[cfg(feature = "tower")]
pub use red::{Red, RedBody, RedFuture, RedLayer};
#[cfg(feature = "resources")]
pub use resources::{
    CgroupSample, DiskSample, PressureSample, ProcessSample, ResourceSample, Resources,
    ResourcesConfig, RuntimeSample, Sampler, Stall, SystemSample,
};
#[cfg(feature = "listener")]
pub use scrape::{Listener, ListenerConfig};
#[cfg(feature = "tower")]
pub use scrape::{MetricsService, ScrapeFuture};
#[cfg(feature = "tower")]
pub use vitals::{VITALS_SCRIPT, VitalsConfig, VitalsService};

#[cfg(all(doctest, feature = "tower", feature = "resources", feature = "listener"))]
#[doc = include_str!("../README.md")]
struct Readme;
