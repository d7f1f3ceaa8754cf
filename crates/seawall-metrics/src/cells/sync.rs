//! The atomics and the cell for what is made late that the cells are made of. The loom test puts loom's in their place.

pub(crate) use std::sync::OnceLock;
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
