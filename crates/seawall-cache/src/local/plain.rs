//! A plain hit, on its way from the engine to its reader.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use super::clock::Tick;
use super::engine::Seen;
use super::entry::Entry;
use crate::outcome::{Freshness, Got, Layer};

/// What a reader gets of an entry that is fresh: two words, so that it, and an `Option` of it,
/// travels in registers.
pub(crate) struct Plain<V> {
    value: Option<Arc<V>>,
    /// The age in nanoseconds; below it a bit that says whether it is degraded, above it one that
    /// is always set.
    age: NonZeroU64,
}

impl<V> Plain<V> {
    /// Stands for what is not plain.
    pub(super) const NONE: Self = Self { value: None, age: NonZeroU64::MAX };

    /// What a reader gets of `seen` at `now`. The value goes along if that can be.
    #[inline]
    #[cfg_attr(
        not(feature = "quick"),
        expect(clippy::needless_pass_by_value, reason = "what is the reader's own is moved out")
    )]
    pub(super) fn of(seen: Seen<'_, Entry<V>>, now: Tick) -> Self {
        let nanos = seen.age_nanos(now).min(MOST_NANOS);
        let age = NonZeroU64::MIN | (nanos << 2) | (u64::from(seen.degraded()) << 1);
        let value = match seen {
            Seen::Held(entry) => entry.value().cloned(),
            #[cfg(feature = "quick")]
            Seen::Own(mut entry) => entry.take_value(),
        };
        Self { value, age }
    }

    /// Whether it is known that there is no value.
    #[inline]
    pub(crate) fn is_absent(&self) -> bool {
        self.value.is_none()
    }

    #[inline]
    pub(crate) fn into_got(self) -> Got<V> {
        let age = self.age.get();
        Got {
            value: self.value,
            layer: Layer::L1,
            age: Duration::from_nanos(age >> 2),
            freshness: Freshness::Fresh,
            degraded: age & 2 != 0,
        }
    }
}

/// 146 years.
const MOST_NANOS: u64 = u64::MAX >> 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::clock::Clock;
    use crate::local::entry::Draft;

    fn entry(age: Duration, degraded: bool, at: Tick) -> Entry<u8> {
        let draft = Draft {
            value: Some(Arc::new(7)),
            at,
            age,
            fresh: Duration::MAX,
            hard: Duration::MAX,
            l1: Duration::MAX,
            delta: Duration::ZERO,
            version: 1,
            source: 0,
            node: 0,
            namespace: 0,
            tags: Vec::new(),
            degraded,
        };
        Entry::new(draft, 1)
    }

    #[tokio::test(start_paused = true)]
    async fn two_words_say_all_that_the_entry_does() {
        let at = Clock::exact().now();
        for age in [Duration::ZERO, Duration::from_millis(1), Duration::from_secs(4_000_000)] {
            for degraded in [false, true] {
                let entry = entry(age, degraded, at);
                let now = at.plus(Duration::from_nanos(12_345));
                let got = Plain::of(Seen::Held(&entry), now).into_got();
                let full = entry.got(Layer::L1, now);
                assert_eq!((got.value, got.age), (full.value, full.age));
                assert_eq!((got.layer, got.degraded), (full.layer, full.degraded));
                assert_eq!((got.degraded, got.freshness), (degraded, Freshness::Fresh));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_age_beyond_all_bounds_stays_one() {
        let entry = entry(Duration::ZERO, true, Tick::FIRST);
        let got = Plain::of(Seen::Held(&entry), Tick::NEVER).into_got();
        assert_eq!(got.age, Duration::from_nanos(MOST_NANOS));
        assert!(got.degraded);
    }

    #[test]
    fn it_takes_two_words_and_so_does_an_option_of_it() {
        assert_eq!(size_of::<Option<Plain<[u8; 256]>>>(), 16);
    }
}
