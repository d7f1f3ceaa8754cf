//! The storage a handle writes to. Each type is fixed in size, shared by all
//! holders of a handle through one `Arc`, and written without a lock: a writer
//! never waits for a reader. A thread that writes often has a part of its own
//! and writes there without locked instructions.

mod counter;
mod float;
mod gauge;
mod histogram;
mod layout;
mod numbers;
mod pages;
mod per_thread;
mod sparse;
mod stripe;
mod sync;

pub(crate) use counter::{CounterCell, Shared};
pub(crate) use gauge::GaugeCell;
pub(crate) use histogram::{HistogramCell, Rejects, WindowSum};
pub(crate) use layout::{Layout, MAX_BOUNDS, RELATIVE_ERROR};
#[cfg(feature = "tower")]
pub(crate) use numbers::{stripe as slot, stripe_count};
pub(crate) use sparse::Sparse;
