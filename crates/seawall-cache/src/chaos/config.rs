//! How much goes wrong.

use std::time::Duration;

use crate::error::ConfigError;

/// How often each fault strikes. Probabilities are from 0 to 1, and are tried in the order in which
/// they stand here; the default is no fault at all.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ChaosConfig {
    /// The operation fails at once, as if there were no connection. It has no effect.
    pub refuse: f64,
    /// The operation is never answered and has no effect.
    pub hang: f64,
    /// The operation takes effect and is never answered.
    pub lose_answer: f64,
    /// The operation is never answered, and takes effect later, after a delay: a packet that sat in
    /// a queue. Not for `put`, which must not take effect late; there it is a `hang`.
    pub late: f64,
    /// Every operation waits for up to this long before it takes effect, and again before it is
    /// answered.
    pub delay: Duration,
    /// Every message of the remote comes up to this long late; they keep their order.
    pub message_delay: Duration,
}

impl ChaosConfig {
    /// No fault.
    #[must_use]
    pub fn calm() -> Self {
        Self::default()
    }

    /// Fails every operation at once.
    #[must_use]
    pub fn gone() -> Self {
        Self { refuse: 1.0, ..Self::default() }
    }

    /// Answers nothing.
    #[must_use]
    pub fn frozen() -> Self {
        Self { hang: 1.0, ..Self::default() }
    }

    /// Checks every field against its bound.
    ///
    /// # Errors
    /// Names the first field that is out of bounds, its value and the bound.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for (field, value) in [
            ("refuse", self.refuse),
            ("hang", self.hang),
            ("lose_answer", self.lose_answer),
            ("late", self.late),
        ] {
            ConfigError::check((0.0..=1.0).contains(&value), field, &value, "0 to 1")?;
        }
        Ok(())
    }
}
