//! Budgets over members that do as they are told, and over real caches.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::local::engine::EngineKind;
use crate::{Cache, CacheBuilder};

/// A member that gives back a hundred bytes each time it is asked to.
#[derive(Default)]
struct Fake {
    used: AtomicU64,
    capacity: AtomicU64,
    most: u64,
}

impl Fake {
    fn new(most: u64) -> Arc<Self> {
        Arc::new(Self { most, capacity: AtomicU64::new(most), ..Self::default() })
    }

    fn capacity(&self) -> u64 {
        self.capacity.load(Ordering::Relaxed)
    }

    fn uses(&self, used: u64) {
        self.used.store(used, Ordering::Relaxed);
    }
}

impl Member for Fake {
    fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn capacity(&self) -> u64 {
        self.capacity()
    }

    fn most(&self) -> u64 {
        self.most
    }

    fn set_capacity(&self, capacity: u64) {
        self.capacity.store(capacity.min(self.most), Ordering::Relaxed);
    }

    fn settle(&self) -> bool {
        let (used, capacity) = (Member::used(self), self.capacity());
        self.uses(used.saturating_sub(100).max(capacity.min(used)));
        Member::used(self) > capacity
    }
}

fn join(budget: &Budget, fake: &Arc<Fake>, weight: u32, floor: u64) -> Seat {
    let member: Arc<dyn Member> = Arc::clone(fake) as Arc<dyn Member>;
    let member = Arc::downgrade(&member);
    budget.join("fake", weight, floor, member)
}

const TOTAL: u64 = 100_000;

#[tokio::test(start_paused = true)]
async fn one_grows_only_by_what_another_has_given_back() {
    let budget = Budget::new(TOTAL).expect("large enough");
    let (a, b) = (Fake::new(TOTAL), Fake::new(TOTAL));
    let _a = join(&budget, &a, 1, 0);
    assert_eq!(a.capacity(), TOTAL);
    a.uses(TOTAL);
    let _b = join(&budget, &b, 1, 10_000);
    assert_eq!(a.capacity(), TOTAL - 10_000);
    assert_eq!(b.capacity(), 0, "a still holds everything");
    a.uses(60_000);
    let mut now = Instant::now();
    for _ in 0..20 {
        now += DIVIDE_EVERY;
        // It fills whatever it gets.
        b.uses(b.capacity());
        budget.tick(now);
        assert!(a.capacity() + b.capacity() <= TOTAL);
        let held = Member::used(&*a).max(a.capacity()) + Member::used(&*b);
        assert!(held <= TOTAL, "{held}");
        a.uses(Member::used(&*a).min(a.capacity()));
    }
    assert_eq!((a.capacity(), b.capacity()), (TOTAL / 2, TOTAL / 2));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_leaves_its_share_to_the_others() {
    let budget = Budget::new(TOTAL).expect("large enough");
    let (a, b) = (Fake::new(TOTAL), Fake::new(TOTAL));
    let _a = join(&budget, &a, 1, 0);
    let seat = join(&budget, &b, 1, 0);
    assert_eq!(a.capacity(), TOTAL / 2);
    drop(seat);
    assert_eq!(a.capacity(), TOTAL);
    assert_eq!(budget.status().caches.len(), 1);
    drop(b);
    let error = Budget::new(1).expect_err("too small");
    assert_eq!(error.field, "budget");
}

/// Plays samples, then repeats the last.
struct Script(Vec<io::Result<MemorySample>>);

impl MemorySensor for Script {
    fn sample(&mut self) -> io::Result<MemorySample> {
        match self.0.len() {
            0 | 1 => self.0.first().map_or_else(
                || Err(io::ErrorKind::NotFound.into()),
                |last| last.as_ref().map_err(|error| error.kind().into()).copied(),
            ),
            _ => self.0.remove(0),
        }
    }
}

fn used(used: u64) -> io::Result<MemorySample> {
    Ok(MemorySample { used, limit: 1_000_000, pressure: None })
}

/// The task runs between our polls; blocking samples do not let paused time run ahead.
async fn seconds(count: u64) {
    for _ in 0..count {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_governed_budget_shrinks_and_regrows_and_is_whole_when_the_governor_goes() {
    let budget = Budget::new(TOTAL).expect("large enough");
    let fake = Fake::new(TOTAL);
    let _seat = join(&budget, &fake, 1, 0);
    fake.uses(TOTAL);
    // 30 000 over the threshold: 30 % of the budget.
    let script = vec![used(500_000), used(830_000), used(500_000)];
    let governor =
        budget.govern(GovernorConfig::default(), Script(script)).expect("valid settings");
    seconds(4).await;
    assert!((governor.share() - 0.7).abs() < 1e-9, "{}", governor.share());
    assert_eq!((fake.capacity(), Member::used(&*fake)), (70_000, 70_000));
    seconds(40).await;
    assert!(governor.share() > 0.7 && governor.share() < 0.9, "{}", governor.share());
    seconds(60).await;
    assert_eq!((governor.share(), fake.capacity()), (1.0, TOTAL));
    drop(governor);

    let script = vec![used(900_000)];
    let governor =
        budget.govern(GovernorConfig::default(), Script(script)).expect("valid settings");
    seconds(2).await;
    assert!(fake.capacity() < TOTAL);
    drop(governor);
    assert_eq!((fake.capacity(), budget.status().share), (TOTAL, 1.0));
}

#[tokio::test(start_paused = true)]
async fn a_governor_that_was_replaced_changes_nothing_when_it_goes() {
    let budget = Budget::new(TOTAL).expect("large enough");
    let govern = || {
        let script = Script(vec![used(830_000)]);
        budget.govern(GovernorConfig::default(), script).expect("valid settings")
    };
    let first = govern();
    seconds(2).await;
    let second = govern();
    seconds(2).await;
    let share = second.share();
    assert!(share < 1.0);
    drop(first);
    assert_eq!(budget.status().share, share);
    drop(second);
    assert_eq!(budget.status().share, 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_sensor_that_fails_changes_nothing() {
    let budget = Budget::new(TOTAL).expect("large enough");
    let script = vec![used(830_000), Err(io::ErrorKind::PermissionDenied.into())];
    let governor =
        budget.govern(GovernorConfig::default(), Script(script)).expect("valid settings");
    seconds(120).await;
    assert!((governor.share() - 0.7).abs() < 1e-9);
    let config = GovernorConfig { threshold: 2.0, ..GovernorConfig::default() };
    let error = budget.govern(config, Script(Vec::new())).expect_err("out of bounds");
    assert_eq!(error.field, "threshold");
}

fn cache(name: &str, engine: EngineKind, budget: &Budget, floor: u64) -> Cache<u64, Vec<u8>> {
    let builder: CacheBuilder<u64, Vec<u8>> = Cache::local(name);
    builder
        .engine(engine)
        .weigher(|_, value| value.map_or(0, |value| value.len() as u32))
        .budget(budget, 1, floor)
        .build()
        .expect("valid settings")
}

fn engines() -> Vec<EngineKind> {
    vec![
        EngineKind::Moka,
        #[cfg(feature = "quick")]
        EngineKind::Quick,
    ]
}

#[tokio::test(start_paused = true)]
async fn a_flooded_cache_leaves_the_others_what_they_use() {
    const BYTES: u64 = 64 << 20;
    for engine in engines() {
        let budget = Budget::new(BYTES).expect("large enough");
        let quiet = cache("quiet", engine, &budget, 4 << 20);
        let flooded = cache("flooded", engine, &budget, 4 << 20);
        for key in 0..1_000 {
            let _ = quiet.set(&key, vec![0; 8 << 10]).await;
        }
        for key in 0..20_000 {
            let _ = flooded.set(&key, vec![0; 8 << 10]).await;
            if key % 500 == 0 {
                tokio::time::advance(Duration::from_millis(300)).await;
                let status = budget.status();
                assert!(status.used <= BYTES + BYTES / 8, "{status:?}");
                let given: u64 = status.caches.iter().map(|cache| cache.capacity).sum();
                assert!(given <= BYTES, "{status:?}");
            }
        }
        let kept = quiet.stats();
        assert!(kept.entries > 950, "{engine:?}: {} of 1 000", kept.entries);
        let flooded_weight = flooded.stats().weight;
        assert!(
            flooded_weight > 40 << 20,
            "{engine:?}: what is idle is not lent: {flooded_weight}"
        );
        // Larger than the whole budget: served to its caller, held nowhere.
        let _ = flooded.set(&1, vec![0; 65 << 20]).await;
        assert!(flooded.get(&1).await.expect("no remote").is_none());
        let load = |_| async { Ok::<_, io::Error>(vec![0; 65 << 20]) };
        let got = flooded.get_or_load(&1, load).await.expect("loads");
        assert_eq!(got.value.map(|value| value.len()), Some(65 << 20));
        assert!(flooded.get(&1).await.expect("no remote").is_none());
    }
}

/// Accounting that drifts shows here: each write replaces one of another size.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_writers_of_the_same_keys_leave_the_weight_within_the_cap() {
    const BYTES: u64 = 4 << 20;
    for engine in engines() {
        let budget = Budget::new(BYTES).expect("large enough");
        let hot = cache("hot", engine, &budget, 1 << 20);
        let other = cache("other", engine, &budget, 1 << 20);
        for key in 0..64 {
            let _ = other.set(&key, vec![0; 8 << 10]).await;
        }
        let writers: Vec<_> = (0..16_u64)
            .map(|writer| {
                let hot = hot.clone();
                tokio::spawn(async move {
                    for turn in 0..4_000 {
                        let size = (writer * 7_919 + turn * 104_729) % (32 << 10);
                        let _ = hot.set(&(turn % 128), vec![0; size as usize]).await;
                        if turn % 64 == 0 {
                            tokio::task::yield_now().await;
                        }
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.expect("no panic");
        }
        let status = budget.status();
        assert!(status.used <= BYTES + BYTES / 8, "{engine:?}: {status:?}");
        assert!(other.stats().entries >= 60, "{engine:?}: the quiet one lost its entries");
        let held: u64 = (0..128)
            .filter_map(|key| hot.peek(&key))
            .map(|got| got.value.map_or(0, |value| (value.len() as u64).max(1)))
            .sum();
        let counted = hot.stats().weight;
        assert!(counted.abs_diff(held) <= BYTES / 8, "{engine:?}: {counted} counted, {held} held");
    }
}
