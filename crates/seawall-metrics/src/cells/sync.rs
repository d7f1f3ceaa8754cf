//! The atomics and the cells for what is made late that the cells are made of. The loom test puts loom's in their place.

pub(crate) use std::sync::OnceLock;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};

/// One word, read with one load: what hot paths go through is kept in these.
/// Two threads may make the value at once; one of the two is dropped unused.
pub(crate) use once_cell::race::OnceBox;
