//! Keys whose loader failed a moment ago, while a stale value answers in its place.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Until when each such key is left alone. Bounded: with more keys than that, some loaders are
/// tried more often than the throttle says.
#[derive(Debug)]
pub(crate) struct Throttle<K> {
    capacity: usize,
    /// So that while nothing fails, it costs one load.
    len: AtomicUsize,
    keys: Mutex<HashMap<K, Instant>>,
}

impl<K: Hash + Eq> Throttle<K> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, len: AtomicUsize::new(0), keys: Mutex::default() }
    }

    /// Leaves `key` alone until `until`.
    pub(crate) fn hold(&self, key: K, until: Instant, now: Instant) {
        let mut keys = self.keys.lock();
        if keys.len() >= self.capacity && !keys.contains_key(&key) {
            keys.retain(|_, until| *until > now);
            if keys.len() >= self.capacity {
                return;
            }
        }
        keys.insert(key, until);
        self.len.store(keys.len(), Ordering::Release);
    }

    /// Whether `key` is to be left alone.
    pub(crate) fn holds(&self, key: &K, now: Instant) -> bool {
        self.len.load(Ordering::Acquire) > 0
            && self.keys.lock().get(key).is_some_and(|until| *until > now)
    }

    /// Its loader works again, or what it would bring has changed.
    pub(crate) fn forget(&self, key: &K) {
        if self.len.load(Ordering::Acquire) > 0 {
            let mut keys = self.keys.lock();
            keys.remove(key);
            self.len.store(keys.len(), Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_key_is_left_alone_until_its_time_or_its_success() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let throttle = Throttle::new(8);
        throttle.hold(1, now + second, now);
        throttle.hold(2, now + second, now);
        assert!(throttle.holds(&1, now) && !throttle.holds(&3, now));
        assert!(!throttle.holds(&1, now + second));
        throttle.forget(&2);
        assert!(!throttle.holds(&2, now));
    }

    #[tokio::test]
    async fn many_failing_keys_take_bounded_room() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let throttle = Throttle::new(8);
        for key in 0..100 {
            throttle.hold(key, now + second, now);
        }
        assert_eq!(throttle.keys.lock().len(), 8);
        let later = now + second;
        throttle.hold(1_000, later + second, later);
        assert!(throttle.holds(&1_000, later), "the old ones made room");
    }
}
