//! The parts of the guard, one by one.

mod engine;
mod law;
mod permits;
mod priority;
mod queue;
