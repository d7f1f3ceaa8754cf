//! What a transaction is begun with, and where it may run because of that.

use std::fmt;
use std::str::FromStr;

use tokio_postgres::IsolationLevel;

use crate::text::words;

/// What a transaction is begun with. What is not said here is as the session has it.
///
/// Read from a statement, if that is where it comes from:
///
/// ```
/// use seawall_pool::TransactionOptions;
///
/// let options: TransactionOptions = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY".parse()?;
/// assert!(options.fits_replica());
/// let options: TransactionOptions = "START TRANSACTION READ ONLY, ISOLATION LEVEL SERIALIZABLE".parse()?;
/// assert!(!options.fits_replica());
/// # Ok::<(), seawall_pool::ParseTransactionError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TransactionOptions {
    /// The isolation level.
    pub isolation: Option<IsolationLevel>,
    /// Whether the server is to refuse everything that writes.
    pub read_only: Option<bool>,
    /// Whether a serializable read-only transaction waits for a moment in which it can run without
    /// being aborted.
    pub deferrable: Option<bool>,
}

impl TransactionOptions {
    /// A transaction that reads only: one that fits a replica.
    #[must_use]
    pub fn read_only() -> Self {
        Self { read_only: Some(true), ..Self::default() }
    }

    /// Whether a replica can run it: it is read-only, and not serializable, which a standby
    /// cannot be.
    #[must_use]
    pub fn fits_replica(&self) -> bool {
        self.read_only == Some(true) && !self.is_serializable()
    }

    pub(crate) fn is_serializable(&self) -> bool {
        matches!(self.isolation, Some(IsolationLevel::Serializable))
    }
}

/// A text that does not begin one transaction and do nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseTransactionError;

impl fmt::Display for ParseTransactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a BEGIN or START TRANSACTION by itself")
    }
}

impl std::error::Error for ParseTransactionError {}

/// `BEGIN` or `START TRANSACTION` with its modes, of which the last of a kind counts, as the server
/// has it.
impl FromStr for TransactionOptions {
    type Err = ParseTransactionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = words(text).ok_or(ParseTransactionError)?;
        let words: Vec<_> = words.iter().map(|word| word.to_ascii_uppercase()).collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let (["BEGIN", "WORK" | "TRANSACTION", modes @ ..]
        | ["START", "TRANSACTION", modes @ ..]
        | ["BEGIN", modes @ ..]) = words.as_slice()
        else {
            return Err(ParseTransactionError);
        };
        let mut modes = modes;
        let mut options = Self::default();
        while !modes.is_empty() {
            modes = match modes {
                ["READ", "ONLY", rest @ ..] => {
                    options.read_only = Some(true);
                    rest
                }
                ["READ", "WRITE", rest @ ..] => {
                    options.read_only = Some(false);
                    rest
                }
                ["NOT", "DEFERRABLE", rest @ ..] => {
                    options.deferrable = Some(false);
                    rest
                }
                ["DEFERRABLE", rest @ ..] => {
                    options.deferrable = Some(true);
                    rest
                }
                ["ISOLATION", "LEVEL", rest @ ..] => {
                    let (level, rest) = level(rest).ok_or(ParseTransactionError)?;
                    options.isolation = Some(level);
                    rest
                }
                _ => return Err(ParseTransactionError),
            };
        }
        Ok(options)
    }
}

fn level<'a, 'w>(words: &'a [&'w str]) -> Option<(IsolationLevel, &'a [&'w str])> {
    Some(match words {
        ["SERIALIZABLE", rest @ ..] => (IsolationLevel::Serializable, rest),
        ["REPEATABLE", "READ", rest @ ..] => (IsolationLevel::RepeatableRead, rest),
        ["READ", "COMMITTED", rest @ ..] => (IsolationLevel::ReadCommitted, rest),
        ["READ", "UNCOMMITTED", rest @ ..] => (IsolationLevel::ReadUncommitted, rest),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::TransactionOptions;

    #[test]
    fn only_what_reads_and_is_not_serializable_fits_a_replica() {
        for (text, fits) in [
            ("BEGIN READ ONLY", true),
            ("begin transaction read only;", true),
            ("/* a /* nested */ one */ START TRANSACTION -- so\n READ ONLY , NOT DEFERRABLE", true),
            ("BEGIN WORK ISOLATION LEVEL REPEATABLE READ READ ONLY", true),
            ("BEGIN READ ONLY, READ WRITE", false),
            ("BEGIN", false),
            ("BEGIN READ WRITE", false),
            ("BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY", false),
            ("BEGIN READ ONLY DEFERRABLE ISOLATION LEVEL SERIALIZABLE", false),
        ] {
            let options: TransactionOptions = text.parse().unwrap();
            assert_eq!(options.fits_replica(), fits, "{text}");
        }
    }

    #[test]
    fn what_does_more_than_to_begin_is_refused() {
        for text in [
            "",
            "SELECT 1",
            "START READ ONLY",
            "BEGIN READ",
            "BEGIN READ ONLY; DELETE FROM item",
            "BEGIN READ ONLY 'x'",
            "BEGIN ISOLATION LEVEL",
            "COMMIT",
            "BEGIN \"READ\" ONLY",
        ] {
            assert!(text.parse::<TransactionOptions>().is_err(), "{text}");
        }
    }
}
