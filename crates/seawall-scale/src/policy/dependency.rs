use std::time::Duration;

use super::{HOUR, PolicyError, SECOND, duration, number};

/// Something all instances share and that carries only so many: a database's
/// connections, `PgBouncer`'s clients.
///
/// ```toml
/// name = "postgres"
/// capacity = 200
/// reserved = 20
/// per_instance = 15
/// busy = { signal = "pool_usage", above = 0.95, waiting = "pool_waiting" }
/// ```
///
/// The group never has more than `(capacity - reserved) / per_instance`
/// instances, 12 here; and while the thing is busy it does not grow, since more
/// instances would only wait in a longer line.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Dependency {
    /// For reasons.
    pub name: String,
    /// Connections it can serve.
    pub capacity: u32,
    /// Connections kept for others. Default: 0.
    #[cfg_attr(feature = "serde", serde(default))]
    pub reserved: u32,
    /// Connections that one instance may open. At least 1.
    pub per_instance: u32,
    /// When it is too busy for more. Default: never.
    #[cfg_attr(feature = "serde", serde(default))]
    pub busy: Option<Busy>,
}

/// When more instances would only make it worse.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Busy {
    /// Signal: its use as a ratio.
    pub signal: String,
    /// Busy from here on. Above 0. Default: 0.95.
    #[cfg_attr(feature = "serde", serde(default = "nearly_full"))]
    pub above: f64,
    /// Signal: how many, or for how long, callers wait for it. If named it must
    /// be above 0 as well. Default: none.
    #[cfg_attr(feature = "serde", serde(default))]
    pub waiting: Option<String>,
    /// What waits must also have grown, by a tenth within the last one to two
    /// times this long; from then on growth is refused until it is back where it
    /// began, or the use is below `above`. Needs `waiting`. 1 s to 1 h.
    /// Default: it need not have grown.
    #[cfg_attr(feature = "serde", serde(default, with = "crate::text::optional_duration"))]
    pub rising: Option<Duration>,
}

impl Busy {
    /// Busy from a use of 95 % on.
    #[must_use]
    pub fn at(signal: impl Into<String>) -> Self {
        Self { signal: signal.into(), above: nearly_full(), waiting: None, rising: None }
    }
}

impl Dependency {
    /// `capacity` connections, of which each instance may open `per_instance`.
    #[must_use]
    pub fn new(name: impl Into<String>, capacity: u32, per_instance: u32) -> Self {
        Self { name: name.into(), capacity, reserved: 0, per_instance, busy: None }
    }

    /// Most instances it carries.
    #[must_use]
    pub fn most(&self) -> u32 {
        self.capacity.saturating_sub(self.reserved) / self.per_instance.max(1)
    }

    pub(super) fn validate(&self, min: u32) -> Result<(), PolicyError> {
        if self.name.is_empty() {
            return Err(PolicyError::EmptyName);
        }
        let each = f64::from(self.per_instance);
        number("per_instance", each, self.per_instance > 0, "at least 1")?;
        let most = self.most();
        if most < min {
            return Err(PolicyError::DependencyBelowMin { most, min });
        }
        let Some(busy) = &self.busy else { return Ok(()) };
        if busy.signal.is_empty() || busy.waiting.as_ref().is_some_and(String::is_empty) {
            return Err(PolicyError::EmptySignal);
        }
        if let Some(rising) = busy.rising {
            duration("busy.rising", rising, SECOND, HOUR)?;
            if busy.waiting.is_none() {
                return Err(PolicyError::RisingWithoutWaiting);
            }
        }
        let fits = busy.above > 0.0 && busy.above.is_finite();
        number("busy.above", busy.above, fits, "a ratio above 0")
    }
}

fn nearly_full() -> f64 {
    0.95
}
