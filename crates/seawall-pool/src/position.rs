//! A node's place in the log, as statements ask for it.

use std::sync::Arc;

use tokio_postgres::types::PgLsn;
use tokio_postgres::{Row, SimpleQueryRow};

use crate::Lsn;
use crate::error::Error;
use crate::node::Node;

/// A node's place in the log.
pub(crate) struct Position {
    /// Whether it is a standby: `lsn` is what it has replayed. Otherwise `lsn`
    /// is where the last record it wrote ends.
    pub(crate) recovering: bool,
    pub(crate) lsn: Lsn,
    /// Of a primary; zero on a standby.
    pub(crate) timeline: u32,
}

impl Position {
    /// Fails if this is a node that has not replayed `wanted`.
    pub(crate) fn require(&self, wanted: Lsn, node: &Node) -> Result<(), Error> {
        if !self.recovering || self.lsn >= wanted {
            return Ok(());
        }
        node.only_at(self.lsn);
        Err(Error::Behind { node: Arc::clone(&node.name), wanted, replayed: self.lsn })
    }

    pub(crate) fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let recovering = row.try_get(0)?;
        let lsn = Lsn(row.try_get::<_, Option<PgLsn>>(1)?.map_or(0, u64::from));
        let size =
            |column| row.try_get::<_, i64>(column).map(|bytes| u64::try_from(bytes).unwrap_or(0));
        let (block, segment) = (size(2)?, size(3)?);
        let lsn = if recovering { lsn } else { lsn.record_end(block, segment) };
        Ok(Self { recovering, lsn, timeline: u32::try_from(size(4)?).unwrap_or(0) })
    }

    /// As [`read`](Self::read), from the text of a simple query; none if it cannot be read.
    pub(crate) fn read_text(row: &SimpleQueryRow) -> Option<Self> {
        let number = |column| row.get(column)?.parse::<u64>().ok();
        let recovering = row.get(0)? == "t";
        let lsn: Lsn = row.get(1)?.parse().ok()?;
        let lsn = if recovering { lsn } else { lsn.record_end(number(2)?, number(3)?) };
        Some(Self { recovering, lsn, timeline: u32::try_from(number(4)?).ok()? })
    }
}

/// Where a node is. The inner query keeps the test for recovery from being
/// made twice, with a promotion in between.
pub(crate) const POSITION: &str = "SELECT recovering, \
     CASE WHEN recovering THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END, \
     current_setting('wal_block_size')::int8, \
     pg_size_bytes(current_setting('wal_segment_size')), \
     CASE WHEN recovering THEN 0 \
     ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int8 END \
     FROM (SELECT pg_is_in_recovery() AS recovering OFFSET 0) AS node";

/// Whether no transaction that writes was under way: none has a number from the
/// snapshot's lowest running one up to the next to be given out, from
/// which `age` counts. The snapshot's own upper end does not do: it is one past the
/// last transaction that ended, and a later one may be about to commit.
pub(crate) const ALL_SETTLED: &str =
    "SELECT age(pg_snapshot_xmin(s)::xid) = 0 FROM pg_current_snapshot() AS s";
