//! `/health` for people and dashboards, `/ready` for load balancers.

use std::path::PathBuf;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::App;

/// Every check ends by then; a probe must not hang with what it probes.
const DEADLINE: Duration = Duration::from_secs(2);
/// Below this the database could not write for long.
const MIN_FREE_BYTES: u64 = 256 * 1024 * 1024;

/// Checks database, Redis and disk at once: 200 when all are well, 503 with the list when not.
pub async fn health(State(app): State<App>) -> Response {
    let (database, redis, disk) = tokio::join!(
        timed(async {
            let ping = app.pool.write().query("SELECT 1", &[]).await;
            ping.map(|_| ()).map_err(|error| error.to_string())
        }),
        timed(async { app.redis.ping().await.map_err(|error| error.to_string()) }),
        timed(free_disk(app.disk.clone())),
    );
    let ok = [&database, &redis, &disk].iter().all(|check| check["status"] == "ok");
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "status": if ok { "ok" } else { "degraded" },
        "checks": { "database": database, "redis": redis, "disk": disk },
        "nodes": nodes(&app),
    });
    (status, Json(body)).into_response()
}

/// 200 when this instance can serve: with a primary there is a node for every statement.
/// Redis may be away; the cache's first layer and the database serve without it.
pub async fn ready(State(app): State<App>) -> Response {
    let status = app.pool.status();
    let primary = status.nodes.iter().any(|node| node.primary && node.state.is_up());
    let code = if primary { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(json!({ "ready": primary, "nodes": nodes(&app) }))).into_response()
}

async fn timed(check: impl Future<Output = Result<(), String>>) -> Value {
    let start = Instant::now();
    let result =
        timeout(DEADLINE, check).await.unwrap_or_else(|_| Err("no answer in 2 s".to_owned()));
    let took_ms = start.elapsed().as_secs_f64() * 1_000.0;
    match result {
        Ok(()) => json!({ "status": "ok", "took_ms": took_ms }),
        Err(error) => json!({ "status": "failed", "took_ms": took_ms, "error": error }),
    }
}

async fn free_disk(path: PathBuf) -> Result<(), String> {
    // A dead network disk would block; then only that thread waits.
    let looked = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&path)).await;
    let disk = looked.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= MIN_FREE_BYTES { Ok(()) } else { Err(format!("{free} bytes are free")) }
}

fn nodes(app: &App) -> Vec<Value> {
    let status = app.pool.status();
    let nodes = status.nodes.iter();
    nodes.map(|node| json!({ "name": &*node.name, "up": node.state.is_up() })).collect()
}
