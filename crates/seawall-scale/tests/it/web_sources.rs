//! Prometheus and RabbitMQ, as far as their HTTP goes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use seawall_scale::Http;
use seawall_scale::sources::{Probe, Prometheus, RabbitQueue, Reading, Series, SourceError};
use seawall_signal::Unit;
use serde_json::{Value, json};

use crate::fake::{Answer, Fake};

fn vector(values: &[&str]) -> Value {
    let series: Vec<_> = values
        .iter()
        .enumerate()
        .map(|(index, value)| {
            json!({ "metric": { "i": index.to_string() }, "value": [1_700_000_000.25, value] })
        })
        .collect();
    json!({ "status": "success", "data": { "resultType": "vector", "result": series } })
}

/// One question to a Prometheus that answers so.
async fn asked(answer: Answer, series: Series) -> Result<Reading, SourceError> {
    let fake = Fake::start(move |_| answer.clone()).await;
    let http = Http::plain(&fake.url).unwrap();
    let probe = Prometheus::new(http, "depth", "sum(queue_depth{q=\"a b\"})", Unit::Count);
    let readings = probe.series(series).read().await?;
    let asked = fake.asked();
    assert_eq!(asked[0].path, "/api/v1/query");
    assert_eq!(asked[0].query, "query=sum%28queue_depth%7Bq%3D%22a+b%22%7D%29");
    assert_eq!(readings.len(), 1);
    Ok(readings[0].clone())
}

#[tokio::test]
async fn an_instant_query_gives_its_number_in_each_form() {
    let one = asked(Answer::json(&vector(&["42.5"])), Series::One).await.unwrap();
    assert_eq!(one, Reading::new("depth", 42.5, Unit::Count));
    let scalar = json!({
        "status": "success",
        "data": { "resultType": "scalar", "result": [1_700_000_000, "7"] },
    });
    assert_eq!(asked(Answer::json(&scalar), Series::One).await.unwrap().value, 7.0);
}

#[tokio::test]
async fn several_series_are_an_error_unless_it_is_said_what_to_make_of_them() {
    let several = vector(&["1", "2", "6"]);
    let error = asked(Answer::json(&several), Series::One).await.unwrap_err();
    assert_eq!(error.to_string(), "depth has 3 values there, not one");
    assert!(!error.is_retryable());
    for (series, value) in
        [(Series::Sum, 9.0), (Series::Max, 6.0), (Series::Min, 1.0), (Series::Mean, 3.0)]
    {
        assert_eq!(asked(Answer::json(&several), series).await.unwrap().value, value);
    }
}

#[tokio::test]
async fn nothing_and_not_a_number_are_no_numbers() {
    let error = asked(Answer::json(&vector(&[])), Series::Sum).await.unwrap_err();
    assert!(matches!(error, SourceError::Empty { .. }), "{error}");
    for bad in ["NaN", "+Inf", "-Inf"] {
        let error = asked(Answer::json(&vector(&["1", bad])), Series::Sum).await.unwrap_err();
        assert!(matches!(error, SourceError::NotANumber { .. }), "{bad}: {error}");
    }
    let error = asked(Answer::json(&vector(&["many"])), Series::Sum).await.unwrap_err();
    assert!(matches!(error, SourceError::Answer { .. }), "{error}");
}

#[tokio::test]
async fn refusals_and_other_answers_are_told_apart() {
    for (status, retryable) in [(400, false), (401, false), (422, false), (429, true), (503, true)]
    {
        let error = asked(Answer::text(status, "{}"), Series::One).await.unwrap_err();
        assert!(matches!(error, SourceError::Refused { status: it } if it == status), "{error}");
        assert_eq!(error.is_retryable(), retryable, "{status}");
    }
    for body in ["<html>", "{}", r#"{"data":{"resultType":"matrix","result":[]}}"#] {
        let error = asked(Answer::text(200, body), Series::One).await.unwrap_err();
        assert!(matches!(error, SourceError::Answer { .. }), "{body}: {error}");
    }
    let gone = Http::plain("http://127.0.0.1:1").unwrap();
    let error = Prometheus::new(gone, "depth", "up", Unit::Count).read().await.unwrap_err();
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn the_age_is_that_of_the_sample_and_not_of_the_answer() {
    let sampled = Arc::new(Mutex::new("1699999910.25"));
    let answers = Arc::clone(&sampled);
    let fake = Fake::start(move |asked| {
        let of_time = asked.query.contains("timestamp");
        Answer::json(&vector(&[if of_time { *answers.lock().unwrap() } else { "5" }]))
    })
    .await;
    let http = Http::plain(&fake.url).unwrap();
    let probe = Prometheus::new(http, "depth", "queue_depth", Unit::Count)
        .sampled_at("min(timestamp(queue_depth))");
    let readings = probe.read().await.unwrap();
    assert_eq!(readings, [Reading::new("depth", 5.0, Unit::Count).aged(Duration::from_secs(90))]);
    // A target whose clock is ahead.
    *sampled.lock().unwrap() = "1700000003";
    assert_eq!(probe.read().await.unwrap()[0].age, Duration::ZERO);
}

async fn queue(answer: Answer) -> Result<Vec<Reading>, SourceError> {
    let fake = Fake::start(move |asked| {
        assert_eq!(asked.path, "/api/queues/%2F/orders%2Feu");
        assert_eq!(asked.headers["authorization"], "Basic bWU6c2VjcmV0");
        answer.clone()
    })
    .await;
    let http = Http::plain(&fake.url).unwrap().basic("me", "secret").unwrap();
    RabbitQueue::new(http, "orders", "/", "orders/eu").read().await
}

#[tokio::test]
async fn a_queue_tells_depth_consumers_and_rates() {
    let answer = json!({
        "name": "orders/eu", "state": "running",
        "messages": 130, "messages_ready": 120, "messages_unacknowledged": 10, "consumers": 4,
        "message_stats": {
            "publish": 5000, "publish_details": { "rate": 12.4 },
            "deliver_get_details": { "rate": 8.0 }, "ack_details": { "rate": 7.6 },
        },
    });
    let readings = queue(Answer::json(&answer)).await.unwrap();
    let shown: Vec<_> = readings.iter().map(|it| (&*it.signal, it.value, it.unit)).collect();
    assert_eq!(
        shown,
        [
            ("orders_ready", 120.0, Unit::Count),
            ("orders_unacknowledged", 10.0, Unit::Count),
            ("orders_consumers", 4.0, Unit::Count),
            ("orders_publish_rate", 12.4, Unit::PerSecond),
            ("orders_deliver_rate", 8.0, Unit::PerSecond),
            ("orders_ack_rate", 7.6, Unit::PerSecond),
        ]
    );
}

#[tokio::test]
async fn rates_that_the_broker_does_not_keep_are_missing_and_not_zero() {
    let answer = json!({ "messages_ready": 0, "messages_unacknowledged": 0, "consumers": 0 });
    let readings = queue(Answer::json(&answer)).await.unwrap();
    let names: Vec<_> = readings.iter().map(|it| &*it.signal).collect();
    assert_eq!(names, ["orders_ready", "orders_unacknowledged", "orders_consumers"]);
}

#[tokio::test]
async fn a_queue_whose_node_is_down_is_not_an_empty_queue() {
    let error = queue(Answer::json(&json!({ "state": "down" }))).await.unwrap_err();
    assert!(matches!(error, SourceError::Empty { .. }), "{error}");
    let error = queue(Answer::text(404, "{}")).await.unwrap_err();
    assert!(matches!(error, SourceError::Refused { status: 404 }), "{error}");
}
