//! Web vitals from the browsers of real users.
//!
//! `mod.rs` names the metrics, `beacon.rs` reads what a browser posts,
//! `guard.rs` decides who may post, `service.rs` joins them.

mod beacon;
mod config;
mod guard;
mod service;
mod vital;

pub use config::VitalsConfig;
pub use service::VitalsService;

/// The script that measures and posts, at most 1 kB; served by a GET of
/// [`VitalsService`]. Include it as the first script of a page:
/// `<script src="/vitals"></script>`. It posts once, when the page is first
/// hidden, to the address it came from.
///
/// A page that was opened in the background has no LCP and no FCP: they would be
/// the time until somebody looked at it. INP is that of interactions of 40 ms
/// and more: the worst, but for one in each fifty of these. A page with none has
/// no INP.
pub const VITALS_SCRIPT: &str = include_str!("script.js");

#[cfg(test)]
mod tests;
