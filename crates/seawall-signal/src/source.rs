use std::sync::Arc;

use tokio::time::Instant;

use crate::Signals;

/// Something that knows signals: a metrics recorder, a pool, a test.
///
/// `feed` writes what it knows into `signals` and returns at once; it does no
/// IO. Samples are stamped with the time they describe, at most `now`: a later
/// stamp counts as missing. A source that has nothing fresh leaves the old
/// sample in place, and its age tells.
///
/// Windowed values go under their canonical names, as a
/// [`Condition`](crate::Condition) reads them: `p95(http_request_duration)`,
/// `avg(cpu_usage, 5m)`.
pub trait Source {
    /// Writes the current samples.
    fn feed(&self, signals: &mut Signals, now: Instant);
}

impl<S: Source + ?Sized> Source for &S {
    fn feed(&self, signals: &mut Signals, now: Instant) {
        (**self).feed(signals, now);
    }
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn feed(&self, signals: &mut Signals, now: Instant) {
        (**self).feed(signals, now);
    }
}

impl<S: Source + ?Sized> Source for Arc<S> {
    fn feed(&self, signals: &mut Signals, now: Instant) {
        (**self).feed(signals, now);
    }
}
