use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use crate::actuate::{ActuateError, Observed, Outcome};

/// Where a [`Reconciler`](super::Reconciler) and its world stand.
#[derive(Clone, Debug)]
pub struct Status {
    /// In a word.
    pub standing: Standing,
    /// What is wanted.
    pub target: Option<u32>,
    /// Why.
    pub reason: Arc<str>,
    /// What was last seen.
    pub observed: Option<Observed>,
    /// When that was.
    pub observed_at: Option<Instant>,
    /// What came of the last write.
    pub outcome: Option<Outcome>,
    /// What went wrong last, until something goes well.
    pub error: Option<Arc<ActuateError>>,
    /// How often in a row it went wrong.
    pub failures: u32,
    /// Changes of size that somebody else made, since the start.
    pub external_writes: u64,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            standing: Standing::Idle,
            target: None,
            reason: Arc::from(""),
            observed: None,
            observed_at: None,
            outcome: None,
            error: None,
            failures: 0,
            external_writes: 0,
        }
    }
}

/// The state of a [`Reconciler`](super::Reconciler).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Standing {
    /// Nothing is wanted yet.
    Idle,
    /// As many instances serve as are wanted.
    Settled,
    /// The world has been told, and is at it.
    Following,
    /// The world has been told longer than `follow_within` ago and is not there.
    Late,
    /// The world took only a part, or lost some; it is asked again with growing pauses, and this stands
    /// until it has what is wanted.
    Short,
    /// Something went wrong that may pass; the world is left alone for a while.
    BackingOff,
    /// Something went wrong that waiting does not cure; tried again after `retry_final`.
    Halted,
    /// Another autoscaler owns the size; nothing is written.
    Yielding,
    /// Somebody changed the size again and again; nothing is written until
    /// [`resume`](super::Reconciler::resume).
    ObserveOnly,
    /// Another engine leads; this one watches.
    Standby,
    /// A dry run: the wish is written down, and nowhere else.
    Recorded,
}

impl Standing {
    /// Whether somebody should look.
    #[must_use]
    pub fn is_degraded(self) -> bool {
        match self {
            Self::Idle | Self::Settled | Self::Following | Self::Standby | Self::Recorded => false,
            Self::Late
            | Self::Short
            | Self::BackingOff
            | Self::Halted
            | Self::Yielding
            | Self::ObserveOnly => true,
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "nothing is wanted yet",
            Self::Settled => "as many serve as are wanted",
            Self::Following => "told, and at it",
            Self::Late => "told long ago, and not there",
            Self::Short => "fewer were granted or are left than wanted",
            Self::BackingOff => "waiting after a failure",
            Self::Halted => "stopped by an error that waiting does not cure",
            Self::Yielding => "another autoscaler owns the size",
            Self::ObserveOnly => "watching only: somebody else keeps changing the size",
            Self::Standby => "another engine leads",
            Self::Recorded => "a dry run",
        })
    }
}
