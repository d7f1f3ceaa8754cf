//! Who does what: clients that read and write, and trouble.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use seawall_cache::{ChaosConfig, Got, Layer, Load, Loaded};
use tokio::time::{Instant, sleep, timeout};

use crate::history::{Answer, Reading};
use crate::world::{KEYS, NODES, Node, Row, World, usual};

#[derive(Debug, Clone, thiserror::Error)]
#[error("the origin is down")]
struct Down;

/// Reads and writes on one node until the world ends.
pub(crate) async fn client(world: Arc<World>, place: usize, actor: u64) {
    let mut random = world.random(actor * NODES as u64 + place as u64);
    while Instant::now() < world.ends {
        let node = world.at(place);
        let key = random.random_range(0..KEYS);
        match random.random_range(0..100) {
            0..60 => read(&world, &node, key, &mut random).await,
            60..68 => read_many(&world, &node, &mut random).await,
            68..80 => remove(&world, &node, key).await,
            80..88 => set(&world, &node, key).await,
            88..93 => invalidate_tag(&world, &node, key).await,
            93..95 => clear(&world, &node, &mut random).await,
            95..97 => drop(node.cache.expire_tag(tag(key)).await),
            _ => sleep(Duration::from_millis(random.random_range(0..200))).await,
        }
        sleep(Duration::from_millis(random.random_range(0..20))).await;
    }
}

async fn read(world: &Arc<World>, node: &Node, key: u64, random: &mut StdRng) {
    let reading = begin(world, node, key);
    let load = {
        let world = Arc::clone(world);
        let takes = Duration::from_millis(random.random_range(0..30));
        let fails = random.random_ratio(1, 20);
        move |_load: Load<Row>| async move {
            let loaded = load(&world, key);
            sleep(takes).await;
            if fails { Err(Down) } else { Ok(loaded) }
        }
    };
    // Some callers leave early.
    let patience = if random.random_ratio(1, 10) { 5 } else { 30_000 };
    let asked = node.cache.get_or_load(&key, load);
    match timeout(Duration::from_millis(patience), asked).await {
        Ok(Ok(got)) => end(world, reading, &got),
        Err(_) if patience > 5 => world.history.lock().wrong(format!("{reading} hangs")),
        Ok(Err(_)) | Err(_) => {}
    }
}

async fn read_many(world: &Arc<World>, node: &Node, random: &mut StdRng) {
    let keys: Vec<u64> = (0..KEYS).collect();
    let readings: Vec<Reading> = keys.iter().map(|key| begin(world, node, *key)).collect();
    let takes = Duration::from_millis(random.random_range(0..30));
    let load = {
        let world = Arc::clone(world);
        move |missing: Vec<u64>, _load| {
            let world = Arc::clone(&world);
            async move {
                let rows: Vec<(u64, Loaded<Row>)> =
                    missing.into_iter().map(|key| (key, load(&world, key))).collect();
                sleep(takes).await;
                Ok::<_, Down>(rows)
            }
        }
    };
    let answers = node.cache.get_many_or_load(&keys, load).await;
    for (reading, answer) in readings.into_iter().zip(answers) {
        if let Ok(got) = answer {
            end(world, reading, &got);
        }
    }
}

async fn remove(world: &World, node: &Node, key: u64) {
    let version = write(world, key);
    let written = if world.sources {
        node.cache.remove_after(&key, version).await
    } else {
        node.cache.remove(&key).await
    };
    world.tell(|| format!("node {} removed {key} as of {version}: {written:?}", node.id));
    acknowledge(world, node, key, version, written.is_partial());
}

/// Sets of one key from two nodes have no order of their own: only with sources do they promise
/// anything. Without, it is a removal that leaves a value.
async fn set(world: &World, node: &Node, key: u64) {
    if !world.sources {
        return remove(world, node, key).await;
    }
    let version = write(world, key);
    let row = Loaded::new(Row { key, version }).source(version).tags([tag(key)]);
    let written = node.cache.set(&key, row).await;
    world.tell(|| format!("node {} set {key} to {version}: {written:?}", node.id));
    acknowledge(world, node, key, version, written.is_partial());
}

/// Not beside sets: one that was called before may be ordered after, and neither names a source.
async fn invalidate_tag(world: &World, node: &Node, key: u64) {
    if world.sources {
        return remove(world, node, key).await;
    }
    let of_tag: Vec<u64> = (0..KEYS).filter(|other| tag(*other) == tag(key)).collect();
    let written: Vec<(u64, u64)> = of_tag.iter().map(|key| (*key, write(world, *key))).collect();
    let cleared = node.cache.invalidate_tag(tag(key)).await;
    world.tell(|| format!("node {} invalidated {}: {written:?} {cleared:?}", node.id, tag(key)));
    for (key, version) in written {
        acknowledge(world, node, key, version, cleared.is_partial());
    }
}

async fn clear(world: &World, node: &Node, random: &mut StdRng) {
    if world.sources {
        return remove(world, node, 0).await;
    }
    let written: Vec<(u64, u64)> = (0..KEYS).map(|key| (key, write(world, key))).collect();
    let cleared = match random.random_range(0..3) {
        0 => node.cache.clear().await,
        1 => node.cache.remove_prefix("").await,
        _ => node.cache.remove_matching("*").await,
    };
    world.tell(|| format!("node {} cleared: {written:?} {cleared:?}", node.id));
    for (key, version) in written {
        acknowledge(world, node, key, version, cleared.is_partial());
    }
}

/// Networks break, nodes crash.
pub(crate) async fn trouble(world: Arc<World>) {
    let mut random = world.random(99);
    while Instant::now() < world.ends {
        sleep(Duration::from_millis(random.random_range(0..120))).await;
        let place = random.random_range(0..NODES);
        let node = world.at(place);
        let lasts = Duration::from_millis(random.random_range(0..250));
        match random.random_range(0..6) {
            0 => trouble_with(&world, &node, ChaosConfig::gone(), lasts).await,
            1 => trouble_with(&world, &node, ChaosConfig::frozen(), lasts).await,
            2 => {
                let mut lossy = usual();
                (lossy.hang, lossy.lose_answer, lossy.late) = (0.1, 0.1, 0.1);
                trouble_with(&world, &node, lossy, lasts).await;
            }
            3 | 4 => {
                world.tell(|| format!("node {} is cut off the bus", node.id));
                linked(&world, place, node.id, None);
                node.chaos.cut_link();
                sleep(lasts).await;
                node.chaos.mend_link();
                linked(&world, place, node.id, Some(Instant::now()));
                world.tell(|| format!("node {} hears the bus again", node.id));
            }
            _ => {
                world.tell(|| format!("node {} crashes", node.id));
                world.history.lock().crashed();
                // What it had under way never gets anywhere.
                let _ = node.chaos.set(ChaosConfig::frozen());
                node.chaos.cut_link();
                let fresh = world.node();
                world.nodes.lock()[place] = fresh;
            }
        }
    }
}

async fn trouble_with(world: &World, node: &Node, config: ChaosConfig, lasts: Duration) {
    world.tell(|| format!("node {}: {config:?} for {lasts:?}", node.id));
    let _ = node.chaos.set(config);
    sleep(lasts).await;
    let _ = node.chaos.set(usual());
    world.tell(|| format!("node {}: the network is back", node.id));
}

/// When all is well again, all agree.
pub(crate) async fn calm(world: &Arc<World>) {
    sleep(Duration::from_secs(30)).await;
    for place in 0..NODES {
        let node = world.at(place);
        for key in 0..KEYS {
            let reading = begin(world, &node, key);
            let load = {
                let world = Arc::clone(world);
                move |_load: Load<Row>| async move { Ok::<_, Down>(load(&world, key)) }
            };
            let current = world.origin.lock()[key as usize];
            match node.cache.get_or_load(&key, load).await {
                Ok(got) => {
                    let version = got.value.as_ref().map(|row| row.version);
                    if version != Some(current) || got.degraded {
                        let what = format!("after the storm {reading} has {got:?}, not {current}");
                        world.history.lock().wrong(what);
                    }
                    end(world, reading, &got);
                }
                Err(error) => {
                    world.history.lock().wrong(format!("after the storm {reading}: {error}"));
                }
            }
        }
    }
}

fn load(world: &World, key: u64) -> Loaded<Row> {
    let version = world.origin.lock()[key as usize];
    let loaded = Loaded::new(Row { key, version }).tags([tag(key)]);
    if world.sources { loaded.source(version) } else { loaded }
}

fn write(world: &World, key: u64) -> u64 {
    let mut origin = world.origin.lock();
    origin[key as usize] += 1;
    origin[key as usize]
}

fn begin(world: &World, node: &Node, key: u64) -> Reading {
    // Whether it is linked now, not when the actor looked it up.
    let linked = world.nodes.lock().iter().find(|it| it.id == node.id).and_then(|it| it.linked_since);
    world.history.lock().reading(key, node.id, linked, Instant::now())
}

fn end(world: &World, reading: Reading, got: &Got<Row>) {
    let version = got.value.as_ref().map_or(0, |row| row.version);
    let from_l1 = got.layer == Layer::L1;
    let answer = Answer { version, degraded: got.degraded, from_l1 };
    let mut history = world.history.lock();
    history.tell(|| format!("{reading} (asked {:?} ago) answered {version} from {:?}, {:?} old{}", reading.since(), got.layer, got.age, if got.degraded { ", degraded" } else { "" }));
    history.answered(reading, answer);
}

fn acknowledge(world: &World, node: &Node, key: u64, version: u64, partial: bool) {
    world.history.lock().acknowledged(key, version, node.id, partial, Instant::now());
}

fn linked(world: &World, place: usize, id: u64, since: Option<Instant>) {
    let mut nodes = world.nodes.lock();
    if nodes[place].id == id {
        nodes[place].linked_since = since;
    }
}

fn tag(key: u64) -> &'static str {
    if key.is_multiple_of(2) { "even" } else { "odd" }
}
