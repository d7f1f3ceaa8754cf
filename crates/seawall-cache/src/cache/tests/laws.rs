//! Any interleaving of reads, writes and removals on two nodes, over a remote that is slow and
//! loses answers: no read is older than the last write its node has acknowledged.

use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, prop_oneof, proptest};
use tokio::time::Instant;

use super::*;
use crate::Written;

/// L1 forgets after this; a node may serve another's old value for so long and one load more.
const L1_TTL: Duration = Duration::from_millis(40);
const LONGEST_LOAD: Duration = Duration::from_millis(400);

#[derive(Debug, Clone, Copy)]
enum Act {
    /// Reads through; the loader takes so many ms and answers what it saw at its start.
    Read { takes: u64 },
    /// Changes the origin, then removes the key.
    Remove,
    /// Changes the origin, then sets the key.
    Set,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    node: usize,
    at: u64,
    act: Act,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let act = prop_oneof![
        4 => (0_u64..60).prop_map(|takes| Act::Read { takes }),
        1 => Just(Act::Remove),
        1 => Just(Act::Set),
    ];
    let step = (0_usize..2, 0_u64..600, act).prop_map(|(node, at, act)| Step { node, at, act });
    vec(step, 1..60)
}

/// Delays of calls to the remote, in ms; some pass the deadline before the call takes effect,
/// some after.
fn delays() -> impl Strategy<Value = Vec<(Duration, Duration)>> {
    let one = prop_oneof![8 => 0_u64..15, 1 => 90_u64..130].prop_map(Duration::from_millis);
    vec((one.clone(), one), 1..12)
}

/// The origin: its version is its value. A replica lags behind it by two writes.
struct Database {
    version: AtomicU64,
}

impl Database {
    fn write(&self) -> u64 {
        self.version.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn primary(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    fn replica(&self) -> u64 {
        self.primary().saturating_sub(2)
    }
}

struct World {
    nodes: Vec<Numbers>,
    database: Database,
    /// With source versions: loads may read the replica, sets are ordered by source.
    sources: bool,
    writing: tokio::sync::Mutex<()>,
    /// The newest version each node has acknowledged.
    acknowledged: Mutex<[u64; 2]>,
    /// The newest version acknowledged by L2 as well, and when.
    everywhere: Mutex<Vec<(Instant, u64)>>,
}

impl World {
    async fn take(self: Arc<Self>, step: Step) {
        sleep(Duration::from_millis(step.at)).await;
        match step.act {
            Act::Read { takes } => self.read(step, Duration::from_millis(takes)).await,
            Act::Remove | Act::Set => self.write(step).await,
        }
    }

    async fn write(&self, step: Step) {
        // Without sources nothing tells the cache in which order the origin took two writes.
        let _one_at_a_time = if self.sources { None } else { Some(self.writing.lock().await) };
        let version = self.database.write();
        let source = if self.sources { version } else { 0 };
        let node = &self.nodes[step.node];
        let written = match step.act {
            Act::Set => node.set(&1, Loaded::new(version).source(source)).await,
            _ => node.remove_after(&1, source).await,
        };
        self.acknowledge(step.node, version, written);
    }

    fn acknowledge(&self, node: usize, version: u64, written: Written) {
        let mut acknowledged = self.acknowledged.lock();
        acknowledged[node] = acknowledged[node].max(version);
        if !written.is_partial() {
            self.everywhere.lock().push((Instant::now(), version));
        }
    }

    async fn read(self: &Arc<Self>, step: Step, takes: Duration) {
        let here = self.acknowledged.lock()[step.node];
        let bound = L1_TTL + LONGEST_LOAD;
        let now = Instant::now();
        let old_enough = |(at, _): &&(Instant, u64)| *at + bound < now;
        let everywhere =
            self.everywhere.lock().iter().filter(old_enough).map(|(_, version)| *version).max();
        let world = Arc::clone(self);
        let loader = move |load: Load<u64>| async move {
            let seen = match load.min_source() {
                _ if !world.sources => world.database.primary(),
                Some(least) if world.database.replica() < least => world.database.primary(),
                _ => world.database.replica(),
            };
            sleep(takes).await;
            Ok::<_, OriginDown>(Loaded::new(seen).source(if world.sources { seen } else { 0 }))
        };
        let got = self.nodes[step.node].get_or_load(&1, loader).await.expect("loads");
        let read = value(&got).expect("never absent");
        assert!(read >= here, "node {} read {read}, had acknowledged {here}: {got:?}", step.node);
        if let Some(everywhere) = everywhere
            && !got.degraded
        {
            assert!(
                read >= everywhere,
                "node {} read {read}, all know {everywhere}: {got:?}",
                step.node
            );
        }
    }
}

fn run(steps: &[Step], delays: &[(Duration, Duration)], sources: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let remote = FakeRemote::default();
        remote.delays(delays.to_vec());
        let nodes = (0..2).map(|_| node_of(builder().l1_ttl(L1_TTL), &remote)).collect();
        let world = Arc::new(World {
            nodes,
            // Not 0: that would be an unknown source.
            database: Database { version: AtomicU64::new(10) },
            sources,
            writing: tokio::sync::Mutex::default(),
            acknowledged: Mutex::default(),
            everywhere: Mutex::default(),
        });
        let tasks: Vec<_> =
            steps.iter().map(|step| tokio::spawn(Arc::clone(&world).take(*step))).collect();
        for task in tasks {
            task.await.expect("the law holds");
        }
        for node in &world.nodes {
            node.shutdown().await;
            assert_eq!(node.inner.local.leased(), 0, "the tables are empty when all is quiet");
        }
    });
}

proptest! {
    /// Loads read the origin itself; nothing carries a source version.
    #[test]
    fn no_read_is_older_than_an_acknowledged_write(steps in steps(), delays in delays()) {
        run(&steps, &delays, false);
    }

    /// Loads read a lagging replica unless told otherwise.
    #[test]
    fn with_sources_no_read_is_older_than_an_acknowledged_write(steps in steps(), delays in delays()) {
        run(&steps, &delays, true);
    }
}
