//! The lock, in one place: `tests/loom_table.rs` puts loom's here.

pub(crate) use parking_lot::{Mutex, MutexGuard};
