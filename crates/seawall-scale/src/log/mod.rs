//! The log of decisions: all that went into each of them, so that it can be made again.
//!
//! A log is a list of [`Entry`]s: the policy and the state it began with, what an engine was told,
//! and each decision with the signals it was made of. Instants are nanoseconds from the beginning
//! of the log. As a file it is JSON, one entry a line: write with [`JsonLines`], read with [`read`].
//!
//! [`replay`] makes every decision again and says whether it is the same, to the bit;
//! [`try_policy`] says where another policy would have decided otherwise.
//!
//! ```
//! use seawall_scale::{Engine, log, presets};
//! use seawall_signal::{Signals, Unit};
//! use tokio::time::Instant;
//!
//! let now = Instant::now();
//! let entries = log::Entries::default();
//! let mut engine = Engine::new(presets::ticket_desk(), 3)?;
//! engine.log_to(entries.clone(), now);
//!
//! let mut signals = Signals::new();
//! signals.set("cpu_usage", 0.91, Unit::Ratio, now);
//! let _ = engine.tick(&signals, now);
//!
//! for replayed in log::replay(&entries.take())? {
//!     assert!(replayed.same());
//!     println!("{}", replayed.tell());
//! }
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is not in it
//! Signals that the policy does not read. A [`Planner`](crate::capacity::Planner) or another
//! forecaster: what it foresaw is in the log as the signal that it published.

mod entry;
mod file;
mod replay;
mod write;

pub use crate::state::{SavedFreeze, SavedPin};
pub use entry::{Entry, Logged};
pub use file::{JsonLines, LogError, read};
pub use replay::{Replayed, replay, try_policy};
pub(crate) use write::Writer;
pub use write::{Entries, LogSink};

#[cfg(test)]
mod tests;
