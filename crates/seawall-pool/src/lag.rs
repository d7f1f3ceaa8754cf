//! How far a replica is behind, from a history of the primary's positions.
//!
//! The lag in seconds is the time since the primary passed the position that the
//! replica has replayed. Taken from this history it needs no clock of the
//! server, is zero on an idle primary however long nothing is written, and
//! does not jump when the first write comes after a quiet hour, which is where
//! `now() - pg_last_xact_replay_timestamp()` goes wrong.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::Lsn;

/// How far a replica is behind its primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Lag {
    /// Log that the primary had written and the replica had not replayed.
    pub bytes: u64,
    /// How long ago the primary passed the replica's position, to within one
    /// health interval and never less than the truth by more than that. For a
    /// position passed before the pool was made it counts from then.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub time: Duration,
}

/// Samples of the primary's position, oldest first, each position once.
///
/// Holds at most [`CAPACITY`] samples. When full, every second one is
/// dropped, so old history gets coarser (and a lag read from it larger than
/// the truth, never smaller) while the memory stays fixed.
#[derive(Debug, Default)]
pub(crate) struct LagRing {
    samples: VecDeque<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    lsn: Lsn,
    /// When the primary was last seen at this position.
    until: Instant,
}

impl LagRing {
    /// The primary was at `lsn` at `now`. A position below the last one
    /// (another timeline) starts the history afresh.
    pub(crate) fn primary_at(&mut self, lsn: Lsn, now: Instant) {
        match self.samples.back_mut() {
            Some(last) if last.lsn == lsn => {
                last.until = now;
                return;
            }
            Some(last) if last.lsn > lsn => self.samples.clear(),
            _ => {}
        }
        if self.samples.len() >= CAPACITY {
            let mut keep = false;
            self.samples.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.samples.push_back(Sample { lsn, until: now });
    }

    /// When the primary was last seen.
    pub(crate) fn seen(&self) -> Option<Instant> {
        self.samples.back().map(|sample| sample.until)
    }

    /// The lag of a replica that had replayed `lsn` at `now`, or `None` while
    /// nothing is known about the primary.
    pub(crate) fn lag(&self, replayed: Lsn, now: Instant) -> Option<Lag> {
        let latest = self.samples.back()?;
        if replayed >= latest.lsn {
            return Some(Lag { bytes: 0, time: Duration::ZERO });
        }
        // The last time the primary is known not to have been past `replayed`.
        let newer = self.samples.partition_point(|sample| sample.lsn <= replayed);
        let passed = match newer.checked_sub(1) {
            Some(at) => self.samples[at].until,
            None => self.samples[0].until,
        };
        Some(Lag { bytes: latest.lsn.0 - replayed.0, time: now.saturating_duration_since(passed) })
    }
}

/// Two minutes of a busy primary at the default health interval.
const CAPACITY: usize = 512;

#[cfg(test)]
mod tests;
