//! The parts of the guard, one by one.

mod law;
mod permits;
mod priority;
mod queue;
