//! Listing and reading auctions.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use seawall::cache::Loaded;
use seawall::pool::Lsn;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

use super::{App, Problem};

/// An auction as the API shows it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Auction {
    pub id: i64,
    pub seller_id: i64,
    pub title: String,
    pub status: String,
    pub start_cents: i64,
    pub current_cents: i64,
    pub bid_count: i64,
    pub leader_id: Option<i64>,
    pub created_at_s: i64,
    pub ends_at_s: i64,
}

/// One page of a list.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Page {
    pub page: u32,
    pub per_page: u32,
    pub auctions: Vec<Auction>,
}

/// The query of a list; a field that is left out does not filter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    #[serde(default = "first")]
    page: u32,
    #[serde(default = "per_page")]
    per_page: u32,
    status: Option<String>,
    min_cents: Option<i64>,
    max_cents: Option<i64>,
}

const COLUMNS: &str = "id, seller_id, title, status, start_cents, current_cents, bid_count, leader_id, \
     extract(epoch FROM created_at)::bigint, extract(epoch FROM ends_at)::bigint";
/// Deeper pages cost the database a walk over all rows before them.
const MAX_PAGE: u32 = 500;
const MAX_PER_PAGE: u32 = 100;

/// `GET /api/auctions/{id}`: as fresh as the last acknowledged bid.
pub async fn read(
    State(app): State<App>,
    id: Result<Path<u64>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(id) = id?;
    match auction(&app, id).await? {
        Some(found) => Ok(Json(&*found).into_response()),
        None => Err(unknown(id)),
    }
}

/// `GET /api/auctions?page=&per_page=&status=&min_cents=&max_cents=`, newest first.
pub async fn list(
    State(app): State<App>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(filter) = filter?;
    filter.validate()?;
    let key = filter.key();
    let pool = app.pool.clone();
    let got = app
        .caches
        .pages
        .get_or_load(&key, |_load| async move {
            let sql = format!(
                "SELECT {COLUMNS} FROM auctions \
                 WHERE ($1::text IS NULL OR status = $1) \
                   AND ($2::bigint IS NULL OR current_cents >= $2) \
                   AND ($3::bigint IS NULL OR current_cents <= $3) \
                 ORDER BY created_at DESC, id DESC LIMIT $4 OFFSET $5"
            );
            let (limit, offset) = (i64::from(filter.per_page), filter.offset());
            let rows = pool
                .read()
                .query(
                    &sql,
                    &[&filter.status, &filter.min_cents, &filter.max_cents, &limit, &offset],
                )
                .await?;
            let auctions = rows.iter().map(Auction::from_row).collect::<Result<_, _>>()?;
            Ok::<_, LoadFailure>(Loaded::new(Page {
                page: filter.page,
                per_page: filter.per_page,
                auctions,
            }))
        })
        .await?;
    match got.value {
        Some(page) => Ok(Json(&*page).into_response()),
        None => Err(Problem::not_found("No such page", key)),
    }
}

/// One auction through the cache; `None` if there is none with that number.
///
/// After a bid the cache tells the loader how far a node must have replayed, so
/// that a lagging replica can never answer for, or fill the cache after, a write
/// that was acknowledged.
pub async fn auction(app: &App, id: u64) -> Result<Option<std::sync::Arc<Auction>>, Problem> {
    let Ok(key) = i64::try_from(id) else { return Ok(None) };
    let pool = app.pool.clone();
    let got = app
        .caches
        .auctions
        .get_or_load(&id, move |load| async move {
            let sql = format!("SELECT {COLUMNS} FROM auctions WHERE id = $1");
            let found =
                pool.read().after(load.min_source().map(Lsn::from)).query_at(&sql, &[&key]).await?;
            let loaded = match found.value.first() {
                Some(row) => Loaded::new(Auction::from_row(row)?),
                None => Loaded::absent(),
            };
            Ok::<_, LoadFailure>(loaded.source(found.lsn.into()))
        })
        .await?;
    Ok(got.value)
}

pub fn unknown(id: u64) -> Problem {
    Problem::not_found("No such auction", format!("no auction has the number {id}"))
}

/// Why a loader failed.
#[derive(Debug, thiserror::Error)]
pub enum LoadFailure {
    #[error(transparent)]
    Pool(#[from] seawall::pool::Error),
    #[error("a row has another shape than its type")]
    Row(#[from] tokio_postgres::Error),
}

impl Auction {
    fn from_row(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            id: row.try_get(0)?,
            seller_id: row.try_get(1)?,
            title: row.try_get(2)?,
            status: row.try_get(3)?,
            start_cents: row.try_get(4)?,
            current_cents: row.try_get(5)?,
            bid_count: row.try_get(6)?,
            leader_id: row.try_get(7)?,
            created_at_s: row.try_get(8)?,
            ends_at_s: row.try_get(9)?,
        })
    }
}

impl Filter {
    fn validate(&self) -> Result<(), Problem> {
        if !(1..=MAX_PAGE).contains(&self.page) {
            return Err(Problem::field("page", self.page, "between 1 and 500"));
        }
        if !(1..=MAX_PER_PAGE).contains(&self.per_page) {
            return Err(Problem::field("per_page", self.per_page, "between 1 and 100"));
        }
        for (field, cents) in [("min_cents", self.min_cents), ("max_cents", self.max_cents)] {
            if let Some(cents) = cents.filter(|&cents| cents < 0) {
                return Err(Problem::field(field, cents, "0 or more"));
            }
        }
        if let (Some(min), Some(max)) = (self.min_cents, self.max_cents)
            && min > max
        {
            return Err(Problem::field("min_cents", min, "at most max_cents"));
        }
        match self.status.as_deref() {
            None | Some("open" | "ended") => Ok(()),
            // The value is not echoed: it may be anything.
            Some(_) => Err(Problem::field("status", "something else", "`open` or `ended`")),
        }
    }

    fn offset(&self) -> i64 {
        i64::from(self.page - 1) * i64::from(self.per_page)
    }

    fn key(&self) -> String {
        let Self { page, per_page, status, min_cents, max_cents } = self;
        format!(
            "{page}:{per_page}:{}:{min_cents:?}:{max_cents:?}",
            status.as_deref().unwrap_or("any")
        )
    }
}

fn first() -> u32 {
    1
}

fn per_page() -> u32 {
    20
}
