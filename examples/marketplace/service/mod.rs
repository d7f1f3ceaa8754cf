//! The auction service: routes, their layers, and what they share.

mod auctions;
mod bids;
mod health;
mod login;
mod problem;
mod session;
mod state;
mod top;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath};
use axum::routing::{get, get_service, post};
use seawall::limit::{GuardLayer, LimitLayer};
use seawall::metrics::RedLayer;

pub use self::problem::Problem;
pub use self::session::Keys;
pub use self::state::{App, Caches};

/// The header with which a write tells what a later read must have seen, and a
/// read asks for it: a PostgreSQL log position.
pub const READ_AFTER: &str = "x-read-after";

/// The service with its layers. Outermost first: every request is counted, then
/// guarded, then charged to its quotas.
pub fn router(app: App, guards: GuardLayer, limits: Option<LimitLayer>) -> Router {
    let metrics = app.metrics.service();
    let router = Router::new()
        .route("/api/auctions", get(auctions::list))
        .route("/api/auctions/top", get(top::top))
        .route("/api/auctions/{id}", get(auctions::read))
        .route("/api/auctions/{id}/bids", post(bids::place))
        .route("/api/users/me/bids", get(bids::mine))
        .route("/api/login", post(login::login))
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route("/metrics", get_service(metrics))
        .fallback(problem::no_such_route)
        .method_not_allowed_fallback(problem::no_such_method)
        // The guard outside bounds every body; axum's own 2 MB would come first.
        .layer(DefaultBodyLimit::disable())
        .with_state(app);
    let router = match limits {
        Some(limits) => router.layer(limits),
        None => router,
    };
    router.layer(guards).layer(RedLayer::new().route(|extensions: &http::Extensions| {
        extensions.get::<MatchedPath>().map(MatchedPath::as_str)
    }))
}
