//! Ready-made policies.

use crate::policy::Policy;
use crate::quota::Quota;

/// All requests of a client: 10 000 per 15 minutes.
pub const ALL: Quota = Quota::known(10_000, 15 * 60);
/// API requests: 5 000 per 15 minutes.
pub const API: Quota = Quota::known(5_000, 15 * 60);
/// Sign-in, sign-up and the like: 100 per 15 minutes.
pub const AUTH: Quota = Quota::known(100, 15 * 60);
/// Bids: 50 per minute.
pub const BIDS: Quota = Quota::known(50, 60);

/// The policies of an auction site, per client: `bids`, `auth`, `api`, `all`,
/// each with its own message.
///
/// ```
/// # use seawall_limit::{Limiter, presets};
/// let limiter = Limiter::builder().policies(presets::auction()).build()?;
/// let bidding = limiter.set(&["bids", "api", "all"])?;
/// # Ok::<(), seawall_limit::Error>(())
/// ```
#[must_use]
pub fn auction() -> [Policy; 4] {
    [
        Policy::new("bids", BIDS)
            .message("Too many bids. Please wait a moment before bidding again."),
        Policy::new("auth", AUTH)
            .message("Too many authentication attempts. Please try again later."),
        Policy::new("api", API).message("Too many API requests. Please slow down."),
        Policy::new("all", ALL)
            .message("Too many requests from this address. Please try again later."),
    ]
}
