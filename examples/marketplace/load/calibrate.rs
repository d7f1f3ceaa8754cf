//! How much this machine can take: a short closed loop over the same mix.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::crowd::{Crowd, Phase};
use super::wish::Wishes;

/// Enough callers to keep every core busy, few enough not to queue for seconds.
const CALLERS: usize = 32;
const WARM_UP: Duration = Duration::from_secs(3);
const MEASURE: Duration = Duration::from_secs(4);

/// The share of the measured capacity that the busiest moment asks for. Service,
/// load, databases and cache share one machine here; an open model needs slack.
pub const SHARE: f64 = 0.5;

/// How long [`capacity`] takes.
pub const LENGTH: Duration = WARM_UP.saturating_add(MEASURE);

/// Arrivals a second that the service copes with when callers wait for each answer;
/// most are one request, a bid is two or more.
pub async fn capacity(crowd: &Arc<Crowd>, wishes: Wishes) -> f64 {
    let wishes = Arc::new(Mutex::new(wishes));
    let begin = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (crowd, wishes) = (Arc::clone(crowd), Arc::clone(&wishes));
            tokio::spawn(async move {
                while begin.elapsed() < WARM_UP + MEASURE {
                    let (wish, address) = {
                        let mut wishes = wishes.lock().unwrap_or_else(PoisonError::into_inner);
                        (wishes.draw(), wishes.address())
                    };
                    crowd.act(wish, address, Instant::now()).await;
                }
            })
        })
        .collect();
    tokio::time::sleep(WARM_UP).await;
    let start = crowd.begin(Phase::Calibration);
    tokio::time::sleep(MEASURE).await;
    let rate = crowd.glance().arrivals as f64 / start.elapsed().as_secs_f64();
    for caller in callers {
        // A caller ends with its last answer; a panic in it shows on stderr.
        let _ = caller.await;
    }
    rate
}
