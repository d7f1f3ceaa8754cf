//! The locks of the parts that are model-checked.
//!
//! `tests/loom_flights.rs` includes those parts with a module of this name and shape that is made
//! of loom's types. Nothing here may be used in a way that loom cannot follow.

pub(crate) use parking_lot::Mutex;
