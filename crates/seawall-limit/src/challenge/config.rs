//! When clients are challenged, and how hard it is.

use std::time::Duration;

use crate::error::{Error, in_range};

/// Thresholds and costs of a [`Challenge`](super::Challenge).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct ChallengeConfig {
    /// Requests a minute of one client, above which it is challenged. Default:
    /// 600. `None`: never for its own rate.
    pub per_client: Option<u32>,
    /// Requests a minute of all clients without a pass, above which all of
    /// those are challenged. Default: `None`, never.
    pub overall: Option<u32>,
    /// How long a client stays challenged once it passes `per_client`, before it
    /// is counted again; and how long all stay challenged after the last second
    /// above `overall`. Default: 1 min; 1 s to 1 day.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub hold: Duration,
    /// Zero bits that a solution's hash begins with: each one more doubles the
    /// work, 2^bits hashes on average. Default: 16; 1 to 32.
    pub difficulty: u8,
    /// The bits at the most: each doubling of the rate above `overall` asks for
    /// one more. Default: 20; from `difficulty` to 32.
    pub max_difficulty: u8,
    /// How long a puzzle can be solved. Default: 2 min; 1 s to 1 hour.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub puzzle_ttl: Duration,
    /// How long a pass lets in after its puzzle ran out. Default: 10 min; 1 s
    /// to 7 days.
    #[cfg_attr(feature = "serde", serde(with = "humantime_serde"))]
    pub pass_ttl: Duration,
    /// Solutions remembered while their puzzles last, so that none counts
    /// twice: twice as many as may be redeemed in `puzzle_ttl`, at 16 bytes
    /// each, as of so many one in ten would be refused. Default: 65 536; 16 to 2^24.
    pub replay_slots: usize,
}

impl ChallengeConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// On the first that is out of bounds.
    pub fn validate(&self) -> Result<(), Error> {
        let seconds = |field, value: Duration, most| in_range(field, value.as_secs(), 1, most);
        in_range("per_client", self.per_client.unwrap_or(1).into(), 1, u32::MAX.into())?;
        in_range("overall", self.overall.unwrap_or(1).into(), 1, u32::MAX.into())?;
        seconds("hold", self.hold, 86_400)?;
        in_range("difficulty", self.difficulty.into(), 1, MAX_BITS.into())?;
        let least = self.difficulty.into();
        in_range("max_difficulty", self.max_difficulty.into(), least, MAX_BITS.into())?;
        seconds("puzzle_ttl", self.puzzle_ttl, 3_600)?;
        seconds("pass_ttl", self.pass_ttl, 604_800)?;
        in_range("replay_slots", self.replay_slots as u64, 16, 1 << 24)
    }
}

impl Default for ChallengeConfig {
    fn default() -> Self {
        Self {
            per_client: Some(600),
            overall: None,
            hold: Duration::from_secs(60),
            difficulty: 16,
            max_difficulty: 20,
            puzzle_ttl: Duration::from_secs(120),
            pass_ttl: Duration::from_secs(600),
            replay_slots: 65_536,
        }
    }
}

/// Four thousand million hashes, which a browser takes an hour for.
const MAX_BITS: u8 = 32;
