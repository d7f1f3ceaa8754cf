//! The right of one node to load a key: the lease in L2.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::leader::Leader;
use crate::key::CacheKey;
use crate::local::Mode;
use crate::remote::Leased;
use crate::stats::LeaseEnd;

/// Whose turn it is to load.
pub(super) enum Turn {
    /// Ours; or L2 cannot say, and we must not wait for it.
    Mine,
    /// Another node loaded, wrote or removed, or gave up: look into L2 again.
    Again,
    /// Another node has been loading for as long as a load may take.
    Late,
}

/// What L2 said to the wish to load.
pub(super) enum Wished {
    Granted,
    Held { for_at_most: Duration },
    Moved,
}

impl<K, V> Leader<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Asks L2 for the lease, and waits if another node has it.
    pub(super) async fn turn(&mut self, give_up: Instant) -> Turn {
        // Before L2 is asked, so that nothing falls in between.
        let landing = self.lease.landing();
        let landed = landing.notified();
        tokio::pin!(landed);
        landed.as_mut().enable();
        let for_at_most = match self.wish_for_lease().await {
            Wished::Granted => return Turn::Mine,
            Wished::Moved => {
                return if Instant::now() < give_up { Turn::Again } else { Turn::Late };
            }
            Wished::Held { for_at_most } => for_at_most,
        };
        let told = self.inner.local.coherence().mode() == Mode::Watched;
        let patience = if told { for_at_most } else { for_at_most.min(UNTOLD) };
        let began = Instant::now();
        if began >= give_up {
            return Turn::Late;
        }
        // A lease that expires is free a moment later.
        let patience = (patience + LEEWAY).min(give_up - began);
        let soft = self.inner.config.load_soft_timeout;
        let waiting = timeout(patience, landed);
        let _ = self.softly(soft, crate::outcome::Layer::Loader, waiting).await;
        self.inner.counters.lease_waited(began.elapsed());
        Turn::Again
    }

    /// Asks L2 for the lease. Without an L2 in reach it is granted.
    pub(super) async fn wish_for_lease(&mut self) -> Wished {
        let inner = Arc::clone(&self.inner);
        let (Some(remote), Some(seen)) = (&inner.remote, self.seen) else {
            return Wished::Granted;
        };
        let token = *self.token.get_or_insert_with(|| rand::random::<u64>().max(1));
        let (end, wished) =
            match remote.lease(&self.text, seen, token, inner.config.lease_ttl).await {
                Ok(Leased::Granted) => (LeaseEnd::Granted, Wished::Granted),
                Ok(Leased::Held { for_at_most }) => {
                    self.token = None;
                    (LeaseEnd::Held, Wished::Held { for_at_most })
                }
                Ok(Leased::Moved) => {
                    self.token = None;
                    (LeaseEnd::Moved, Wished::Moved)
                }
                // It may have been granted all the same: the token is still shown.
                Err(error) => {
                    inner.counters.remote_error(&error);
                    (LeaseEnd::Error, Wished::Granted)
                }
            };
        inner.counters.leased(end);
        wished
    }

    /// Holds the lease for longer. `false`: there is none to hold any more.
    pub(super) async fn renew_lease(&self) -> bool {
        let (Some(remote), Some(token)) = (&self.inner.remote, self.token) else {
            return false;
        };
        match remote.renew(&self.text, token, self.inner.config.lease_ttl).await {
            Ok(true) => true,
            Ok(false) => {
                self.inner.counters.leased(LeaseEnd::Lost);
                false
            }
            Err(error) => {
                self.inner.counters.remote_error(&error);
                true
            }
        }
    }

    /// Gives the lease back without a fill. Nobody need wait for that.
    pub(super) fn release(&self) {
        let (Some(remote), Some(token)) = (self.inner.remote.clone(), self.token) else {
            return;
        };
        let text = self.text.clone();
        let alive = self.inner.tasks.subscribe();
        tokio::spawn(async move {
            // If it fails, the lease ends by itself.
            let _ = remote.release(&text, token).await;
            drop(alive);
        });
    }
}

/// How often a lease that nobody tells the end of is asked for.
const UNTOLD: Duration = Duration::from_millis(100);

const LEEWAY: Duration = Duration::from_millis(1);
