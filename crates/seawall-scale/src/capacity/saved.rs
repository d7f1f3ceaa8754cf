use serde::{Deserialize, Serialize};

use super::planner::Learned;
use super::{Planner, PlannerConfig, PlannerError, Service};

/// A [`Planner`] that can be written down: what it learned, and what it was made of.
///
/// About 150 kB of JSON, and never more than some times that: queues hold three hours at most.
/// Use a format that keeps floating-point numbers to the bit (`serde_json` needs its feature
/// `float_roundtrip`), or the plans after a restart differ in the last digits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPlanner {
    version: u32,
    config: PlannerConfig,
    service: Service,
    period: f64,
    learned: Learned,
}

/// Why a [`SavedPlanner`] cannot be restored. Trying again does not help: begin anew.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// Another version of this crate has written it, with other contents.
    #[error("a planner of version {found} cannot be restored, only of version {VERSION}")]
    Version {
        /// What it has.
        found: u32,
    },
    /// Its configuration is out of its bounds.
    #[error(transparent)]
    Config(#[from] PlannerError),
    /// Its period is no number of seconds from 0.1, its service has a rate of 0, or what it
    /// learned is damaged: it has other parts than a planner has, too many, or numbers that are
    /// none.
    #[error("the {part} of a saved planner cannot be used")]
    Damaged {
        /// Which part.
        part: &'static str,
    },
}

impl Planner {
    /// Writes it down. Cost: a copy, about 100 kB.
    #[must_use]
    pub fn save(&self) -> SavedPlanner {
        SavedPlanner {
            version: VERSION,
            config: self.config.clone(),
            service: self.service,
            period: self.period,
            learned: self.learned.clone(),
        }
    }
}

impl SavedPlanner {
    /// The planner: from here on it plans to the bit as the one that was saved would have,
    /// asked on the same clock.
    ///
    /// # Errors
    /// If it is of another version, damaged, or its configuration is out of bounds.
    pub fn restore(self) -> Result<Planner, RestoreError> {
        if self.version != VERSION {
            return Err(RestoreError::Version { found: self.version });
        }
        self.config.validate()?;
        let damaged = |part| Err(RestoreError::Damaged { part });
        if !(0.1..=1e9).contains(&self.period) {
            return damaged("period");
        }
        if !(self.service.rate > 0.0 && self.service.rate.is_finite()) {
            return damaged("service");
        }
        let mut planner = Planner::new(self.config, self.service, self.period);
        if !self.learned.sound(&planner.learned) {
            return damaged("learned");
        }
        planner.learned = self.learned;
        Ok(planner)
    }
}

/// Grows when what is learned changes its shape or its meaning.
const VERSION: u32 = 2;
