//! Routes that find out by themselves.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Mutex as Gate;
use tokio::time::Instant;
use tokio_postgres::Row;

use super::{Classifier, Functions, Kind};
use crate::error::Error;
use crate::handle::Route;
use crate::pool::Inner;
use crate::route::Intent;

/// The classifier of a pool, and what it knows of the catalogue.
#[derive(Debug, Default)]
pub(crate) struct Auto {
    classifier: Classifier,
    /// When the catalogue was last asked for.
    asked: Mutex<Option<Instant>>,
    /// Held by who asks.
    asking: Gate<()>,
}

impl Auto {
    /// What `sql` is. A statement that is met for the first time may have the
    /// catalogue asked for its functions, at most once a minute, and waits for that
    /// if nothing is known yet.
    pub(crate) async fn kind(&self, pool: &Arc<Inner>, sql: &str) -> Kind {
        if let Some(kind) = self.classifier.known(sql) {
            return kind;
        }
        let kind = self.classifier.classify(sql);
        // If it is a write by what is known, a function may be new.
        let age = self.asked.lock().map(|asked| asked.elapsed());
        let old = age.is_none_or(|age| age > CATALOGUE_AGE && kind == Kind::Write);
        if !old {
            return kind;
        }
        let Ok(_asking) = self.asking.try_lock() else {
            if age.is_none() {
                // The first of all is asking.
                drop(self.asking.lock().await);
                return self.classifier.classify(sql);
            }
            return kind;
        };
        let harmless = Functions::HARMLESS.map(str::to_owned).to_vec();
        let newer = Functions::NEWER.map(str::to_owned).to_vec();
        let limit = pool.config.query_timeout;
        let rows = Route::new(pool, Intent::Read)
            .timeout(limit)
            .query(Functions::CATALOGUE, &[&harmless, &newer])
            .await;
        *self.asked.lock() = Some(Instant::now());
        match rows {
            Ok(rows) => {
                let listed = |row: &Row| Some((row.try_get(0).ok()?, row.try_get(1).ok()?));
                let listed = rows.iter().filter_map(listed).collect();
                self.classifier.set_functions(Functions::listed(listed));
                self.classifier.classify(sql)
            }
            Err(error) => {
                tracing::warn!(%error, "the catalogue of functions cannot be read");
                kind
            }
        }
    }

    /// Whether a standby refused to run what looked like a read. Then it is remembered
    /// as a write, and nothing was done.
    pub(crate) fn overruled(&self, pool: &Arc<Inner>, sql: &str, error: &Error) -> bool {
        let Error::Query { node, .. } = error else { return false };
        let Some(node) = pool.nodes.iter().find(|other| Arc::ptr_eq(&other.name, node)) else {
            return false;
        };
        let code = error.sqlstate().map(tokio_postgres::error::SqlState::code);
        if node.is_primary() || !code.is_some_and(|code| REFUSALS.contains(&code)) {
            return false;
        }
        node.metrics.overruled.increment(1);
        tracing::info!(node = %node.name, code, "a statement that looked like a read is a write");
        self.classifier.correct(sql);
        true
    }
}

/// `read_only_sql_transaction`, `feature_not_supported`.
const REFUSALS: [&str; 2] = ["25006", "0A000"];
const CATALOGUE_AGE: std::time::Duration = std::time::Duration::from_secs(60);
