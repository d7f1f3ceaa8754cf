//! What a load in flight tells those who wait for it.

use std::any::Any;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::LoadError;
use crate::outcome::Got;

/// How a load ended, for all that wait for it.
pub(crate) type Ended<V> = Result<Got<V>, Failure>;

/// How far a load is.
pub(crate) enum Progress<V> {
    /// It goes on; until this moment its callers may have this stale answer.
    Interim {
        got: Got<V>,
        at: Instant,
        until: Instant,
    },
    Ended(Ended<V>),
}

/// Where a load tells its progress.
pub(crate) type Teller<V> = watch::Sender<Option<Progress<V>>>;

/// Waits for an answer: the last one, or a stale one that may be had before it.
pub(super) async fn wait<V>(mut flight: watch::Receiver<Option<Progress<V>>>) -> Ended<V> {
    loop {
        match &*flight.borrow_and_update() {
            Some(Progress::Ended(ended)) => return ended.clone(),
            Some(Progress::Interim { got, at, until }) => {
                let now = Instant::now();
                if now < *until {
                    let age = got.age + now.saturating_duration_since(*at);
                    return Ok(Got { age, ..got.clone() });
                }
            }
            None => {}
        }
        if flight.changed().await.is_err() {
            return Err(Failure::Aborted);
        }
    }
}

/// Why a load brought no value. Callers with different error types may share it.
#[derive(Clone)]
pub(crate) enum Failure {
    Loader { typed: Arc<dyn Any + Send + Sync>, error: Arc<dyn StdError + Send + Sync> },
    Panicked,
    TimedOut { after: Duration },
    NothingToKeep,
    Aborted,
}

impl Failure {
    pub(super) fn loader<E: StdError + Send + Sync + 'static>(error: E) -> Self {
        let error = Arc::new(error);
        Self::Loader { typed: Arc::clone(&error) as _, error }
    }

    pub(super) fn into_error<E: StdError + Send + Sync + 'static>(self) -> LoadError<E> {
        match self {
            Self::Loader { typed, error } => match typed.downcast() {
                Ok(typed) => LoadError::Failed(typed),
                Err(_) => LoadError::Joined(error),
            },
            Self::Panicked => LoadError::Panicked,
            Self::TimedOut { after } => LoadError::TimedOut { after },
            Self::NothingToKeep => LoadError::NothingToKeep,
            Self::Aborted => LoadError::Aborted,
        }
    }
}
