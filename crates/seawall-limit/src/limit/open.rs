//! Requests under way whose cost their responses tell.

use http::Response;
use tokio::time::Instant;

use super::count::{Answered, Count};
use crate::answer::{Answers, Fields};
#[cfg(feature = "redis")]
use crate::cluster::ClusterReservation;
use crate::reservation::Reservation;

/// What of one request is to be settled. Dropped before there is a response, it
/// is settled as never answered.
pub(crate) struct Open {
    held: Vec<(Held, Count)>,
    answers: Answers,
}

/// One policy set's part.
pub(crate) enum Held {
    Local(Reservation),
    #[cfg(feature = "redis")]
    Cluster(ClusterReservation),
}

/// What only the body tells. Settles when it is dropped.
pub(crate) struct Meter {
    held: Vec<(Held, u32)>,
    bytes: u64,
}

impl Open {
    pub(crate) const fn new(answers: Answers) -> Self {
        Self { held: Vec::new(), answers }
    }

    pub(crate) fn hold(&mut self, held: Held, count: &Count) {
        let held = held.dropped_as(count.unanswered());
        self.held.push((held, count.clone()));
    }

    /// Charges nothing: the request was not let in after all.
    pub(crate) fn dismiss(self) {
        for (held, _) in self.held {
            drop(held.dropped_as(0));
        }
    }

    /// Settles what a response tells, and writes how the quotas stand with it.
    pub(crate) fn answered<B>(self, response: &mut Response<B>) -> Option<Box<Meter>> {
        let mut meter = Meter { held: Vec::new(), bytes: 0 };
        let now = Instant::now();
        for (mut held, count) in self.held {
            let answered = Answered {
                status: response.status(),
                headers: response.headers(),
                extensions: response.extensions(),
            };
            let units = count.of(&answered);
            if let Some(units) = units {
                held.settle(units, now);
            }
            if let Some(fields) = held.fields(now, self.answers) {
                fields.write(response.headers_mut());
            }
            if let (None, Count::Bytes { unit }) = (units, count) {
                meter.held.push((held, unit));
            }
        }
        (!meter.held.is_empty()).then(|| Box::new(meter))
    }
}

impl Held {
    fn dropped_as(self, units: u32) -> Self {
        match self {
            Self::Local(it) => Self::Local(it.dropped_as(units)),
            #[cfg(feature = "redis")]
            Self::Cluster(it) => Self::Cluster(it.dropped_as(units)),
        }
    }

    fn settle(&mut self, units: u32, now: Instant) {
        match self {
            Self::Local(it) => it.settle_at(units, now.into()),
            #[cfg(feature = "redis")]
            Self::Cluster(it) => it.settle_at(units),
        }
    }

    /// How the quota stands; `None` where nobody but Redis knows.
    fn fields(&self, now: Instant, answers: Answers) -> Option<Fields> {
        match self {
            Self::Local(it) => {
                let decision = it.peek(now.into());
                decision.is_enforced().then(|| Fields::of(&decision, answers))
            }
            #[cfg(feature = "redis")]
            Self::Cluster(it) => it.fields(answers),
        }
    }
}

impl Meter {
    pub(crate) fn count(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let now = Instant::now();
        for (held, unit) in &mut self.held {
            let units = self.bytes.div_ceil(u64::from(*unit).max(1));
            held.settle(u32::try_from(units).unwrap_or(u32::MAX), now);
        }
    }
}
