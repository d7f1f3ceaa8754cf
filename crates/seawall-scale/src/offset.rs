//! Instants as nanoseconds from a chosen one: an instant means nothing outside its process.

use std::time::Duration;

use tokio::time::Instant;

/// `at` in nanoseconds after `base`; negative before it. Saturates after 292 years.
pub(crate) fn from(base: Instant, at: Instant) -> i64 {
    match at.checked_duration_since(base) {
        Some(after) => nanos(after),
        None => -nanos(base.saturating_duration_since(at)),
    }
}

/// The instant `offset` nanoseconds after `base`; `base` if the clock has no such instant.
pub(crate) fn to(base: Instant, offset: i64) -> Instant {
    let span = Duration::from_nanos(offset.unsigned_abs());
    let at = if offset < 0 { base.checked_sub(span) } else { base.checked_add(span) };
    at.unwrap_or(base)
}

fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}
