//! Sends each request when it is due, whatever became of the ones before.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::crowd::{Crowd, Phase};
use super::schedule::Schedule;
use super::wish::Wishes;

/// Arrivals under way at once; beyond it one that is due is counted as missed, not queued.
const SLOTS: u32 = 4_096;
/// How long the last answers may take.
const DRAIN: Duration = Duration::from_secs(35);

/// Runs the schedule to its end and waits for the last answers.
pub async fn run(crowd: &Arc<Crowd>, schedule: Schedule, mut wishes: Wishes) {
    let slots = Arc::new(Semaphore::new(SLOTS as usize));
    let start = crowd.begin(Phase::Run);
    for offset in schedule {
        let due = start + offset;
        if due > Instant::now() {
            tokio::time::sleep_until(due).await;
        }
        let (wish, address) = (wishes.draw(), wishes.address());
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            crowd.missed(1);
            continue;
        };
        let crowd = Arc::clone(crowd);
        tokio::spawn(async move {
            crowd.act(wish, address, due).await;
            drop(slot);
        });
    }
    if tokio::time::timeout(DRAIN, slots.acquire_many(SLOTS)).await.is_err() {
        crowd.missed(u64::from(SLOTS).saturating_sub(slots.available_permits() as u64));
    }
}
