//! Placing a bid, and a user's own bids.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use seawall::cache::Loaded;
use seawall::pool::{Conn, Lsn, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_postgres::Row;

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

impl Mine {
    fn from_row(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            bid_id: row.try_get(0)?,
            auction_id: row.try_get(1)?,
            title: row.try_get(2)?,
            amount_cents: row.try_get(3)?,
            at_s: row.try_get(4)?,
            leading: row.try_get::<_, Option<bool>>(5)?.unwrap_or(false),
            payment: row.try_get(6)?,
        })
    }
}

/// One statement, so one transaction and one round trip while the row is locked:
/// two bidders at once are decided by that lock, and the lower one finds no row.
const PLACE: &str = "WITH raised AS (
    UPDATE auctions SET current_cents = $2, bid_count = bid_count + 1, leader_id = $3
    WHERE id = $1 AND status = 'open' AND ends_at > now() AND current_cents < $2
      AND seller_id <> $3
    RETURNING id)
  INSERT INTO bids (auction_id, user_id, amount_cents)
  SELECT id, $3, $2 FROM raised RETURNING id";
const WHY_NOT: &str = "SELECT status = 'open' AND ends_at > now(), current_cents, seller_id FROM auctions WHERE id = $1";
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
    // On a task of its own: a client that goes away must not keep the cache from
    // hearing of a bid that was placed.
    let placed = tokio::spawn(place_and_tell(app, id, user, amount_cents)).await;
    let (bid_id, lsn) = placed.map_err(|_| Problem::in_doubt())??;
    let body = json!({ "bid_id": bid_id, "auction_id": id, "amount_cents": amount_cents });
    Ok((StatusCode::CREATED, [(READ_AFTER, lsn.to_string())], Json(body)).into_response())
}

async fn place_and_tell(
    app: App,
    id: u64,
    user: i64,
    amount_cents: i64,
) -> Result<(i64, Lsn), Problem> {
    let key = i64::try_from(id).map_err(|_| unknown(id))?;
    let conn = app.pool.write().get().await?;
    let row = match conn.query_opt(PLACE, &[&key, &amount_cents, &user]).await {
        Ok(Some(row)) => row,
        Ok(None) => return Err(why_not(&conn, id, key, user).await),
        Err(error) => {
            if error.outcome() == Some(Outcome::Unknown) {
                drop(conn);
                tell_after_doubt(&app, id).await;
            }
            return Err(error.into());
        }
    };
    // The bid is placed from here on, whatever becomes of the rest.
    let Ok(lsn) = conn.commit_lsn().await else {
        drop(conn);
        tell_after_doubt(&app, id).await;
        return Err(Problem::in_doubt());
    };
    drop(conn);
    // The cache remembers a removal that Redis did not hear, and reads past Redis until it has.
    let written = app.caches.auctions.remove_after(&id, lsn.into()).await;
    tracing::debug!(auction = id, partial = written.is_partial(), "removed from the cache");
    Ok((row.try_get(0)?, lsn))
}

/// A bid that may be placed is told like one that is: from the primary's position
/// now if that can be had, so that no replica before it fills the cache again.
async fn tell_after_doubt(app: &App, id: u64) {
    let position = async { app.pool.write().get().await?.commit_lsn().await };
    let written = match position.await {
        Ok(lsn) => app.caches.auctions.remove_after(&id, lsn.into()).await,
        Err(_) => app.caches.auctions.remove(&id).await,
    };
    tracing::warn!(auction = id, partial = written.is_partial(), "a bid may have been placed");
}

async fn why_not(conn: &Conn, id: u64, key: i64, user: i64) -> Problem {
    match conn.query_opt(WHY_NOT, &[&key]).await {
        Ok(None) => unknown(id),
        Ok(Some(row)) => refusal(&row, user).unwrap_or_else(Problem::from),
        Err(error) => error.into(),
    }
}

fn refusal(row: &Row, user: i64) -> Result<Problem, tokio_postgres::Error> {
    let (open, current_cents, seller): (bool, i64, i64) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    Ok(if !open {
        Problem::new(StatusCode::CONFLICT, "Auction ended", "this auction takes no more bids")
    } else if seller == user {
        Problem::new(
            StatusCode::FORBIDDEN,
            "Own auction",
            "a seller cannot bid on their own auction",
        )
    } else {
        let detail = format!("the price is {current_cents} cents already; bid more");
        Problem::new(StatusCode::CONFLICT, "Outbid", detail).with("current_cents", current_cents)
    })
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
    let bids = rows.iter().map(Mine::from_row).collect::<Result<Vec<_>, _>>()?;
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
            let name = row.map(|row| row.try_get::<_, String>(0)).transpose()?;
            Ok::<_, LoadFailure>(Loaded::from(name))
        })
        .await?;
    Ok(got.value.map(|name| (*name).clone()))
}
