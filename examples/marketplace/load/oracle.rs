//! What the service has acknowledged, to hold its later answers against.

use std::collections::HashMap;
use std::sync::Mutex;

/// The highest acknowledged bid and the last seen price of each auction.
#[derive(Debug, Default)]
pub struct Oracle {
    prices: Mutex<HashMap<u64, Price>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Price {
    acknowledged: u64,
    seen: u64,
}

/// The floor for one read: taken before the read is sent.
#[derive(Clone, Copy, Debug)]
pub struct Floor {
    auction: u64,
    acknowledged: u64,
}

impl Oracle {
    /// A bid of `cents` was acknowledged: no read sent from now on may show less.
    pub fn acknowledge(&self, auction: u64, cents: u64) {
        self.update(auction, |price| {
            price.acknowledged = price.acknowledged.max(cents);
            price.seen = price.seen.max(cents);
        });
    }

    /// What a read sent now must show at the least.
    pub fn floor(&self, auction: u64) -> Floor {
        let acknowledged = self.update(auction, |_| ()).acknowledged;
        Floor { auction, acknowledged }
    }

    /// The price to outbid, if anyone has looked at this auction yet.
    pub fn seen(&self, auction: u64) -> Option<u64> {
        Some(self.update(auction, |_| ()).seen).filter(|&cents| cents > 0)
    }

    /// Judges an answer: `None` when nothing was acknowledged to hold it against.
    pub fn judge(&self, floor: Floor, cents: u64) -> Option<Freshness> {
        self.update(floor.auction, |price| price.seen = price.seen.max(cents));
        (floor.acknowledged > 0).then_some(if cents < floor.acknowledged {
            Freshness::Stale
        } else {
            Freshness::Fresh
        })
    }

    fn update(&self, auction: u64, change: impl FnOnce(&mut Price)) -> Price {
        let mut prices = self.prices.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let price = prices.entry(auction).or_default();
        change(price);
        *price
    }
}

/// Whether an answer showed every write that was acknowledged before it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    Fresh,
    Stale,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_below_the_bid_acknowledged_before_it_was_asked_for_is_stale() {
        let oracle = Oracle::default();
        let before = oracle.floor(1);
        oracle.acknowledge(1, 500);
        let after = oracle.floor(1);
        assert_eq!(oracle.judge(before, 400), None);
        assert_eq!(oracle.judge(after, 400), Some(Freshness::Stale));
        assert_eq!(oracle.judge(after, 500), Some(Freshness::Fresh));
        assert_eq!(oracle.seen(1), Some(500));
        assert_eq!(oracle.seen(2), None);
    }
}
