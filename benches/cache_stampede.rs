//! What do a thousand callers of a cold key cost, beside the loader's own time?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bench_harness::{Bench, Role, Row, Subject};
use futures_util::future::join_all;
use seawall_cache::{Cache, Load, MemoryRemote};
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

const TASKS: usize = 1_000;
const LOAD: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, thiserror::Error)]
#[error("down")]
struct Down;

/// How the stampede goes wrong.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    LoaderFails,
    LeaderLeaves,
}

async fn load(loads: Arc<AtomicU64>, fault: Fault) -> Result<u64, Down> {
    loads.fetch_add(1, Ordering::Relaxed);
    sleep(LOAD).await;
    if fault == Fault::LoaderFails { Err(Down) } else { Ok(7) }
}

fn main() -> std::io::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let _guard = runtime.enter();
    let ours: Cache<u64, u64> = Cache::builder("l1").build().unwrap();
    let shared: Cache<u64, u64> =
        Cache::builder("l2").remote(MemoryRemote::default()).build().unwrap();
    let moka: moka::future::Cache<u64, u64> = moka::future::Cache::new(10_000);
    let next_key = AtomicU64::new(0);

    let mut bench = Bench::new("cache_stampede");
    for (case, fault) in [
        ("1 000 callers of a cold key, loader 20 ms", Fault::None),
        ("1 000 callers, the loader fails", Fault::LoaderFails),
        ("1 000 callers, the first leaves after 5 ms", Fault::LeaderLeaves),
    ] {
        let counts: [RefCell<Vec<f64>>; 3] = Default::default();
        let stampedes =
            |times: u64, counts: &RefCell<Vec<f64>>, ask: &dyn Fn(u64, Arc<AtomicU64>) -> Ask| {
                for _ in 0..times {
                    let key = next_key.fetch_add(1, Ordering::Relaxed);
                    counts.borrow_mut().push(stampede(&runtime, fault, &|loads| ask(key, loads)));
                }
            };
        let through = |cache: &Cache<u64, u64>, key: u64, loads: Arc<AtomicU64>| -> Ask {
            let cache = cache.clone();
            let loader = move |_load: Load<u64>| load(loads, fault);
            Box::pin(async move { cache.get_or_load(&key, loader).await.is_ok() })
        };
        let names = ["seawall-cache, L1", "seawall-cache, L1 and L2", "moka::future try_get_with"];
        let roles = [Role::Ours, Role::Ours, Role::Peer];
        bench.case(
            case,
            vec![
                Subject::new(names[0], roles[0], |times| {
                    stampedes(times, &counts[0], &|key, loads| through(&ours, key, loads));
                }),
                Subject::new(names[1], roles[1], |times| {
                    stampedes(times, &counts[1], &|key, loads| through(&shared, key, loads));
                }),
                Subject::new(names[2], roles[2], |times| {
                    stampedes(times, &counts[2], &|key, loads| {
                        let moka = moka.clone();
                        Box::pin(
                            async move { moka.try_get_with(key, load(loads, fault)).await.is_ok() },
                        )
                    });
                }),
                Subject::new("the loader alone", Role::Floor, |times| {
                    for _ in 0..times {
                        runtime.block_on(async { tokio::spawn(sleep(LOAD)).await.unwrap() });
                    }
                }),
            ],
        );
        for ((name, role), loads) in names.into_iter().zip(roles).zip(counts) {
            bench.add(Row::of(&format!("{case}: loads"), name, role, "loads", loads.into_inner()));
        }
    }
    bench.finish()
}

type Ask = std::pin::Pin<Box<dyn Future<Output = bool> + Send>>;

/// All tasks ask at once, and all are waited for. Returns how often the loader ran.
fn stampede(runtime: &Runtime, fault: Fault, ask: &dyn Fn(Arc<AtomicU64>) -> Ask) -> f64 {
    let loads = Arc::new(AtomicU64::new(0));
    runtime.block_on(async {
        if fault == Fault::LeaderLeaves {
            tokio::spawn(timeout(LOAD / 4, ask(Arc::clone(&loads))));
            while loads.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
        }
        let tasks = (0..TASKS).map(|_| tokio::spawn(ask(Arc::clone(&loads))));
        let answers = join_all(tasks).await;
        let answered = answers.into_iter().filter(|answer| *answer.as_ref().unwrap()).count();
        assert_eq!(answered, if fault == Fault::LoaderFails { 0 } else { TASKS });
    });
    loads.load(Ordering::Relaxed) as f64
}
