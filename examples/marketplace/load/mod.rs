//! The load: an open model of many users, and a check of what they are told.

pub mod calibrate;
pub mod client;
pub mod crowd;
pub mod driver;
pub mod oracle;
pub mod schedule;
pub mod stats;
pub mod trace;
pub mod wish;
