//! The limits of a ledger, and what borrowers are sorted by.

use std::time::Duration;

/// What a connection is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Somebody waits for the answer.
    Interactive,
    /// Heavy reads, of which only some may run at a time.
    Analytics,
}

/// The limits in force.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// The most connections, those being opened included.
    pub(crate) max: usize,
    /// Connections to keep, busy or not.
    pub(crate) min: usize,
    /// The most connections lent to [`Class::Analytics`] at a time.
    pub(crate) analytics: usize,
    /// The most waiters of a class.
    pub(crate) waiting: usize,
    /// The most connections being opened at a time.
    pub(crate) connecting: usize,
    /// How often a connection is lent.
    pub(crate) uses: u64,
    /// Unused for this long, one that is not among `min` is closed.
    pub(crate) idle: Duration,
    /// The longest a connection is kept.
    pub(crate) lifetime: Duration,
    /// The share of the lifetime, 0 to 1, over which ends are spread.
    pub(crate) jitter: f64,
    /// Unused for this long, a connection is to be looked at before use.
    pub(crate) stale: Duration,
    /// A borrow longer than this is reported.
    pub(crate) leak: Duration,
}

impl Limits {
    /// The lifetime of the `number`th connection. Consecutive ones are spread
    /// evenly (a Weyl sequence), so that those opened together do not end together.
    pub(super) fn lifetime_of(&self, number: u64) -> Duration {
        let turn = number.wrapping_mul(GOLDEN_RATIO) >> 32;
        #[expect(clippy::cast_precision_loss, reason = "32 bits fit")]
        let turn = turn as f64 / f64::from(u32::MAX);
        self.lifetime.mul_f64(1.0 - self.jitter * turn)
    }
}

/// 2^64 divided by the golden ratio, rounded to odd.
const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;
