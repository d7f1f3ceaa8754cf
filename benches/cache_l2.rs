//! What does a read of L2 cost, beside a bare GET? And how late is a write elsewhere heard of?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::hint::black_box;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bench_harness::{Bench, Role, Row, Subject};
use bytes::Bytes;
use fred::interfaces::{ClientLike, KeysInterface};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use redis::AsyncCommands;
use seawall_cache::{Guarded, Redis, RedisConfig, Watcher};
use seawall_devstack::Stack;
use seawall_redis::{Masters, Settings};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep};

const KEYS: usize = 10_000;
const DRAWS: usize = 1 << 14;
const VALUE: [u8; 256] = [7; 256];
/// Of the writes that are heard of, in one round.
const WRITES: usize = 500;

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stack = runtime.block_on(Stack::builder().redis().start()).unwrap();
    let url = stack.redis().unwrap().url();
    let mut bench = Bench::new("cache_l2");
    reads(&mut bench, &runtime, &url);
    for row in heard(&runtime, &url, bench.rounds()) {
        bench.add(row);
    }
    bench.finish()
}

fn reads(bench: &mut Bench, runtime: &Runtime, url: &str) {
    let (ours, folded, fred, redis) = runtime.block_on(async {
        let ours = Redis::connect(config(url)).await.unwrap();
        let fred_config = fred::types::config::Config::from_url(url).unwrap();
        let fred = fred::types::Builder::from_config(fred_config).build().unwrap();
        fred.init().await.unwrap();
        let client = redis::Client::open(url).unwrap();
        let redis = client.get_multiplexed_async_connection().await.unwrap();
        for number in 0..KEYS {
            let (key, value) = (format!("seawall:bench:{number}"), Bytes::from_static(&VALUE));
            let _: () = fred.set(key, value, None, None, false).await.unwrap();
        }
        let settings = Settings { url: url.into(), ..Settings::default() };
        let folded = Masters::connect(&settings).await.unwrap().routes().to(0).unwrap();
        while folded.reads().is_none() {
            sleep(Duration::from_millis(1)).await;
        }
        (Guarded::from(ours), folded, fred, redis)
    });
    let mut random = StdRng::seed_from_u64(1);
    let drawn: Vec<usize> = (0..DRAWS).map(|_| random.random_range(0..KEYS)).collect();
    let texts: Arc<[String]> = drawn.iter().map(|number| format!("bench:{number}")).collect();
    let keys: Arc<[String]> = texts.iter().map(|text| format!("seawall:{text}")).collect();
    for tasks in [1, 16, 128] {
        let (get, texts) = (ours.clone(), Arc::clone(&texts));
        let read_ours = each(runtime, tasks, move |turn| {
            let (ours, texts) = (get.clone(), Arc::clone(&texts));
            async move { ours.read(&texts[turn]).await.unwrap().bytes }
        });
        let (get, names) = (folded.clone(), Arc::clone(&keys));
        let read_folded = each(runtime, tasks, move |turn| {
            let (way, keys) = (get.clone(), Arc::clone(&names));
            async move {
                let until = Instant::now() + Duration::from_millis(100);
                let key = Bytes::copy_from_slice(keys[turn].as_bytes());
                way.reads().unwrap().ask(key, until).await.unwrap()
            }
        });
        let (get, names) = (fred.clone(), Arc::clone(&keys));
        let read_fred = each(runtime, tasks, move |turn| {
            let (fred, keys) = (get.clone(), Arc::clone(&names));
            async move { fred.get::<Option<Bytes>, _>(&keys[turn]).await.unwrap() }
        });
        let (get, names) = (redis.clone(), Arc::clone(&keys));
        let read_redis = each(runtime, tasks, move |turn| {
            let (mut redis, keys) = (get.clone(), Arc::clone(&names));
            async move { redis.get::<_, Option<Bytes>>(&keys[turn]).await.unwrap() }
        });
        bench.case(
            &format!("256 B out of Redis, {tasks} tasks on one thread"),
            vec![
                Subject::new("seawall-cache, read of L2", Role::Ours, read_ours),
                Subject::new("the fold alone", Role::Floor, read_folded),
                Subject::new("fred, GET", Role::Floor, read_fred),
                Subject::new("redis-rs, GET, multiplexed", Role::Peer, read_redis),
            ],
        );
    }
}

/// Runs an operation so many times, each task the same share of them.
fn each<F>(
    runtime: &Runtime,
    tasks: usize,
    operation: impl Fn(usize) -> F + Clone + Send + 'static,
) -> impl FnMut(u64)
where
    F: Future<Output = Option<Bytes>> + Send + 'static,
{
    move |times| {
        let task = |first: usize| {
            let operation = operation.clone();
            async move {
                for turn in (first..times as usize).step_by(tasks) {
                    assert!(black_box(operation(turn % DRAWS).await).is_some());
                }
            }
        };
        runtime.block_on(async {
            let tasks: Vec<_> = (0..tasks).map(|first| tokio::spawn(task(first))).collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    }
}

fn config(url: &str) -> RedisConfig {
    RedisConfig { url: url.into(), ..RedisConfig::default() }
}

struct Ear(UnboundedSender<Instant>);

impl Watcher for Ear {
    fn changed(&self, _text: &str, _version: Option<u64>) {
        let _ = self.0.send(Instant::now());
    }

    fn landed(&self, _text: &str) {}

    fn lost(&self, _node: Option<u32>) {}

    fn link(&self, _node: u32, _up: bool) {}

    fn proved(&self, _at: Instant) {}
}

/// From sending a write to hearing of it elsewhere, beside the round trip of that write.
fn heard(runtime: &Runtime, url: &str, rounds: usize) -> Vec<Row> {
    runtime.block_on(async {
        let ours = Guarded::from(Redis::connect(config(url)).await.unwrap());
        let (sender, mut heard) = unbounded_channel();
        let ear: Arc<dyn Watcher> = Arc::new(Ear(sender));
        let weak: Weak<dyn Watcher> = Arc::downgrade(&ear);
        assert!(ours.watch("bench", weak));
        let client = redis::Client::open(url).unwrap();
        let mut writer = client.get_multiplexed_async_connection().await.unwrap();
        let mut percentiles = [[Vec::new(), Vec::new()], [Vec::new(), Vec::new()]];
        for _ in 0..rounds {
            let mut times = [Vec::new(), Vec::new()];
            for turn in 0..WRITES {
                let (trip, heard) = write(&mut writer, &mut heard, turn).await;
                times[0].push(heard);
                times[1].push(trip);
            }
            for (times, percentiles) in times.iter_mut().zip(&mut percentiles) {
                times.sort_by(f64::total_cmp);
                percentiles[0].push(times[WRITES / 2]);
                percentiles[1].push(times[WRITES * 99 / 100]);
            }
        }
        let [[heard_half, heard_most], [trip_half, trip_most]] = percentiles;
        let row = |case: &str, name: &str, role, rounds| Row::of(case, name, role, "ns", rounds);
        let (half, most) = ("a write elsewhere, median", "a write elsewhere, p99");
        vec![
            row(half, "seawall-cache, told of it", Role::Ours, heard_half),
            row(half, "its round trip", Role::Floor, trip_half),
            row(most, "seawall-cache, told of it", Role::Ours, heard_most),
            row(most, "its round trip", Role::Floor, trip_most),
        ]
    })
}

/// How long the write took, and until it was heard of, in nanoseconds.
async fn write(
    writer: &mut redis::aio::MultiplexedConnection,
    heard: &mut UnboundedReceiver<Instant>,
    turn: usize,
) -> (f64, f64) {
    let key = format!("seawall:bench:{}", turn % KEYS);
    let sent = Instant::now();
    let acknowledged = async {
        let _: () = writer.set(&key, &VALUE[..]).await.unwrap();
        Instant::now()
    };
    let (acknowledged, heard) = tokio::join!(acknowledged, heard.recv());
    let after = |moment: Instant| moment.duration_since(sent).as_nanos() as f64;
    (after(acknowledged), after(heard.unwrap()))
}
