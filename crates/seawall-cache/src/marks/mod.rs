//! Marks: small records in L2 that fence many entries at once.
//!
//! There is one per tag and one per namespace. An entry carries the version its marks had when
//! its load began, its stamps. To invalidate a million entries is to advance one mark: entries
//! with older stamps are then gone, or stale, on every node that has seen the mark.
//!
//! Everything here is pure; L2's scripts follow the same rules (`mark.lua`, `advance.lua`).

mod bytes;
pub(crate) mod glob;

use std::borrow::Cow;
use std::time::Duration;

/// What fences the entries of one tag or namespace.
///
/// Versions are issued by the store, as those of entries are, and grow with each advance. They are
/// compared only with stamps taken from this same mark.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "implementors of Remote build it")]
pub struct Mark {
    /// Entries with an older stamp are gone.
    pub hard: u64,
    /// Entries with an older stamp are stale.
    pub soft: u64,
    /// Clears of some keys only, oldest first; at most [`Mark::MAX_CLEARS`].
    pub clears: Vec<Clear>,
}

/// A clear of the keys that match a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "implementors of Remote build it")]
pub struct Clear {
    /// Entries with an older stamp are concerned.
    pub version: u64,
    /// Whether they are gone, or else stale.
    pub hard: bool,
    /// A glob as Redis has it, over the key as [`CacheKey`](crate::CacheKey) writes it.
    pub pattern: Box<str>,
}

/// How to advance a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "implementors of Remote read it")]
pub enum MarkChange {
    /// All entries from before are gone.
    Hard,
    /// All entries from before are stale.
    Soft,
    /// The entries from before whose key matches `pattern` are gone or stale. A pattern longer
    /// than [`Mark::MAX_PATTERN`] concerns all keys.
    Clear {
        /// A glob as Redis has it: `*`, `?`, `[a-z]`, `[^a]`, `\` before what is meant literally.
        pattern: String,
        /// Whether they are gone, or else stale.
        hard: bool,
    },
}

/// What a mark says of an entry. What several marks say is the greatest of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    Fresh,
    Stale,
    Gone,
}

impl Mark {
    /// How many clears a mark holds. The oldest make room by becoming one of all keys.
    pub const MAX_CLEARS: usize = 64;

    /// The longest pattern of a clear, in bytes.
    pub const MAX_PATTERN: usize = 1024;

    /// How far back the version of a mark lies that was missing: entries of an older generation
    /// are gone, and loads that began after this are not refused for it.
    pub const GRACE: Duration = Duration::from_secs(60);

    /// A mark that makes everything with a stamp before `version` gone.
    #[must_use]
    pub fn new(version: u64) -> Self {
        Self { hard: version, soft: version, clears: Vec::new() }
    }

    /// The newest version in it: the stamp of entries whose load begins now.
    #[must_use]
    pub fn version(&self) -> u64 {
        let clears = self.clears.iter().map(|clear| clear.version);
        clears.fold(self.hard.max(self.soft), u64::max)
    }

    /// Advances it, at `now` by the store's clock in microseconds. Returns its new version, which
    /// is greater than all before.
    pub fn advance(&mut self, change: MarkChange, now: u64) -> u64 {
        let version = now.max(self.version() + 1);
        match change.bounded() {
            MarkChange::Hard => {
                self.hard = version;
                self.clears.clear();
            }
            MarkChange::Soft => {
                self.soft = version;
                self.clears.retain(|clear| clear.hard);
            }
            MarkChange::Clear { pattern, hard } => {
                // The new one says all that an older one of the same pattern says.
                self.clears.retain(|clear| *clear.pattern != *pattern || (clear.hard && !hard));
                if self.clears.len() >= Self::MAX_CLEARS {
                    self.collapse();
                }
                self.clears.push(Clear { version, hard, pattern: pattern.into() });
            }
        }
        version
    }

    /// What it says of the entry of `key` (as [`CacheKey`](crate::CacheKey) writes it) that has
    /// `stamp`. `key` is asked only if clears stand in between.
    pub(crate) fn check<'k>(&self, stamp: u64, key: impl FnOnce() -> Cow<'k, str>) -> Verdict {
        let version = self.version();
        if stamp == version {
            return Verdict::Fresh;
        }
        // From the future: the mark was lost, and this is the next generation.
        if stamp > version || self.hard > stamp {
            return Verdict::Gone;
        }
        let mut verdict = if self.soft > stamp { Verdict::Stale } else { Verdict::Fresh };
        let mut newer = self.clears.iter().filter(|clear| clear.version > stamp).peekable();
        if newer.peek().is_some() {
            let key = key();
            for clear in newer {
                let says = if clear.hard { Verdict::Gone } else { Verdict::Stale };
                if says > verdict && glob::matches(&clear.pattern, &key) {
                    verdict = says;
                }
            }
        }
        verdict
    }

    /// Makes the oldest clear one of all keys: more is invalidated than was asked for, never less.
    fn collapse(&mut self) {
        let oldest = self.clears.remove(0);
        let all = if oldest.hard { &mut self.hard } else { &mut self.soft };
        *all = oldest.version.max(*all);
    }
}

impl MarkChange {
    /// The change as it can be stored.
    pub(crate) fn bounded(self) -> Self {
        match self {
            Self::Clear { pattern, hard } if pattern.len() > Mark::MAX_PATTERN => {
                if hard {
                    Self::Hard
                } else {
                    Self::Soft
                }
            }
            change => change,
        }
    }
}

#[cfg(test)]
mod tests;
