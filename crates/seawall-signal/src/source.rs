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

/// One after the other; where two know the same name, the later one is heard.
impl<S: Source> Source for [S] {
    fn feed(&self, signals: &mut Signals, now: Instant) {
        self.iter().for_each(|source| source.feed(signals, now));
    }
}

/// One after the other; where two know the same name, the later one is heard.
impl<S: Source> Source for Vec<S> {
    fn feed(&self, signals: &mut Signals, now: Instant) {
        self.as_slice().feed(signals, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unit;

    struct One(&'static str, f64);

    impl Source for One {
        fn feed(&self, signals: &mut Signals, now: Instant) {
            signals.set(self.0, self.1, Unit::Count, now);
        }
    }

    #[test]
    fn of_several_sources_the_later_one_is_heard_and_none_is_left_out() {
        let sources: Vec<Box<dyn Source>> =
            vec![Box::new(One("a", 1.0)), Box::new(One("b", 2.0)), Box::new(One("a", 3.0))];
        let mut signals = Signals::new();
        sources.feed(&mut signals, Instant::now());
        let seen: Vec<_> = signals.iter().map(|(name, sample)| (name, sample.value)).collect();
        assert_eq!(seen, [("a", 3.0), ("b", 2.0)]);
    }
}
