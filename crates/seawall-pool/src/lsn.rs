//! A position in the write-ahead log.

use std::fmt;
use std::str::FromStr;

/// A position in PostgreSQL's write-ahead log: the token of read-your-writes.
///
/// A later commit has a larger position, so positions compare as numbers as
/// long as one primary wrote them. Positions of different clusters, or of two
/// timelines after a failover, do not compare; this type cannot tell.
///
/// It prints and parses in PostgreSQL's own form, two hexadecimal halves:
///
/// ```
/// use seawall_pool::Lsn;
/// let lsn: Lsn = "0/16B3748".parse()?;
/// assert_eq!(lsn, Lsn(0x16B_3748));
/// assert_eq!(lsn.to_string(), "0/16B3748");
/// # Ok::<(), seawall_pool::ParseLsnError>(())
/// ```
///
/// With the feature `serde` it is a string in that form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Where a record that ends just before this insert position really ends.
    ///
    /// An insert position never lies inside a page header: at the start of a
    /// page the server reports the first byte after the header, while the end
    /// of the last record, which a replica reports once it has replayed it, is
    /// the page boundary itself. Without this step an idle replica would
    /// seem never to reach such a position. Header sizes are PostgreSQL's
    /// `SizeOfXLogShortPHD` (24) and `SizeOfXLogLongPHD` (40).
    pub(crate) fn record_end(self, block: u64, segment: u64) -> Self {
        if segment > 0 && self.0 % segment == LONG_PAGE_HEADER {
            Self(self.0 - LONG_PAGE_HEADER)
        } else if block > 0 && self.0 % block == SHORT_PAGE_HEADER {
            Self(self.0 - SHORT_PAGE_HEADER)
        } else {
            self
        }
    }

    /// The position just before this one.
    pub(crate) fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl From<u64> for Lsn {
    fn from(position: u64) -> Self {
        Self(position)
    }
}

impl From<Lsn> for u64 {
    fn from(lsn: Lsn) -> Self {
        lsn.0
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl FromStr for Lsn {
    type Err = ParseLsnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (high, low) = text.split_once('/').ok_or(ParseLsnError)?;
        Ok(Self((half(high)? << 32) | half(low)?))
    }
}

/// The text was not two hexadecimal numbers of at most eight digits with a
/// slash between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a log position: expected two hexadecimal halves such as 0/16B3748")]
pub struct ParseLsnError;

#[cfg(feature = "serde")]
impl serde::Serialize for Lsn {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Lsn {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Parses one half; unlike `from_str_radix`, refuses a sign.
fn half(digits: &str) -> Result<u64, ParseLsnError> {
    let fits = (1..=8).contains(&digits.len());
    if !fits || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(ParseLsnError);
    }
    u64::from_str_radix(digits, 16).map_err(|_| ParseLsnError)
}

/// No replica has this: only the primary serves it.
pub(crate) const EVERYTHING: Lsn = Lsn(u64::MAX);

const SHORT_PAGE_HEADER: u64 = 24;
const LONG_PAGE_HEADER: u64 = 40;

#[cfg(test)]
mod tests;
