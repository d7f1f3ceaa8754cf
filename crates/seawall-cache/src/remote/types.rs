//! What a remote is asked and what it answers.

use std::time::Duration;

use bytes::Bytes;

use crate::marks::Mark;

/// What a [`Remote`](super::Remote) read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "implementors of Remote build it")]
pub struct Fetched {
    /// The bytes under the text, if any.
    pub bytes: Option<Bytes>,
    /// How long they still live, counted from when they were asked for: rather too little than too
    /// much. Zero if that is not known.
    pub remaining: Duration,
    /// The store's clock when it was read, in microseconds: rather too early than too late.
    pub now: u64,
}

impl Fetched {
    /// What `bytes` are at `latest` by the store's clock, for a store that writes into records when
    /// they expire and may keep them longer. `now`: the earliest that its clock can have read.
    #[cfg(feature = "redis")]
    pub(crate) fn of(bytes: Option<Bytes>, latest: u64, now: u64) -> Self {
        use crate::{config::MAX_TTL, record};
        let expires = bytes.as_deref().and_then(record::expires);
        let remaining = Duration::from_micros(expires.unwrap_or(0).saturating_sub(latest));
        let bytes = match (bytes, expires) {
            (Some(bytes), Some(_)) if remaining.is_zero() => Some(record::expired(&bytes)),
            (bytes, _) => bytes,
        };
        Self { bytes, remaining: remaining.min(MAX_TTL), now }
    }
}

/// What a load saw in the store when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "implementors of Remote read it")]
pub struct Seen {
    /// The version there, 0 for none.
    pub version: u64,
    /// The store's clock then, in microseconds.
    pub at: u64,
}

/// What a fill must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "implementors of Remote read it")]
pub struct Ticket {
    /// What its load saw when it began.
    pub seen: Seen,
    /// How long after that it is surely in order: removals leave a trace for so long.
    pub keep: Duration,
    /// The token of its lease, if it has one.
    pub token: Option<u64>,
}

/// What became of the wish to load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "implementors of Remote build it")]
pub enum Leased {
    /// It is ours.
    Granted,
    /// Another node loads. Wait for [`landed`](super::Watcher::landed), or for this long, and look
    /// again.
    Held {
        /// When the lease ends by itself, if it is not renewed.
        for_at_most: Duration,
    },
    /// Something was written or removed since: read again.
    Moved,
}

/// What became of a fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "implementors of Remote build it")]
pub enum Fill {
    /// Stored under this version.
    Stored(u64),
    /// Something was written or removed there since the load began.
    Moved,
    /// The load began too long ago to be sure.
    Late,
    /// A tombstone there asks for a newer source.
    OldSource,
    /// The lease is another's now.
    Fenced,
}

/// What became of a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "implementors of Remote build it")]
pub enum Put {
    /// Stored under this version.
    Stored(u64),
    /// What is there has a newer source version. Nothing was stored.
    Superseded,
}

/// A mark as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "implementors of Remote build it")]
pub struct MarkRead {
    /// The mark.
    pub mark: Mark,
    /// Whether it has surely not been advanced since the moment the reader named. In doubt, no.
    pub unmoved: bool,
}

/// How far a sweep is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "implementors of Remote build it")]
pub struct Swept {
    /// Nodes that are done.
    pub nodes_done: u32,
    /// Nodes that there are.
    pub nodes: u32,
    /// Keys that matched the pattern so far.
    pub scanned: u64,
    /// Entries that were replaced by tombstones so far.
    pub removed: u64,
}
