//! What does the pool add to a checkout and to a small query?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::hint::black_box;

use bench_harness::{Bench, Role, Subject};
use deadpool_postgres::{Manager, ManagerConfig, QueueMode, RecyclingMethod};
use seawall_devstack::Stack;
use seawall_pool::{NodeConfig, Pool, PoolConfig};
use tokio_postgres::NoTls;

const CONNECTIONS: usize = 8;
const SQL: &str = "SELECT name FROM t WHERE id = $1";

fn main() -> std::io::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let _guard = runtime.enter();
    let stack = runtime.block_on(Stack::builder().postgres().start()).unwrap();
    let url = stack.primary().unwrap().url();
    runtime.block_on(async {
        let client = stack.primary().unwrap().client().await.unwrap();
        let rows = "CREATE TABLE t (id bigint PRIMARY KEY, name text NOT NULL);
            INSERT INTO t SELECT n, 'name ' || n FROM generate_series(1, 10000) n; ANALYZE t";
        client.batch_execute(rows).await.unwrap();
    });
    let config = PoolConfig {
        primary: NodeConfig::new(url.clone()),
        max_size: CONNECTIONS,
        min_idle: CONNECTIONS,
        ..PoolConfig::default()
    };
    let ours = runtime.block_on(Pool::connect(config)).unwrap();
    // Ours hands out the warmest connection; the floor does the same, so that it is one.
    let warm = deadpool(&url, RecyclingMethod::Fast, QueueMode::Lifo);
    let fast = deadpool(&url, RecyclingMethod::Fast, QueueMode::Fifo);
    let verified = deadpool(&url, RecyclingMethod::Verified, QueueMode::Fifo);

    let mut bench = Bench::new("pool_checkout");
    bench.case(
        "checkout and return, 1 task",
        vec![
            Subject::new("seawall-pool", Role::Ours, |times| {
                runtime.block_on(async {
                    for _ in 0..times {
                        black_box(ours.read().get().await.unwrap());
                    }
                });
            }),
            Subject::new("deadpool Fast, LIFO", Role::Floor, |times| {
                runtime.block_on(async {
                    for _ in 0..times {
                        let _ = black_box(warm.get().await.unwrap());
                    }
                });
            }),
            Subject::new("deadpool Fast", Role::Peer, |times| {
                runtime.block_on(async {
                    for _ in 0..times {
                        let _ = black_box(fast.get().await.unwrap());
                    }
                });
            }),
            Subject::new("deadpool Verified", Role::Peer, |times| {
                runtime.block_on(async {
                    for _ in 0..times {
                        let _ = black_box(verified.get().await.unwrap());
                    }
                });
            }),
        ],
    );
    for tasks in [1, 64] {
        bench.case(
            &format!("prepared primary-key SELECT, {tasks} tasks over {CONNECTIONS} connections"),
            vec![
                Subject::new("seawall-pool", Role::Ours, |times| {
                    let pool = ours.clone();
                    runtime.block_on(spread(times, tasks, move |id| {
                        let pool = pool.clone();
                        async move {
                            black_box(pool.read().query(SQL, &[&id]).await.unwrap());
                        }
                    }));
                }),
                Subject::new("deadpool Fast, LIFO, prepare_cached", Role::Floor, |times| {
                    let pool = warm.clone();
                    runtime.block_on(spread(times, tasks, move |id| select(pool.clone(), id)));
                }),
                Subject::new("deadpool Fast, prepare_cached", Role::Peer, |times| {
                    let pool = fast.clone();
                    runtime.block_on(spread(times, tasks, move |id| select(pool.clone(), id)));
                }),
                Subject::new("deadpool Verified, prepare_cached", Role::Peer, |times| {
                    let pool = verified.clone();
                    runtime.block_on(spread(times, tasks, move |id| select(pool.clone(), id)));
                }),
            ],
        );
    }
    bench.finish()?;
    runtime.block_on(async {
        ours.shutdown().await;
        stack.shutdown().await;
    });
    Ok(())
}

fn deadpool(
    url: &str,
    recycling_method: RecyclingMethod,
    queue: QueueMode,
) -> deadpool_postgres::Pool {
    let config = url.parse().unwrap();
    let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method });
    deadpool_postgres::Pool::builder(manager)
        .max_size(CONNECTIONS)
        .queue_mode(queue)
        .build()
        .unwrap()
}

async fn select(pool: deadpool_postgres::Pool, id: i64) {
    let client = pool.get().await.unwrap();
    let statement = client.prepare_cached(SQL).await.unwrap();
    black_box(client.query(&statement, &[&id]).await.unwrap());
}

/// Shares `times` calls of `work` out among `tasks` tasks and waits for all.
async fn spread<F, W>(times: u64, tasks: u64, work: F)
where
    F: Fn(i64) -> W + Clone + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let mut done = tokio::task::JoinSet::new();
    for task in 0..tasks {
        let share = times / tasks + u64::from(task < times % tasks);
        let work = work.clone();
        done.spawn(async move {
            for turn in 0..share {
                work(1 + (turn * 7 % 10_000) as i64).await;
            }
        });
    }
    done.join_all().await;
}
