//! Placing a bid, and a user's own bids.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use seawall::cache::Loaded;
use seawall::pool::Lsn;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::auctions::{LoadFailure, unknown};
use super::session::SignedIn;
use super::{App, Problem, READ_AFTER};

/// The body of a bid.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    amount_cents: i64,
}

/// One of a user's bids.
#[derive(Debug, Serialize)]
struct Mine {
    bid_id: i64,
    auction_id: i64,
    title: String,
    amount_cents: i64,
    at_s: i64,
    leading: bool,
    payment: Option<String>,
}

/// One statement, so one transaction and one round trip while the row is locked:
/// two bidders at once are decided by that lock, and the lower one finds no row.
const PLACE: &str = "WITH raised AS (
    UPDATE auctions SET current_cents = $2, bid_count = bid_count + 1, leader_id = $3
    WHERE id = $1 AND status = 'open' AND ends_at > now() AND current_cents < $2
    RETURNING id)
  INSERT INTO bids (auction_id, user_id, amount_cents)
  SELECT id, $3, $2 FROM raised RETURNING id";
const WHY_NOT: &str =
    "SELECT status = 'open' AND ends_at > now(), current_cents FROM auctions WHERE id = $1";
const MINE: &str = "SELECT b.id, b.auction_id, a.title, b.amount_cents,
    extract(epoch FROM b.created_at)::bigint, a.leader_id = b.user_id AND a.current_cents = b.amount_cents,
    p.status
  FROM bids b JOIN auctions a ON a.id = b.auction_id
  LEFT JOIN payments p ON p.auction_id = b.auction_id AND p.user_id = b.user_id AND p.amount_cents = b.amount_cents
  WHERE b.user_id = $1 ORDER BY b.created_at DESC, b.id DESC LIMIT 20";
/// A billion in whatever currency.
const MAX_CENTS: i64 = 100_000_000_000;

/// `POST /api/auctions/{id}/bids` with `{"amount_cents": N}`: 201, or 409 when outbid.
pub async fn place(
    State(app): State<App>,
    SignedIn { user }: SignedIn,
    id: Result<Path<u64>, PathRejection>,
    offer: Result<Json<Offer>, JsonRejection>,
) -> Result<Response, Problem> {
    let Path(id) = id?;
    let Json(Offer { amount_cents }) = offer?;
    if !(1..=MAX_CENTS).contains(&amount_cents) {
        return Err(Problem::field("amount_cents", amount_cents, "between 1 and 100000000000"));
    }
    let key = i64::try_from(id).map_err(|_| unknown(id))?;

    let conn = app.pool.write().get().await?;
    let Some(row) = conn.query_opt(PLACE, &[&key, &amount_cents, &user]).await? else {
        return Err(match conn.query_opt(WHY_NOT, &[&key]).await? {
            None => unknown(id),
            Some(row) => refusal(row.get(0), row.get(1)),
        });
    };
    let bid_id: i64 = row.get(0);
    // The bid is placed from here on, whatever becomes of the rest.
    let Ok(lsn) = conn.commit_lsn().await else {
        // Without its position no replica can be trusted with it, so nobody is told that it is there.
        let _ = app.caches.auctions.remove(&id).await;
        return Err(Problem::in_doubt());
    };
    drop(conn);
    // The cache remembers a removal that Redis did not hear, and reads past Redis until it has.
    let written = app.caches.auctions.remove_after(&id, lsn.into()).await;
    tracing::debug!(auction = id, partial = written.is_partial(), "removed from the cache");
    let body = json!({ "bid_id": bid_id, "auction_id": id, "amount_cents": amount_cents });
    Ok((StatusCode::CREATED, [(READ_AFTER, lsn.to_string())], Json(body)).into_response())
}

/// `GET /api/users/me/bids`: the newest twenty, at least as new as `x-read-after`.
pub async fn mine(
    State(app): State<App>,
    SignedIn { user }: SignedIn,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after: Option<Lsn> = match headers.get(READ_AFTER) {
        None => None,
        Some(value) => {
            Some(value.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
                Problem::field(READ_AFTER, "unreadable", "a log position such as `0/16B3748`")
            })?)
        }
    };
    let rows = app.pool.read().after(after).query(MINE, &[&user]).await?;
    let bids: Vec<Mine> = rows
        .iter()
        .map(|row| Mine {
            bid_id: row.get(0),
            auction_id: row.get(1),
            title: row.get(2),
            amount_cents: row.get(3),
            at_s: row.get(4),
            leading: row.get::<_, Option<bool>>(5).unwrap_or(false),
            payment: row.get(6),
        })
        .collect();
    let name = name(&app, user).await?;
    Ok(Json(json!({ "user": { "id": user, "name": name }, "bids": bids })).into_response())
}

async fn name(app: &App, user: i64) -> Result<Option<String>, Problem> {
    let pool = app.pool.clone();
    let got = app
        .caches
        .names
        .get_or_load(&user.unsigned_abs(), move |_load| async move {
            let row =
                pool.read().query_opt("SELECT name FROM users WHERE id = $1", &[&user]).await?;
            Ok::<_, LoadFailure>(row.map_or_else(Loaded::absent, |row| Loaded::new(row.get(0))))
        })
        .await?;
    Ok(got.value.map(|name| (*name).clone()))
}

fn refusal(open: bool, current_cents: i64) -> Problem {
    if open {
        let detail = format!("the price is {current_cents} cents already; bid more");
        Problem::new(StatusCode::CONFLICT, "Outbid", detail).with("current_cents", current_cents)
    } else {
        Problem::new(StatusCode::CONFLICT, "Auction ended", "this auction takes no more bids")
    }
}
