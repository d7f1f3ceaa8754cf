//! What does a prepared primary-key SELECT cost when 64 tasks send them at once: through
//! the pool, through its shared lanes, through a key loader, and elsewhere?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::hint::black_box;
use std::sync::Arc;

use bb8_postgres::PostgresConnectionManager;
use bench_harness::{Bench, Role, Subject};
use deadpool_postgres::{Manager, ManagerConfig, QueueMode, RecyclingMethod};
use seawall_devstack::Stack;
use seawall_pool::{LaneConfig, LoaderConfig, NodeConfig, Pool, PoolConfig};
use sqlx::postgres::PgPoolOptions;
use tokio::runtime::Runtime;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls, Statement};

const CONNECTIONS: usize = 8;
const TASKS: u64 = 64;
const ROWS: i64 = 100_000;
const SQL: &str = "SELECT id, v FROM t WHERE id = $1";
const MANY: &str = "SELECT id, v FROM t WHERE id = ANY($1)";

fn main() -> std::io::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let _guard = runtime.enter();
    let stack = runtime.block_on(Stack::builder().pgbouncer(CONNECTIONS).start()).unwrap();
    let url = stack.primary().unwrap().url();
    runtime.block_on(async {
        let client = stack.primary().unwrap().client().await.unwrap();
        let rows = format!(
            "CREATE TABLE t (id bigint PRIMARY KEY, v text NOT NULL);
             INSERT INTO t SELECT n, repeat('x', 256) FROM generate_series(1, {ROWS}) n"
        );
        client.batch_execute(&rows).await.unwrap();
        client.batch_execute("VACUUM ANALYZE t").await.unwrap();
    });
    let pools: Vec<(usize, Pool)> =
        [1, 2, 4].into_iter().map(|lanes| (lanes, pool(&runtime, &url, lanes))).collect();
    let ours = pools[1].1.clone();
    let warm = deadpool(&url, QueueMode::Lifo);
    let fast = deadpool(&url, QueueMode::Fifo);
    let bb8 = runtime.block_on(async {
        let manager = PostgresConnectionManager::new_from_stringlike(&url, NoTls).unwrap();
        let size = u32::try_from(CONNECTIONS).unwrap();
        bb8_postgres::bb8::Pool::builder().max_size(size).build(manager).await.unwrap()
    });
    let sqlx = runtime.block_on(async {
        let options = PgPoolOptions::new().max_connections(u32::try_from(CONNECTIONS).unwrap());
        options.connect(&url).await.unwrap()
    });
    // Each task has its own way into it, as a program without a pool would; nobody waits for another.
    let bouncer = stack.pgbouncer().unwrap();
    let bounced: Vec<Arc<Client>> = runtime.block_on(async {
        let mut bounced = Vec::new();
        for _ in 0..TASKS {
            bounced.push(Arc::new(bouncer.client().await.unwrap()));
        }
        bounced
    });
    let shared = Arc::new(runtime.block_on(clients(&url)));
    let loader = ours.read().loader(MANY, |row| row.try_get::<_, i64>(0));
    let one = LoaderConfig { queries: 1, ..LoaderConfig::default() };
    let one = ours.read().loader_with(MANY, |row| row.try_get::<_, i64>(0), one).unwrap();
    let on_lanes = ours.read().shared().loader(MANY, |row| row.try_get::<_, i64>(0));

    let mut subjects = vec![
        Subject::new("seawall-pool", Role::Ours, |times| {
            let pool = ours.clone();
            spread(&runtime, times, move |id| {
                let pool = pool.clone();
                async move { drop(black_box(pool.read().query(SQL, &[&id]).await.unwrap())) }
            });
        }),
        Subject::new("seawall-pool, key loader", Role::Ours, |times| {
            let loader = loader.clone();
            spread(&runtime, times, move |id| {
                let loader = loader.clone();
                async move { drop(black_box(loader.load(id).await.unwrap().unwrap())) }
            });
        }),
        Subject::new("seawall-pool, key loader, 1 query", Role::Ours, |times| {
            let loader = one.clone();
            spread(&runtime, times, move |id| {
                let loader = loader.clone();
                async move { drop(black_box(loader.load(id).await.unwrap().unwrap())) }
            });
        }),
        Subject::new("seawall-pool, key loader on lanes", Role::Ours, |times| {
            let loader = on_lanes.clone();
            spread(&runtime, times, move |id| {
                let loader = loader.clone();
                async move { drop(black_box(loader.load(id).await.unwrap().unwrap())) }
            });
        }),
        Subject::new("tokio-postgres, 8 clients shared", Role::Floor, |times| {
            let shared = Arc::clone(&shared);
            spread(&runtime, times, move |id| {
                let shared = Arc::clone(&shared);
                async move {
                    let (client, statement) = &shared[id as usize % CONNECTIONS];
                    drop(black_box(client.query(statement, &[&id]).await.unwrap()));
                }
            });
        }),
        Subject::new("deadpool Fast, prepare_cached", Role::Peer, |times| {
            let pool = fast.clone();
            spread(&runtime, times, move |id| select(pool.clone(), id));
        }),
        Subject::new("deadpool Fast, LIFO, prepare_cached", Role::Peer, |times| {
            let pool = warm.clone();
            spread(&runtime, times, move |id| select(pool.clone(), id));
        }),
        Subject::new("bb8, default, prepares each time", Role::Peer, |times| {
            let pool = bb8.clone();
            spread(&runtime, times, move |id| {
                let pool = pool.clone();
                async move {
                    let client = pool.get().await.unwrap();
                    drop(black_box(client.query(SQL, &[&id]).await.unwrap()));
                }
            });
        }),
        Subject::new("sqlx, default", Role::Peer, |times| {
            let pool = sqlx.clone();
            spread(&runtime, times, move |id| {
                let pool = pool.clone();
                async move {
                    let query = sqlx::query(SQL).bind(id);
                    drop(black_box(query.fetch_all(&pool).await.unwrap()));
                }
            });
        }),
        Subject::new("PgBouncer, transaction mode, one round trip", Role::Peer, |times| {
            spread_with(&runtime, times, &bounced, |client, id| async move {
                // 1.18 has no named statements in this mode; this parses, binds and executes at once.
                drop(black_box(client.query_typed(SQL, &[(&id, Type::INT8)]).await.unwrap()));
            });
        }),
        Subject::new("PgBouncer, transaction mode, simple query", Role::Peer, |times| {
            spread_with(&runtime, times, &bounced, |client, id| async move {
                let sql = format!("SELECT id, v FROM t WHERE id = {id}");
                drop(black_box(client.simple_query(&sql).await.unwrap()));
            });
        }),
    ];
    for (lanes, pool) in &pools {
        let name =
            ["", "seawall-pool, 1 lane", "seawall-pool, 2 lanes", "", "seawall-pool, 4 lanes"];
        subjects.push(Subject::new(name[*lanes], Role::Ours, |times| {
            let pool = pool.clone();
            spread(&runtime, times, move |id| {
                let pool = pool.clone();
                async move {
                    drop(black_box(pool.read().shared().query(SQL, &[&id]).await.unwrap()));
                }
            });
        }));
    }
    let mut bench = Bench::new("pool_read");
    bench.case(
        &format!("prepared primary-key SELECT of 256 B, {TASKS} tasks, {CONNECTIONS} connections"),
        subjects,
    );
    bench.finish()?;
    runtime.block_on(async {
        for (_, pool) in pools {
            pool.shutdown().await;
        }
        stack.shutdown().await;
    });
    Ok(())
}

fn pool(runtime: &Runtime, url: &str, lanes: usize) -> Pool {
    let config = PoolConfig {
        primary: NodeConfig::new(url),
        max_size: CONNECTIONS,
        min_idle: CONNECTIONS,
        lanes: LaneConfig { lanes, ..LaneConfig::default() },
        ..PoolConfig::default()
    };
    runtime.block_on(async {
        let pool = Pool::connect(config).await.unwrap();
        pool.warm_up().await.unwrap();
        pool
    })
}

async fn clients(url: &str) -> Vec<(Client, Statement)> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let statement = client.prepare(SQL).await.unwrap();
        clients.push((client, statement));
    }
    clients
}

fn deadpool(url: &str, queue: QueueMode) -> deadpool_postgres::Pool {
    let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(url.parse().unwrap(), NoTls, config);
    let builder = deadpool_postgres::Pool::builder(manager).max_size(CONNECTIONS);
    builder.queue_mode(queue).build().unwrap()
}

async fn select(pool: deadpool_postgres::Pool, id: i64) {
    let client = pool.get().await.unwrap();
    let statement = client.prepare_cached(SQL).await.unwrap();
    drop(black_box(client.query(&statement, &[&id]).await.unwrap()));
}

/// Shares `times` calls of `work` out among the tasks and waits for all.
fn spread<F, W>(runtime: &Runtime, times: u64, work: F)
where
    F: Fn(i64) -> W + Clone + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    spread_with(runtime, times, &[(); TASKS as usize], move |(), id| work(id));
}

/// The same with something for each task.
fn spread_with<T, F, W>(runtime: &Runtime, times: u64, each: &[T], work: F)
where
    T: Clone + Send + 'static,
    F: Fn(T, i64) -> W + Clone + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    runtime.block_on(async {
        let mut done = tokio::task::JoinSet::new();
        for (task, own) in (0..TASKS).zip(each) {
            let share = times / TASKS + u64::from(task < times % TASKS);
            let (work, own) = (work.clone(), own.clone());
            done.spawn(async move {
                for turn in 0..share {
                    let turn = (task * 7919 + turn * 104_729) as i64;
                    work(own.clone(), 1 + turn % ROWS).await;
                }
            });
        }
        done.join_all().await;
    });
}
