//! The nodes, the store, the origin and the clock of one seed.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use seawall_cache::{Cache, Chaos, ChaosConfig, Guarded, MemoryRemote, OutageConfig};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::actors;
use crate::history::History;

/// A value knows which write it is from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) key: u64,
    pub(crate) version: u64,
}

/// One process with a cache. A crash replaces it.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) cache: Cache<u64, Row>,
    pub(crate) chaos: Chaos<MemoryRemote>,
    pub(crate) linked_since: Option<Instant>,
}

/// What all actors share.
pub(crate) struct World {
    pub(crate) seed: u64,
    /// Whether loads and writes name source versions.
    pub(crate) sources: bool,
    pub(crate) nodes: Mutex<Vec<Node>>,
    pub(crate) origin: Mutex<[u64; KEYS as usize]>,
    pub(crate) history: Mutex<History>,
    pub(crate) ends: Instant,
    store: MemoryRemote,
    built: Mutex<u64>,
}

impl World {
    /// Everything that happens in the world of `seed`.
    pub(crate) fn run(seed: u64, told: bool) -> History {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let history = runtime.block_on(async {
            let world = Self::new(seed, told);
            let mut tasks = JoinSet::new();
            for place in 0..NODES {
                for actor in 0..2 {
                    tasks.spawn(actors::client(Arc::clone(&world), place, actor));
                }
            }
            tasks.spawn(actors::trouble(Arc::clone(&world)));
            let all = async { while tasks.join_next().await.transpose().unwrap().is_some() {} };
            if timeout(PATIENCE, all).await.is_err() {
                world.history.lock().wrong("somebody waits for ever".into());
            }
            actors::calm(&world).await;
            std::mem::replace(&mut *world.history.lock(), History::new(Instant::now(), false))
        });
        runtime.shutdown_background();
        history
    }

    fn new(seed: u64, told: bool) -> Arc<Self> {
        let now = Instant::now();
        let world = Self {
            seed,
            sources: seed % 2 == 1,
            nodes: Mutex::default(),
            origin: Mutex::new([1; KEYS as usize]),
            history: Mutex::new(History::new(now, told)),
            ends: now + LASTS,
            store: MemoryRemote::default(),
            built: Mutex::new(0),
        };
        let nodes = (0..NODES).map(|_| world.node()).collect();
        *world.nodes.lock() = nodes;
        Arc::new(world)
    }

    /// A fresh process over the same store.
    pub(crate) fn node(&self) -> Node {
        let id = {
            let mut built = self.built.lock();
            *built += 1;
            *built
        };
        let chaos = Chaos::new(self.store.clone(), self.seed ^ (id << 32));
        chaos.set(usual()).unwrap();
        let outage =
            OutageConfig { open_for: Duration::from_millis(100), ..OutageConfig::default() };
        let remote = Guarded::new(chaos.clone(), "sim", Duration::from_millis(100), &outage);
        let mut random = StdRng::seed_from_u64(self.seed);
        let cache = Cache::builder("row")
            .ttl(Duration::from_millis(random.random_range(100..2_000)))
            .stale_while_revalidate(Duration::from_millis(random.random_range(0..300)))
            .stale_if_error(Duration::from_millis(random.random_range(0..500)))
            .error_throttle(Duration::from_millis(50))
            .lease_ttl(Duration::from_millis(random.random_range(50..500)))
            .load_timeout(Duration::from_millis(500))
            .tombstone_ttl(Duration::from_secs(2))
            .capacity(random.random_range(2..20))
            .remote(remote)
            .build()
            .unwrap();
        Node { id, cache, chaos, linked_since: Some(Instant::now()) }
    }

    pub(crate) fn at(&self, place: usize) -> Node {
        self.nodes.lock()[place].clone()
    }

    pub(crate) fn random(&self, actor: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(actor))
    }

    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        self.history.lock().tell(what);
    }
}

/// What the network is like on a good day.
pub(crate) fn usual() -> ChaosConfig {
    let mut config = ChaosConfig::calm();
    config.delay = Duration::from_millis(3);
    config.message_delay = Duration::from_millis(10);
    config
}

pub(crate) const NODES: usize = 3;
pub(crate) const KEYS: u64 = 4;
const LASTS: Duration = Duration::from_millis(600);
const PATIENCE: Duration = Duration::from_secs(60);
