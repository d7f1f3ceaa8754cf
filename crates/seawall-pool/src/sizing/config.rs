//! The bounds of a pool's size, and how it finds it by itself.

use std::time::Duration;

use crate::config::{MAX_CONNECTIONS, within};
use crate::error::Error;

/// Bounds of the number of connections to a node, for [`Pool::scale_to`](crate::Pool::scale_to) and for the
/// controller, which is off by default.
///
/// The server's `max_connections` must hold [`max`](Self::max) for every pool of every process, and some more
/// for monitors, cancel requests and people.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct SizingConfig {
    /// Whether each node's size follows its load. It starts from
    /// [`max_size`](crate::PoolConfig::max_size); a size out of bounds, whoever set it, is brought within
    /// when the next window is over. Default false.
    pub auto: bool,
    /// The fewest connections that a node is scaled to. Default 2, 1 to 10 000.
    pub min: usize,
    /// The most. Default 50, `min` to 10 000.
    pub max: usize,
    /// How long load is measured before it is acted on. Default 5 s, 100 ms to 10 min.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub window: Duration,
    /// Spare connections, as a multiple of the square root of those that are busy on average. With 1
    /// about a fifth of the callers wait, with 2 one in forty (Halfin and Whitt). Default 2, 0 to 10.
    pub headroom: f64,
    /// A node shrinks to the most it would have wanted over this time, if that is at least a fifth (and two
    /// connections) less. Default 60 s, at
    /// most 1 h.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub shrink_after: Duration,
    /// A node does not grow while a connection is used for more than this many times as long as at
    /// best lately: then it is the server that is short, and more connections make it
    /// slower. Default 2, 1.1 to 100.
    pub max_slowdown: f64,
}

impl Default for SizingConfig {
    fn default() -> Self {
        Self {
            auto: false,
            min: 2,
            max: 50,
            window: Duration::from_secs(5),
            headroom: 2.0,
            shrink_after: Duration::from_secs(60),
            max_slowdown: 2.0,
        }
    }
}

impl SizingConfig {
    /// Checks every field against its bounds.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the first field that is out of bounds.
    pub fn validate(&self) -> Result<(), Error> {
        let minute = Duration::from_secs(60);
        within("min", self.min, 1..=MAX_CONNECTIONS)?;
        within("max", self.max, self.min..=MAX_CONNECTIONS)?;
        within("window", self.window, Duration::from_millis(100)..=10 * minute)?;
        within("headroom", self.headroom, 0.0..=10.0)?;
        within("shrink_after", self.shrink_after, Duration::ZERO..=60 * minute)?;
        within("max_slowdown", self.max_slowdown, 1.1..=100.0)
    }

    /// How often connections in use are counted.
    pub(crate) fn sample_interval(&self, reap: Duration) -> Duration {
        if self.auto { (self.window / SAMPLES).max(SHORTEST).min(reap) } else { reap }
    }
}

/// In a window.
const SAMPLES: u32 = 50;
const SHORTEST: Duration = Duration::from_millis(10);
