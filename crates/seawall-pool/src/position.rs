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

    /// What a statement that ran after this was read is sure to have seen.
    ///
    /// On a node in recovery every commit up to the replayed position is
    /// visible. On a primary the position is where the next record goes, and a
    /// commit may have written its record and not be visible yet. Its token,
    /// read after the commit returned, is then at least this position; so
    /// everything below it is safe to claim. The position itself is, too,
    /// if a snapshot taken after reading it saw no transaction under way.
    pub(crate) fn claimed(&self, settled: bool) -> Lsn {
        if self.recovering || settled { self.lsn } else { self.lsn.before() }
    }

    /// From a row of [`REACHED`].
    pub(crate) fn read_reached(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let mut reached = Self::read(row)?;
        if row.try_get::<_, Option<bool>>(5)?.unwrap_or(false) {
            // A node that has more than this has replayed the next record.
            reached.lsn = Lsn(reached.lsn.0.saturating_add(1));
        }
        Ok(reached)
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

/// What a node has reached, so that everything a statement before it saw lies at or below.
///
/// A standby shows a commit a moment before its replay position covers the commit's record. While
/// there is log left to replay (the last column) that record may be the next one. Of log that comes
/// from an archive nobody knows how much is left: there is nothing received, or less than replayed.
/// So the position is read once: were it read again for that column, the record might be replayed
/// in between, and not be covered.
pub(crate) const REACHED: &str = "SELECT recovering, \
     CASE WHEN recovering THEN replayed ELSE pg_current_wal_insert_lsn() END, \
     current_setting('wal_block_size')::int8, \
     pg_size_bytes(current_setting('wal_segment_size')), \
     CASE WHEN recovering THEN 0 \
     ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int8 END, \
     recovering AND pg_last_wal_receive_lsn() IS DISTINCT FROM replayed \
     FROM (SELECT pg_is_in_recovery() AS recovering, pg_last_wal_replay_lsn() AS replayed \
     OFFSET 0) AS node";

/// Whether no transaction that writes was under way: none has a number from the
/// snapshot's lowest running one up to the next to be given out, from
/// which `age` counts. The snapshot's own upper end does not do: it is one past the
/// last transaction that ended, and a later one may be about to commit.
pub(crate) const ALL_SETTLED: &str =
    "SELECT age(pg_snapshot_xmin(s)::xid) = 0 FROM pg_current_snapshot() AS s";

#[cfg(test)]
mod tests {
    use super::REACHED;

    #[test]
    fn what_a_standby_has_reached_is_read_in_one_look() {
        assert_eq!(REACHED.matches("pg_last_wal_replay_lsn()").count(), 1);
    }
}
