use std::time::Duration;

/// A field of a configuration is out of bounds. Trying again is pointless: the
/// configuration must change. Nothing was changed by it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A duration is out of bounds.
    #[error("{field}: {value:?}, must be {min:?} to {max:?}")]
    Duration {
        /// The field.
        field: &'static str,
        /// Its value.
        value: Duration,
        /// The least it may be.
        min: Duration,
        /// The most it may be.
        max: Duration,
    },
    /// A number is out of bounds.
    #[error("{field}: {value}, must be {min} to {max}")]
    Number {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// The least it may be.
        min: u64,
        /// The most it may be.
        max: u64,
    },
    /// A name, an address or the like is not one.
    #[error("{field}: {value:?}, must be {bound}")]
    Text {
        /// The field.
        field: &'static str,
        /// Its value; never one that may hold a secret.
        value: Box<str>,
        /// What it may be.
        bound: &'static str,
    },
}

impl ConfigError {
    pub(crate) fn duration(
        field: &'static str,
        value: Duration,
        (min, max): (Duration, Duration),
    ) -> Result<(), Self> {
        if (min..=max).contains(&value) {
            return Ok(());
        }
        Err(Self::Duration { field, value, min, max })
    }

    pub(crate) fn number(
        field: &'static str,
        value: u64,
        (min, max): (u64, u64),
    ) -> Result<(), Self> {
        if (min..=max).contains(&value) {
            return Ok(());
        }
        Err(Self::Number { field, value, min, max })
    }
}
