//! What is written elsewhere, as a cache sees it that has the old value in its L1.

use seawall_cache::{Coherence, Layer, Redis, RedisConfig};

use crate::tracking::HEARTBEAT;
use crate::{Numbers, cache, cached, config, connect, load, stack, until};

/// Case 21: by software that knows nothing of this cache.
#[tokio::test]
async fn what_others_set_delete_or_flush_leaves_l1() {
    let stack = stack().await;
    let server = stack.redis().expect("asked for");
    let config = RedisConfig { heartbeat: HEARTBEAT, ..config(server.url()) };
    let numbers = cache(&Redis::connect(config).await.expect("it is up"));
    let changes: [&[&str]; 5] = [
        &["SET", "seawall:numbers:1", "somebody else's"],
        &["DEL", "seawall:numbers:1"],
        &["PEXPIRE", "seawall:numbers:1", "1"],
        &["FLUSHDB"],
        &["FLUSHALL"],
    ];
    for change in changes {
        load(&numbers, 1, 10).await;
        let known = async || numbers.get(&1).await.expect("in reach");
        // The echo of the fill may still be on its way, and takes a look at L2.
        until("it is in L1", || async { known().await.is_some_and(|it| it.layer == Layer::L1) })
            .await;
        server.command(change).await.expect("it is up");
        until(&format!("gone from L1 after {change:?}"), || async { known().await.is_none() })
            .await;
    }
}

/// Case 41: the version of the write, taken along, makes up for what nobody tells.
#[tokio::test]
async fn who_brings_the_version_of_a_write_reads_nothing_older_where_nobody_tells() {
    let stack = stack().await;
    let url = stack.redis().expect("asked for").url();
    let untold = RedisConfig { tracking: false, ..config(url) };
    let a = cache(&connect(&stack).await);
    let b: Numbers = cache(&Redis::connect(untold).await.expect("it is up"));
    assert_eq!(b.status().coherence, Coherence::Unwatched);
    for round in 0..20 {
        let _ = a.set(&1, round).await;
        until("b has it", || async { cached_or_none(&b).await == Some(round) }).await;
        let written = a.set(&1, round + 100).await;
        assert_eq!(cached(&b, 1).await, Some(round), "nobody told");
        b.told(&1, written.version.expect("acknowledged"));
        assert_eq!(cached(&b, 1).await, Some(round + 100));
        let removed = a.remove(&1).await;
        b.told(&1, removed.version.expect("acknowledged"));
        assert_eq!(cached_or_none(&b).await, None);
    }
}

async fn cached_or_none(numbers: &Numbers) -> Option<u64> {
    let got = numbers.get(&1).await.expect("in reach");
    got.and_then(|got| got.value.as_deref().copied())
}
