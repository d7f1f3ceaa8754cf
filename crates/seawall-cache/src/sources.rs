//! The least source version each recently removed key must be loaded from.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// A bounded map from key to source version, each kept for the tombstone TTL. When it overflows,
/// the oldest entry becomes a floor for every key: that may refuse a fill too many, never one
/// too few.
#[derive(Debug)]
pub(crate) struct MinSources<K> {
    keep: Duration,
    capacity: usize,
    /// So that caches that never name a source pay one load.
    used: AtomicBool,
    state: Mutex<State<K>>,
}

#[derive(Debug)]
struct State<K> {
    keys: HashMap<K, Least>,
    /// In order of expiry. A key that was raised again stands here twice.
    order: VecDeque<(Least, K)>,
    turns: u64,
    floor: Option<Least>,
}

#[derive(Debug, Clone, Copy)]
struct Least {
    source: u64,
    expires: Instant,
    /// Tells one raise of a key from the next.
    turn: u64,
}

impl<K: Eq + Hash + Clone> MinSources<K> {
    pub(crate) fn new(keep: Duration, capacity: usize) -> Self {
        let state = State { keys: HashMap::new(), order: VecDeque::new(), turns: 0, floor: None };
        Self { keep, capacity, used: AtomicBool::new(false), state: Mutex::new(state) }
    }

    /// From `now` on, loads of `key` must reach `source`. Zero asks for nothing.
    pub(crate) fn raise(&self, key: K, source: u64, now: Instant) {
        if source == 0 {
            return;
        }
        self.used.store(true, Ordering::Release);
        let mut state = self.state.lock();
        state.turns += 1;
        let known = state.keys.get(&key).map_or(0, |least| least.source);
        let least =
            Least { source: known.max(source), expires: now + self.keep, turn: state.turns };
        state.keys.insert(key.clone(), least);
        state.order.push_back((least, key));
        while state.order.front().is_some_and(|(least, _)| least.expires <= now)
            || state.order.len() > self.capacity
        {
            state.forget_oldest(now);
        }
    }

    /// The source version a load of `key` must reach; 0: any.
    pub(crate) fn get(&self, key: &K, now: Instant) -> u64 {
        if !self.used.load(Ordering::Acquire) {
            return 0;
        }
        let state = self.state.lock();
        let least = [state.keys.get(key).copied(), state.floor];
        let live = least.into_iter().flatten().filter(|least| least.expires > now);
        live.map(|least| least.source).max().unwrap_or(0)
    }
}

impl<K: Eq + Hash> State<K> {
    fn forget_oldest(&mut self, now: Instant) {
        let Some((least, key)) = self.order.pop_front() else {
            return;
        };
        if self.keys.get(&key).is_none_or(|known| known.turn != least.turn) {
            return;
        }
        self.keys.remove(&key);
        if least.expires <= now {
            return;
        }
        let floor = self.floor.filter(|floor| floor.expires > now).unwrap_or(least);
        self.floor = Some(Least { source: floor.source.max(least.source), ..least });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_source_is_kept_for_its_time_and_only_grows() {
        let now = Instant::now();
        let sources = MinSources::new(KEEP, 8);
        sources.raise("a", 9, now);
        sources.raise("a", 5, now + KEEP / 2);
        assert_eq!(sources.get(&"a", now + KEEP), 9, "the second raise renewed it");
        assert_eq!(sources.get(&"a", now + KEEP * 2), 0);
        assert_eq!(sources.get(&"b", now), 0);
    }

    #[tokio::test]
    async fn overflow_forgets_no_source_before_its_time() {
        let now = Instant::now();
        let sources = MinSources::new(KEEP, 4);
        for key in 0..100_u64 {
            sources.raise(key, key + 1, now);
        }
        for key in 0..100_u64 {
            assert!(sources.get(&key, now) > key);
        }
        assert!(sources.state.lock().order.len() <= 4);
        sources.raise(1_000, 1, now + KEEP * 2);
        assert_eq!(sources.get(&1, now + KEEP * 2), 0, "the floor expires too");
    }

    #[tokio::test]
    async fn raising_one_key_again_and_again_stays_bounded() {
        let now = Instant::now();
        let sources = MinSources::new(KEEP, 4);
        sources.raise(7, 3, now);
        for source in 0..1_000_u64 {
            sources.raise(1, source, now);
        }
        assert_eq!(sources.get(&1, now), 999);
        assert_eq!(sources.get(&7, now), 3, "as the floor");
        assert!(sources.state.lock().keys.len() <= 4);
    }
}
