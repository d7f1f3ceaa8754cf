//! One chunk by `COPY`.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;

use crate::batch::BatchRow;
use crate::error::{Error, Outcome, classify};
use crate::exec::Session;
use crate::route::Intent;

impl Session<'_> {
    /// Copies `rows`, all or none. A copy that is given up half-way is taken back by the
    /// server; the connection stays marked as busy until that is certain.
    pub(crate) async fn copy<R: BatchRow>(
        &self,
        sql: &str,
        types: &[Type],
        rows: &[R],
        limit: Duration,
    ) -> Result<u64, Error> {
        self.node.metrics.queries(Intent::Write).increment(1);
        self.marks.begin();
        // Before the last message nothing can have taken effect.
        let mut if_lost = Outcome::NoEffect;
        let copying = async {
            let statement = self.prepare(sql).await?;
            let failed = |source| self.failed(Outcome::NoEffect, source);
            let sink = self.copy_in(&statement).await?;
            let mut writer = pin!(BinaryCopyInWriter::new(sink, types));
            for row in rows {
                writer.as_mut().write(&row.values()).await.map_err(failed)?;
            }
            if_lost = Outcome::Unknown;
            writer.finish().await.map_err(|source| {
                let refused = classify::is_refusal(&source);
                self.failed(if refused { Outcome::NoEffect } else { Outcome::Unknown }, source)
            })
        };
        match timeout(limit, copying).await {
            Ok(Ok(count)) => {
                self.marks.end();
                self.node.served(Intent::Write);
                Ok(count)
            }
            Ok(Err(error)) => {
                self.node.metrics.failed_queries.increment(1);
                if let Error::Query { source, .. } = &error {
                    if classify::is_refusal(source) {
                        self.marks.end();
                    } else if classify::is_connection_lost(source) {
                        self.node.suspect();
                    }
                }
                Err(error)
            }
            Err(_) => {
                self.node.metrics.failed_queries.increment(1);
                self.node.poke.notify_one();
                let node = Arc::clone(&self.node.name);
                Err(Error::QueryTimeout { node, limit, outcome: if_lost })
            }
        }
    }
}
