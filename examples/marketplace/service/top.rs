//! The most contested auctions: an aggregate over all bids, kept off the nodes
//! that serve users.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use seawall::cache::Loaded;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_postgres::Row;

use super::auctions::LoadFailure;
use super::{App, Problem};

/// One of the most contested auctions of the last week.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Top {
    pub auction_id: i64,
    pub title: String,
    pub bids: i64,
    pub bidders: i64,
    pub highest_cents: i64,
}

impl Top {
    fn from_row(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            auction_id: row.try_get(0)?,
            title: row.try_get(1)?,
            bids: row.try_get(2)?,
            bidders: row.try_get(3)?,
            highest_cents: row.try_get(4)?,
        })
    }
}

const TOP: &str = "SELECT a.id, a.title, count(*), count(DISTINCT b.user_id), max(b.amount_cents)
  FROM bids b JOIN auctions a ON a.id = b.auction_id
  WHERE b.created_at > now() - interval '7 days'
  GROUP BY a.id ORDER BY count(*) DESC, a.id LIMIT 10";

/// `GET /api/auctions/top`
pub async fn top(State(app): State<App>) -> Result<Response, Problem> {
    let pool = app.pool.clone();
    let got = app
        .caches
        .top
        .get_or_load(&"week".to_owned(), |_load| async move {
            let rows = pool.analytics().query(TOP, &[]).await?;
            let top = rows.iter().map(Top::from_row).collect::<Result<Vec<_>, _>>()?;
            Ok::<_, LoadFailure>(Loaded::new(top))
        })
        .await?;
    Ok(Json(json!({ "auctions": got.value.as_deref() })).into_response())
}
