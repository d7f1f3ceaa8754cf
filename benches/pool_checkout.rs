//! What does the pool add to a checkout and to a small query? And what does the next
//! caller see after a burst, after a query nobody waits for, and at the end of a line?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;

use bb8_postgres::PostgresConnectionManager;
use bench_harness::{Bench, Role, Row, Subject};
use deadpool_postgres::{Manager, ManagerConfig, QueueMode, RecyclingMethod};
use seawall_devstack::Stack;
use seawall_pool::{NodeConfig, Pool, PoolConfig};
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
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
    let bb8 = runtime.block_on(bb8(&url, CONNECTIONS));
    let sqlx = runtime.block_on(sqlx(&url, CONNECTIONS));

    let pools = Pools { ours: &ours, warm: &warm, fast: &fast, bb8: &bb8, sqlx: &sqlx };
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
            Subject::new("bb8, default", Role::Peer, |times| {
                runtime.block_on(async {
                    for _ in 0..times {
                        let _ = black_box(bb8.get().await.unwrap());
                    }
                });
            }),
            Subject::new("sqlx, default", Role::Peer, |times| {
                runtime.block_on(async {
                    for _ in 0..times {
                        drop(black_box(sqlx.acquire().await.unwrap()));
                    }
                });
            }),
        ],
    );
    crowd(&mut bench, &runtime, &pools);
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
                Subject::new("sqlx, default", Role::Peer, |times| {
                    let pool = sqlx.clone();
                    runtime.block_on(spread(times, tasks, move |id| {
                        let pool = pool.clone();
                        async move {
                            black_box(sqlx::query(SQL).bind(id).fetch_all(&pool).await.unwrap());
                        }
                    }));
                }),
            ],
        );
    }
    wait_in_line(&mut bench, &runtime, &pools);
    after_a_dropped_query(&mut bench, &runtime, &url);
    burst(&mut bench, &runtime, &url);
    bench.finish()?;
    runtime.block_on(async {
        ours.shutdown().await;
        stack.shutdown().await;
    });
    Ok(())
}

type Bb8 = bb8_postgres::bb8::Pool<PostgresConnectionManager<NoTls>>;

/// The same eight connections, four ways.
struct Pools<'a> {
    ours: &'a Pool,
    warm: &'a deadpool_postgres::Pool,
    fast: &'a deadpool_postgres::Pool,
    bb8: &'a Bb8,
    sqlx: &'a PgPool,
}

/// Many tasks take and return; whoever holds a connection lets the others run once.
fn crowd(bench: &mut Bench, runtime: &Runtime, pools: &Pools<'_>) {
    let yielding = |pool: deadpool_postgres::Pool| {
        move |times| {
            let pool = pool.clone();
            runtime.block_on(spread(times, 64, move |_| {
                let pool = pool.clone();
                async move {
                    let held = pool.get().await.unwrap();
                    tokio::task::yield_now().await;
                    drop(held);
                }
            }));
        }
    };
    bench.case(
        &format!(
            "checkout and return, 64 tasks over {CONNECTIONS} connections, holder yields once"
        ),
        vec![
            Subject::new("seawall-pool", Role::Ours, |times| {
                let pool = pools.ours.clone();
                runtime.block_on(spread(times, 64, move |_| {
                    let pool = pool.clone();
                    async move {
                        let held = pool.read().get().await.unwrap();
                        tokio::task::yield_now().await;
                        drop(held);
                    }
                }));
            }),
            Subject::new("deadpool Fast, LIFO", Role::Floor, yielding(pools.warm.clone())),
            Subject::new("deadpool Fast", Role::Peer, yielding(pools.fast.clone())),
            Subject::new("bb8, default", Role::Peer, |times| {
                let pool = pools.bb8.clone();
                runtime.block_on(spread(times, 64, move |_| {
                    let pool = pool.clone();
                    async move {
                        let held = pool.get().await.unwrap();
                        tokio::task::yield_now().await;
                        drop(held);
                    }
                }));
            }),
            Subject::new("sqlx, default", Role::Peer, |times| {
                let pool = pools.sqlx.clone();
                runtime.block_on(spread(times, 64, move |_| {
                    let pool = pool.clone();
                    async move {
                        let held = pool.acquire().await.unwrap();
                        tokio::task::yield_now().await;
                        drop(held);
                    }
                }));
            }),
        ],
    );
}

/// The longest wait of 64 tasks for 8 connections, each held for a query of 2 ms,
/// over the mean wait.
fn wait_in_line(bench: &mut Bench, runtime: &Runtime, pools: &Pools<'_>) {
    const HOLD: &str = "SELECT pg_sleep(0.002)";
    let case = "longest wait over mean wait, 64 tasks over 8 connections, query of 2 ms";
    let ours = || {
        let pool = pools.ours.clone();
        runtime.block_on(longest_over_mean(move || {
            let pool = pool.clone();
            async move {
                let asked = Instant::now();
                let conn = pool.read().get().await.unwrap();
                let waited = asked.elapsed();
                conn.execute(HOLD, &[]).await.unwrap();
                waited
            }
        }))
    };
    let fast = || {
        let pool = pools.fast.clone();
        runtime.block_on(longest_over_mean(move || {
            let pool = pool.clone();
            async move {
                let asked = Instant::now();
                let conn = pool.get().await.unwrap();
                let waited = asked.elapsed();
                conn.execute(&conn.prepare_cached(HOLD).await.unwrap(), &[]).await.unwrap();
                waited
            }
        }))
    };
    let bb8 = || {
        let pool = pools.bb8.clone();
        runtime.block_on(longest_over_mean(move || {
            let pool = pool.clone();
            async move {
                let asked = Instant::now();
                let conn = pool.get().await.unwrap();
                let waited = asked.elapsed();
                conn.execute(HOLD, &[]).await.unwrap();
                waited
            }
        }))
    };
    let sqlx = || {
        let pool = pools.sqlx.clone();
        runtime.block_on(longest_over_mean(move || {
            let pool = pool.clone();
            async move {
                let asked = Instant::now();
                let mut conn = pool.acquire().await.unwrap();
                let waited = asked.elapsed();
                sqlx::query(HOLD).execute(&mut *conn).await.unwrap();
                waited
            }
        }))
    };
    measure(
        bench,
        case,
        "ratio",
        vec![
            ("seawall-pool", Role::Ours, Box::new(ours)),
            ("deadpool Fast", Role::Peer, Box::new(fast)),
            ("bb8, default", Role::Peer, Box::new(bb8)),
            ("sqlx, default", Role::Peer, Box::new(sqlx)),
        ],
    );
}

async fn longest_over_mean<F, W>(work: F) -> f64
where
    F: Fn() -> W + Clone + Send + 'static,
    W: Future<Output = Duration> + Send + 'static,
{
    let (tell, mut told) = mpsc::unbounded_channel();
    spread(64 * 12, 64, move |turn| {
        let (work, tell) = (work.clone(), tell.clone());
        async move {
            let waited = work().await;
            // In the first turns the line is still forming.
            if turn > 1 {
                tell.send(waited).unwrap();
            }
        }
    })
    .await;
    let (mut longest, mut sum, mut count) = (Duration::ZERO, Duration::ZERO, 0);
    while let Some(waited) = told.recv().await {
        (longest, sum, count) = (longest.max(waited), sum + waited, count + 1);
    }
    longest.as_secs_f64() / (sum / count).as_secs_f64()
}

/// A pool of one connection, on it a query of 2 s, dropped after 50 ms: how long the
/// next caller takes to get an answer.
fn after_a_dropped_query(bench: &mut Bench, runtime: &Runtime, url: &str) {
    const SLOW: &str = "SELECT pg_sleep(2)";
    let soon = Duration::from_millis(50);
    let one = PoolConfig {
        primary: NodeConfig::new(url),
        max_size: 1,
        min_idle: 1,
        ..PoolConfig::default()
    };
    let ours_of_one = runtime.block_on(Pool::connect(one)).unwrap();
    let ours = || {
        runtime.block_on(async {
            let _ = timeout(soon, ours_of_one.write().execute(SLOW, &[])).await;
            let asked = Instant::now();
            ours_of_one.write().execute("SELECT 1", &[]).await.unwrap();
            asked.elapsed().as_secs_f64() * 1e3
        })
    };
    let deadpool = sized(url, RecyclingMethod::Fast, QueueMode::Fifo, 1);
    let fast = || {
        runtime.block_on(async {
            let conn = deadpool.get().await.unwrap();
            let _ = timeout(soon, conn.execute(SLOW, &[])).await;
            drop(conn);
            let asked = Instant::now();
            deadpool.get().await.unwrap().execute("SELECT 1", &[]).await.unwrap();
            asked.elapsed().as_secs_f64() * 1e3
        })
    };
    let bb8_of_one = runtime.block_on(bb8(url, 1));
    let bb8 = || {
        runtime.block_on(async {
            let conn = bb8_of_one.get().await.unwrap();
            let _ = timeout(soon, conn.execute(SLOW, &[])).await;
            drop(conn);
            let asked = Instant::now();
            bb8_of_one.get().await.unwrap().execute("SELECT 1", &[]).await.unwrap();
            asked.elapsed().as_secs_f64() * 1e3
        })
    };
    let sqlx_of_one = runtime.block_on(sqlx(url, 1));
    let sqlx = || {
        runtime.block_on(async {
            let mut conn = sqlx_of_one.acquire().await.unwrap();
            let _ = timeout(soon, sqlx::query(SLOW).execute(&mut *conn)).await;
            drop(conn);
            let asked = Instant::now();
            sqlx::query("SELECT 1").execute(&sqlx_of_one).await.unwrap();
            asked.elapsed().as_secs_f64() * 1e3
        })
    };
    let case = "next answer of a pool of one after a query of 2 s dropped at 50 ms";
    measure(
        bench,
        case,
        "ms",
        vec![
            ("seawall-pool", Role::Ours, Box::new(ours)),
            ("deadpool Fast", Role::Peer, Box::new(fast)),
            ("bb8, default", Role::Peer, Box::new(bb8)),
            ("sqlx, default", Role::Peer, Box::new(sqlx)),
        ],
    );
    runtime.block_on(ours_of_one.shutdown());
}

/// How many connections 50 callers at once make a pool of one grow to, if a
/// connection takes 150 ms and a query 2 ms.
fn burst(bench: &mut Bench, runtime: &Runtime, url: &str) {
    const QUICK: &str = "SELECT pg_sleep(0.002)";
    let server: SocketAddr = url.split(['@', '/']).nth(3).unwrap().parse().unwrap();
    let door = runtime.block_on(slow_door(server, Duration::from_millis(150)));
    let url = url.replace(&server.to_string(), &door.to_string());
    let ours = || {
        let config = PoolConfig {
            primary: NodeConfig::new(url.clone()),
            max_size: 50,
            min_idle: 0,
            ..PoolConfig::default()
        };
        runtime.block_on(async {
            let pool = Pool::connect(config).await.unwrap();
            let caller = pool.clone();
            spread(50, 50, move |_| {
                let pool = caller.clone();
                async move { assert!(pool.read().execute(QUICK, &[]).await.is_ok()) }
            })
            .await;
            let opened = pool.status().nodes[0].size;
            pool.shutdown().await;
            opened as f64
        })
    };
    let fast = || {
        let pool = sized(&url, RecyclingMethod::Fast, QueueMode::Fifo, 50);
        runtime.block_on(async {
            drop(pool.get().await.unwrap());
            let caller = pool.clone();
            spread(50, 50, move |_| {
                let pool = caller.clone();
                async move { assert!(pool.get().await.unwrap().execute(QUICK, &[]).await.is_ok()) }
            })
            .await;
            pool.status().size as f64
        })
    };
    let bb8 = || {
        runtime.block_on(async {
            let pool = bb8(&url, 50).await;
            drop(pool.get().await.unwrap());
            let caller = pool.clone();
            spread(50, 50, move |_| {
                let pool = caller.clone();
                async move { assert!(pool.get().await.unwrap().execute(QUICK, &[]).await.is_ok()) }
            })
            .await;
            f64::from(pool.state().connections)
        })
    };
    let sqlx = || {
        runtime.block_on(async {
            let pool = sqlx(&url, 50).await;
            drop(pool.acquire().await.unwrap());
            let caller = pool.clone();
            spread(50, 50, move |_| {
                let pool = caller.clone();
                async move { assert!(sqlx::query(QUICK).execute(&pool).await.is_ok()) }
            })
            .await;
            let opened = f64::from(pool.size());
            pool.close().await;
            opened
        })
    };
    measure(
        bench,
        "connections opened by 50 callers at once, connect 150 ms, query 2 ms",
        "",
        vec![
            ("seawall-pool", Role::Ours, Box::new(ours)),
            ("deadpool Fast", Role::Peer, Box::new(fast)),
            ("bb8, default", Role::Peer, Box::new(bb8)),
            ("sqlx, default", Role::Peer, Box::new(sqlx)),
        ],
    );
}

type Measured<'a> = (&'static str, Role, Box<dyn FnMut() -> f64 + 'a>);

/// A case that is not a time per operation: each subject once a round, at most five.
fn measure(bench: &mut Bench, case: &str, unit: &'static str, mut subjects: Vec<Measured<'_>>) {
    let mut values = vec![Vec::new(); subjects.len()];
    for _ in 0..bench.rounds().min(5) {
        for ((_, _, run), values) in subjects.iter_mut().zip(&mut values) {
            values.push(run());
        }
    }
    for ((subject, role, _), values) in subjects.into_iter().zip(values) {
        bench.add(Row::of(case, subject, role, unit, values));
    }
}

/// A way to `server` that takes its time to let each connection in.
async fn slow_door(server: SocketAddr, delay: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                sleep(delay).await;
                // Late comers may find that all is over.
                let Ok(mut server) = TcpStream::connect(server).await else { return };
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    door
}

async fn bb8(url: &str, size: usize) -> Bb8 {
    let manager = PostgresConnectionManager::new_from_stringlike(url, NoTls).unwrap();
    let size = u32::try_from(size).unwrap();
    bb8_postgres::bb8::Pool::builder().max_size(size).build(manager).await.unwrap()
}

/// Opens them as they are needed, at the latest when all are in use.
async fn sqlx(url: &str, size: usize) -> PgPool {
    let size = u32::try_from(size).unwrap();
    PgPoolOptions::new().max_connections(size).connect(url).await.unwrap()
}

fn deadpool(
    url: &str,
    recycling_method: RecyclingMethod,
    queue: QueueMode,
) -> deadpool_postgres::Pool {
    sized(url, recycling_method, queue, CONNECTIONS)
}

fn sized(
    url: &str,
    recycling_method: RecyclingMethod,
    queue: QueueMode,
    size: usize,
) -> deadpool_postgres::Pool {
    let config = url.parse().unwrap();
    let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method });
    deadpool_postgres::Pool::builder(manager).max_size(size).queue_mode(queue).build().unwrap()
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
