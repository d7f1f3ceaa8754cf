use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;

use super::program::{Served, TURN, is_alive, wait_for};

const CALLERS: u64 = 16;

#[tokio::test(flavor = "multi_thread")]
async fn losing_a_replica_then_redis_then_both_replicas_costs_no_read() {
    let _turn = TURN.lock().await;
    let market = Arc::new(Served::start(&["--no-limits"]));
    let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (market, stop, reads) =
                (Arc::clone(&market), Arc::clone(&stop), Arc::clone(&reads));
            tokio::spawn(async move {
                let mut failures = Vec::new();
                let mut turn = caller;
                while !stop.load(Ordering::Relaxed) {
                    // A third of them miss every cache and reach a database each time.
                    let path = match turn % 3 {
                        0 => format!("/api/auctions/{}", 1 + turn % 2_000),
                        1 => format!("/api/auctions?page=1&per_page=20&min_cents={turn}"),
                        _ => "/api/auctions/top".to_owned(),
                    };
                    let answer = market.get(&path).await;
                    if answer.status != StatusCode::OK {
                        failures.push(format!("{path}: {} {}", answer.status, answer.json()));
                    }
                    reads.fetch_add(1, Ordering::Relaxed);
                    turn += CALLERS;
                }
                failures
            })
        })
        .collect();

    let more = async |count: u64| {
        let target = reads.load(Ordering::Relaxed) + count;
        let done = async || reads.load(Ordering::Relaxed) >= target;
        wait_for("reads go on", Duration::from_secs(180), done).await;
    };
    more(500).await;
    for server in ["replica-1", "redis", "replica-2"] {
        market.kill(server);
        more(1_000).await;
    }
    let health = market.get("/health").await;
    assert_eq!(health.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(health.json()["checks"]["redis"]["status"], "failed", "{}", health.json());
    assert_eq!(health.json()["checks"]["database"]["status"], "ok", "{}", health.json());
    assert_eq!(market.get("/ready").await.status, StatusCode::OK);

    // Writes need neither, and are read back at once.
    let token = market.sign_in(3).await;
    let price = market.get("/api/auctions/47").await.json()["current_cents"].as_i64().unwrap();
    let offer = format!(r#"{{"amount_cents":{}}}"#, price + 1);
    assert_eq!(
        market.post("/api/auctions/47/bids", &token, &offer).await.status,
        StatusCode::CREATED
    );
    assert_eq!(market.get("/api/auctions/47").await.json()["current_cents"], price + 1);

    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        let failures = caller.await.unwrap();
        assert!(failures.is_empty(), "{} failed reads, the first: {}", failures.len(), failures[0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_program_leaves_no_server_and_no_folder() {
    let _turn = TURN.lock().await;
    let mut market = Served::start(&[]);
    let pids: Vec<_> = market.servers.iter().map(|(name, ..)| market.pid(name)).collect();
    assert_eq!(pids.len(), 4, "primary, two replicas, Redis");
    assert!(pids.iter().all(|&pid| is_alive(pid)) && market.folder.exists());
    market.kill_program();
    let gone = async || !pids.iter().any(|&pid| is_alive(pid)) && !market.folder.exists();
    wait_for("servers and folder are gone", Duration::from_secs(60), gone).await;
}
