use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::policy::MOST_SIZES;
use crate::scalability::{last_worth, median};

/// What an evaluation saw of the work done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Throughput {
    pub(crate) at: Instant,
    pub(crate) size: u32,
    /// All that the group can do at its size, if that was seen.
    pub(crate) rate: Option<f64>,
    /// Older ones are forgotten.
    pub(crate) keep: Duration,
}

/// What the group could do at the sizes it had; bounded.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Throughputs {
    /// The present size, and since when.
    pub(super) steady: Option<(u32, Instant)>,
    /// By size, smallest first.
    pub(super) sizes: Vec<(u32, VecDeque<(Instant, f64)>)>,
    last_worth: Option<u32>,
}

impl Throughputs {
    #[cfg(feature = "serde")]
    pub(super) fn new(
        steady: Option<(u32, Instant)>,
        sizes: Vec<(u32, VecDeque<(Instant, f64)>)>,
    ) -> Self {
        let mut all = Self { steady, sizes, last_worth: None };
        // It may come from a file.
        all.sizes.retain(|(_, rates)| !rates.is_empty());
        all.sizes.sort_by_key(|(size, _)| *size);
        all.sizes.dedup_by_key(|(size, _)| *size);
        all.sizes.truncate(MOST_SIZES as usize);
        for (_, rates) in &mut all.sizes {
            rates.truncate(PER_SIZE);
        }
        all.fit();
        all
    }

    pub(super) fn push(&mut self, seen: Throughput) {
        let Throughput { at, size, rate, keep } = seen;
        if self.steady.is_none_or(|(steady, _)| steady != size) {
            self.steady = Some((size, at));
        }
        let Some(rate) = rate else { return };
        let place = self.sizes.binary_search_by_key(&size, |(size, _)| *size);
        let place = place.unwrap_or_else(|place| {
            self.sizes.insert(place, (size, VecDeque::with_capacity(PER_SIZE)));
            place
        });
        let Some((_, rates)) = self.sizes.get_mut(place) else { return };
        let age = |past: Instant| at.saturating_duration_since(past);
        if rates.back().is_some_and(|(last, _)| age(*last) < APART) {
            return;
        }
        if rates.len() == PER_SIZE {
            rates.pop_front();
        }
        rates.push_back((at, rate));
        for (_, rates) in &mut self.sizes {
            rates.retain(|(past, _)| age(*past) <= keep);
        }
        self.sizes.retain(|(_, rates)| !rates.is_empty());
        if self.sizes.len() > MOST_SIZES as usize {
            let last =
                |(_, rates): &(u32, VecDeque<(Instant, f64)>)| rates.back().map(|(at, _)| *at);
            let stalest = (0..self.sizes.len()).min_by_key(|index| last(&self.sizes[*index]));
            stalest.map(|index| self.sizes.remove(index));
        }
        self.fit();
    }

    /// For how long the group has had its size of `current`.
    pub(crate) fn steady(&self, current: u32, now: Instant) -> Duration {
        let since = self.steady.filter(|(size, _)| *size == current);
        since.map_or(Duration::ZERO, |(_, since)| now.saturating_duration_since(since))
    }

    /// The last size worth growing to, if it was measured at so many sizes.
    pub(crate) fn last_worth(&self, sizes: u32) -> Option<u32> {
        self.last_worth.filter(|_| self.sizes.len() >= sizes as usize)
    }

    /// At how many sizes it was measured.
    pub(crate) fn sizes(&self) -> u32 {
        u32::try_from(self.sizes.len()).unwrap_or(u32::MAX)
    }

    fn fit(&mut self) {
        let middle = |rates: &VecDeque<(Instant, f64)>| {
            median(rates.iter().map(|(_, rate)| *rate).collect())
        };
        let points: Vec<(f64, f64)> =
            self.sizes.iter().map(|(size, rates)| (f64::from(*size), middle(rates))).collect();
        self.last_worth = last_worth(&points);
    }
}

/// Measurements of a size that are kept: their median stands against four that are wrong.
const PER_SIZE: usize = 9;

/// Least time between two of them.
const APART: Duration = Duration::from_secs(10);
