//! The storage a handle writes to. Each type is fixed in size, shared by all
//! holders of a handle through one `Arc`, and written with relaxed or
//! sequentially consistent read-modify-write instructions only: a writer never
//! takes a lock and never waits for a reader.

mod counter;
mod gauge;
mod histogram;
mod layout;
mod sparse;
mod stripe;

pub(crate) use counter::CounterCell;
pub(crate) use gauge::GaugeCell;
pub(crate) use histogram::{HistogramCell, Rejects, WindowSum};
pub(crate) use layout::{Layout, MAX_BOUNDS, RELATIVE_ERROR};
pub(crate) use sparse::Sparse;
pub(crate) use stripe::{count as stripe_count, slot};
