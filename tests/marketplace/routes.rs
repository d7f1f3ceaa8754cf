use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::program::{Served, TURN, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn every_route_answers_and_bad_input_gets_a_problem() {
    let _turn = TURN.lock().await;
    let market = Served::start(&[]);
    reads(&market).await;
    bids(&market).await;
    bad_input(&market).await;
    abandoned_bids(&market).await;
    limits(&market).await;
}

async fn reads(market: &Served) {
    let list = market.get("/api/auctions?page=2&per_page=5&status=open&min_cents=1").await;
    assert_eq!(list.status, StatusCode::OK);
    let auctions = list.json()["auctions"].as_array().unwrap().clone();
    assert_eq!(auctions.len(), 5);
    assert!(auctions.iter().all(|auction| auction["status"] == "open"));

    let one = market.get("/api/auctions/42").await;
    assert_eq!((one.status, one.json()["id"].as_u64()), (StatusCode::OK, Some(42)));
    assert!(one.headers.contains_key("ratelimit"), "{:?}", one.headers);

    let top = market.get("/api/auctions/top").await;
    assert_eq!(top.status, StatusCode::OK);
    assert!(!top.json()["auctions"].as_array().unwrap().is_empty());

    let health = market.get("/health").await;
    assert_eq!(health.status, StatusCode::OK, "{}", health.json());
    for check in ["database", "redis", "disk"] {
        assert_eq!(health.json()["checks"][check]["status"], "ok");
        assert!(health.json()["checks"][check]["took_ms"].is_number());
    }
    assert_eq!(market.get("/ready").await.status, StatusCode::OK);

    let metrics = market.get("/metrics").await;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    for name in [
        "http_server_request_duration_seconds_count",
        "seawall_cache_requests_total",
        "seawall_pool_queries_total",
        "seawall_limit_decisions_total",
    ] {
        assert!(text.contains(name), "{name} is missing");
    }
    assert!(text.contains("http_route=\"/api/auctions/{id}\""), "routes are templates");
}

async fn bids(market: &Served) {
    let token = market.sign_in(7).await;
    let price = market.get("/api/auctions/43").await.json()["current_cents"].as_i64().unwrap();
    let offer = json!({ "amount_cents": price + 100 }).to_string();
    let placed = market.post("/api/auctions/43/bids", &token, &offer).await;
    assert_eq!(placed.status, StatusCode::CREATED, "{}", placed.json());
    let shown = market.get("/api/auctions/43").await.json()["current_cents"].as_i64();
    assert_eq!(shown, Some(price + 100), "a read after the acknowledgement shows the bid");

    let low = market.post("/api/auctions/43/bids", &token, &offer).await.assert_problem(409);
    assert_eq!(low["current_cents"], price + 100);
    market
        .post("/api/auctions/40/bids", &token, r#"{"amount_cents":99999999}"#)
        .await
        .assert_problem(409);

    let mine = market
        .send(
            market
                .request("GET", "/api/users/me/bids")
                .header("authorization", format!("Bearer {token}"))
                .header("x-read-after", &placed.headers["x-read-after"]),
            "",
        )
        .await;
    let bids = mine.json()["bids"].as_array().unwrap().clone();
    assert!(
        bids.iter().any(|bid| bid["bid_id"] == placed.json()["bid_id"] && bid["leading"] == true)
    );
}

async fn bad_input(market: &Served) {
    let token = market.sign_in(8).await;
    let bids = "/api/auctions/43/bids";
    market.post(bids, &token, "{").await.assert_problem(400);
    market.post(bids, &token, r#"{"amount_cents":"much"}"#).await.assert_problem(422);
    market.post(bids, &token, r#"{"amount_cents":-1}"#).await.assert_problem(400);
    market.post(bids, &token, r#"{"amount_cents":1,"more":2}"#).await.assert_problem(422);
    market.post(bids, "", r#"{"amount_cents":1}"#).await.assert_problem(401);
    market.post(bids, "7.9999999999.forged", r#"{"amount_cents":1}"#).await.assert_problem(401);
    market
        .post("/api/auctions/999999999/bids", &token, r#"{"amount_cents":1}"#)
        .await
        .assert_problem(404);
    market
        .post("/api/login", "", r#"{"email":"user1@example.com","password":"no"}"#)
        .await
        .assert_problem(401);
    market
        .post("/api/login", "", r#"{"email":"nobody","password":"no"}"#)
        .await
        .assert_problem(401);

    market.get("/api/auctions/999999999").await.assert_problem(404);
    market.get("/api/auctions/18446744073709551615").await.assert_problem(404);
    market.get("/api/auctions/fortytwo").await.assert_problem(400);
    for query in ["page=0", "page=501", "per_page=101", "status=lost", "page=x", "color=red"] {
        market.get(&format!("/api/auctions?{query}")).await.assert_problem(400);
    }
    market.get("/nowhere").await.assert_problem(404);
    let wrong = market.send(market.request("DELETE", "/api/auctions/42"), "").await;
    wrong.assert_problem(405);
    assert!(wrong.headers.contains_key("allow"));

    market.get("/api/auctions?min_cents=-1").await.assert_problem(400);
    market.get("/api/auctions?min_cents=2&max_cents=1").await.assert_problem(400);
    market.post("/metrics", "", "").await.assert_problem(405);
    market
        .post("/api/login", "", r#"{"email":"a\u0000b","password":"no"}"#)
        .await
        .assert_problem(400);
    let large = format!(r#"{{"email":"nobody","password":"{}"}}"#, "x".repeat(3_000_000));
    let answer = market.post("/api/login", "", &large).await.assert_problem(400);
    assert!(
        answer["detail"].as_str().unwrap().contains("password"),
        "3 MB pass the guard: {answer}"
    );

    let long = "x".repeat(2_048);
    market.get(&format!("/api/auctions?status={long}")).await.assert_problem(414);
    let many = "a&".repeat(101);
    market.get(&format!("/api/auctions?{many}")).await.assert_problem(400);
    let mut request = market.request("GET", "/api/auctions/42");
    for number in 0..60 {
        request = request.header(format!("x-header-{number}"), "1");
    }
    market.send(request, "").await.assert_problem(431);
    // The announcement is enough: a client that waits for the answer sends none of it.
    let head = format!(
        "POST {bids} HTTP/1.1\r\nhost: market\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        10 * 1024 * 1024 + 1
    );
    let answer = market.raw(&head).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
}

/// A client that goes away between the commit and the answer must not leave the
/// readers with the price of before.
async fn abandoned_bids(market: &Served) {
    let token = market.sign_in(10).await;
    let body = r#"{"amount_cents":5000000}"#;
    let auctions: Vec<i64> = (101..500).filter(|id| id % 10 != 0).collect();
    for (turn, auction) in (0_u64..).zip(&auctions) {
        // In the cache, so that there is something to forget.
        market.get(&format!("/api/auctions/{auction}")).await;
        let request = format!(
            "POST /api/auctions/{auction}/bids HTTP/1.1\r\nhost: m\r\nauthorization: Bearer {token}\r\n\
             x-forwarded-for: 198.51.100.{}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            turn % 250,
            body.len()
        );
        // Somewhere between the first byte and the answer.
        market.abandon(&request, Duration::from_micros(500 + 10 * turn)).await;
    }
    let database = market.primary().await;
    let stale = async || {
        let sql = "SELECT id, current_cents FROM auctions WHERE id = ANY($1)";
        let mut stale = Vec::new();
        for row in database.query(sql, &[&auctions]).await.unwrap() {
            let (id, cents): (i64, i64) = (row.get(0), row.get(1));
            if market.get(&format!("/api/auctions/{id}")).await.json()["current_cents"] != cents {
                stale.push(id);
            }
        }
        stale
    };
    let fresh = async || stale().await.is_empty();
    wait_for("the API shows what the database holds", Duration::from_secs(120), fresh).await;
}

async fn limits(market: &Served) {
    let token = market.sign_in(9).await;
    let mut limited = None;
    // Many more than the quota, which fills up again while they are sent.
    for _ in 0..200 {
        let request = market
            .request("POST", "/api/auctions/43/bids")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"))
            .header("x-forwarded-for", "203.0.113.9");
        let answer = market.send(request, r#"{"amount_cents":1}"#).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            limited = Some(answer);
            break;
        }
    }
    let limited = limited.expect("50 bids a minute are the most");
    limited.assert_problem(429);
    assert!(limited.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    assert!(limited.headers["ratelimit"].to_str().unwrap().contains("\"bids\""));
    let other = market.request("GET", "/api/auctions/42").header("x-forwarded-for", "203.0.113.10");
    assert_eq!(
        market.send(other, "").await.status,
        StatusCode::OK,
        "another address is another quota"
    );
}
