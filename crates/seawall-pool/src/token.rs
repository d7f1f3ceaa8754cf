//! What a reader must at least see, as one word that can be handed around.

use std::fmt;
use std::str::FromStr;

use crate::Lsn;

/// A point in the history of one database cluster: a reader that holds it sees
/// everything committed up to it ([`Route::after`](crate::Route::after)).
///
/// Positions alone compare only within one cluster and one timeline; a promotion
/// starts a new timeline. So a token names both:
///
/// - A token of another cluster is refused with [`Error::ForeignToken`](crate::Error::ForeignToken).
/// - A token of a timeline newer than that of the primary is served by nodes that an answer or
///   a monitor found on it; while there is none it is refused with
///   [`Error::UnknownTimeline`](crate::Error::UnknownTimeline), which may be retried: every node
///   known here may lack the write, the primary too.
/// - A token of an older timeline is served by the primary alone. What it stands for
///   survived the promotion or is lost, which its position does not tell; either
///   way no node has more of it than the primary.
///
/// It prints and parses in a compact form, three hexadecimal numbers:
///
/// ```
/// use seawall_pool::{Lsn, Token};
/// let token = Token { system: 0x65a3_f0c2_d1e4_b7a9, timeline: 1, lsn: Lsn(0x16B_3748) };
/// assert_eq!(token.to_string(), "65a3f0c2d1e4b7a9.1.16b3748");
/// assert_eq!("65a3f0c2d1e4b7a9.1.16b3748".parse(), Ok(token));
/// ```
///
/// With the feature `serde` it is a string in that form. It tells how busy the
/// database is and is easily made up: sign it before it leaves the service, as
/// `CausalLayer` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    /// PostgreSQL's system identifier; zero if it is not known.
    pub system: u64,
    /// The timeline on which the position lies; zero if it is not known.
    pub timeline: u32,
    /// The position.
    pub lsn: Lsn,
}

impl Token {
    /// The later of two tokens, which covers both. `None` if they are of different
    /// clusters, where there is no later. Of two timelines the newer one counts: what
    /// survived of the older one is in its past.
    ///
    /// An unknown cluster goes with any. Of an unknown timeline the larger position counts,
    /// since it may lie on either.
    #[must_use]
    pub fn merge(self, other: Self) -> Option<Self> {
        if self.system != other.system && self.system != 0 && other.system != 0 {
            return None;
        }
        let system = self.system.max(other.system);
        let (timeline, lsn) = if self.timeline == 0 || other.timeline == 0 {
            (self.timeline.max(other.timeline), self.lsn.max(other.lsn))
        } else {
            (self.timeline, self.lsn).max((other.timeline, other.lsn))
        };
        Some(Self { system, timeline, lsn })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{:x}.{:x}", self.system, self.timeline, self.lsn.0)
    }
}

impl FromStr for Token {
    type Err = ParseTokenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('.');
        let mut next = |digits| number(parts.next().ok_or(ParseTokenError)?, digits);
        let (system, timeline, lsn) = (next(16)?, next(8)?, next(16)?);
        if parts.next().is_some() {
            return Err(ParseTokenError);
        }
        let timeline = u32::try_from(timeline).map_err(|_| ParseTokenError)?;
        Ok(Self { system, timeline, lsn: Lsn(lsn) })
    }
}

/// The text was not three hexadecimal numbers with points between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token: expected three hexadecimal numbers such as 65a3f0c2d1e4b7a9.1.16b3748")]
pub struct ParseTokenError;

#[cfg(feature = "serde")]
impl serde::Serialize for Token {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Token {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What [`Route::after`](crate::Route::after) takes: a [`Token`], a bare [`Lsn`], which nothing
/// can check, or an option of either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct After(pub(crate) Option<Token>);

impl From<Token> for After {
    fn from(token: Token) -> Self {
        Self(Some(token))
    }
}

impl From<Option<Token>> for After {
    fn from(token: Option<Token>) -> Self {
        Self(token)
    }
}

impl From<Lsn> for After {
    fn from(lsn: Lsn) -> Self {
        Self(Some(Token { system: 0, timeline: 0, lsn }))
    }
}

impl From<Option<Lsn>> for After {
    fn from(lsn: Option<Lsn>) -> Self {
        lsn.map(Self::from).unwrap_or_default()
    }
}

/// Parses one number; unlike `from_str_radix`, refuses a sign.
fn number(text: &str, digits: usize) -> Result<u64, ParseTokenError> {
    let fits = (1..=digits).contains(&text.len());
    if !fits || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(ParseTokenError);
    }
    u64::from_str_radix(text, 16).map_err(|_| ParseTokenError)
}

#[cfg(test)]
mod tests;
