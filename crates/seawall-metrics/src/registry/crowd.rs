//! A metric with more label sets than it may have: which label to fold, and who
//! may come in late.
//!
//! The label with the most values is folded: `{method="GET", path="/x/81"}` is
//! counted as `{method="GET", path="_overflow"}`, so the other labels still say
//! something. If those are too many in turn, `{overflow="true"}` takes the rest.
//!
//! Once a metric has been full, a label set that is new is let in only if it was
//! looked up clearly more often than others of late (TinyLFU's admission, after
//! Einziger, Friedman and Manes): a scanner's paths, each seen once or twice, do
//! not take the places that idle series leave, a route that became hot does.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use super::name::Labels;

/// What a metric remembers from when it was full. Made when it first is.
pub(super) struct Crowd {
    /// The label whose values are folded.
    label: Option<Box<str>>,
    /// Series made of folded label sets.
    pub(super) folded: usize,
    hasher: RandomState,
    /// Look-ups by hash of the label set, two rows of a count-min sketch.
    counts: [Box<[u16]>; 2],
    total: u64,
}

impl Crowd {
    pub(super) fn new<'a>(series: impl Iterator<Item = &'a Labels>) -> Self {
        let row = || vec![0; WIDTH].into_boxed_slice();
        Self {
            label: widest(series),
            folded: 0,
            hasher: RandomState::new(),
            counts: [row(), row()],
            total: 0,
        }
    }

    /// The label set that stands for `labels`.
    pub(super) fn fold(&self, labels: &Labels) -> Labels {
        let folded = self.label.as_deref().and_then(|label| labels.with(label, FOLDED));
        folded.unwrap_or_else(Labels::overflow)
    }

    /// Counts a look-up; true if the label set has come often enough to be let in.
    pub(super) fn knocks(&mut self, labels: &Labels) -> bool {
        let hash = self.hasher.hash_one(labels.text());
        if self.total >= MOST {
            self.halve();
        }
        self.total += 1;
        let mut least = u64::MAX;
        for (row, hash) in self.counts.iter_mut().zip([hash, hash >> 32]) {
            if let Some(count) = row.get_mut(hash as usize % WIDTH) {
                *count = count.saturating_add(1);
                least = least.min(u64::from(*count));
            }
        }
        // What others have left in its counters does not count.
        least >= OFTEN + 4 * self.total / WIDTH as u64
    }

    /// To be called now and then: what is long past counts for less.
    pub(super) fn age<'a>(&mut self, series: impl Iterator<Item = &'a Labels>) {
        self.halve();
        if self.label.is_none() {
            self.label = widest(series);
        }
    }

    fn halve(&mut self) {
        for count in self.counts.iter_mut().flatten() {
            *count /= 2;
        }
        self.total /= 2;
    }
}

/// The label with the most values.
fn widest<'a>(series: impl Iterator<Item = &'a Labels>) -> Option<Box<str>> {
    let mut values: HashMap<&str, HashSet<&str>> = HashMap::new();
    for (name, value) in series.flat_map(Labels::iter) {
        values.entry(name).or_default().insert(value);
    }
    // Of equals the first by name, whatever the map's order.
    let widest = values.into_iter().max_by(|(a, m), (b, n)| (m.len(), b).cmp(&(n.len(), a)));
    widest.map(|(name, _)| name.into())
}

/// Stands for every value of a label that is folded.
pub(super) const FOLDED: &str = "_overflow";
/// Look-ups that make a label set one of the frequent.
const OFTEN: u64 = 4;
const WIDTH: usize = 4096;
/// Look-ups after which the counts are halved, however little time has passed:
/// else what must be reached rises beyond what a counter holds.
const MOST: u64 = 1 << 22;

#[cfg(test)]
mod tests {
    use metrics::Label;

    use super::*;

    fn labels(pairs: &[(&'static str, String)]) -> Labels {
        let pairs: Vec<Label> =
            pairs.iter().map(|(name, value)| Label::new(*name, value.clone())).collect();
        Labels::new(pairs.iter(), false)
    }

    fn path(n: usize) -> Labels {
        labels(&[("method", "GET".to_owned()), ("path", n.to_string())])
    }

    #[test]
    fn the_label_with_the_most_values_is_folded_and_the_others_stay() {
        let series: Vec<Labels> = (0..50).map(path).collect();
        let crowd = Crowd::new(series.iter());
        assert_eq!(crowd.fold(&path(99)).text(), "method=\"GET\",path=\"_overflow\"");
        let without = labels(&[("other", "x".to_owned())]);
        assert_eq!(crowd.fold(&without).text(), "overflow=\"true\"");
    }

    #[test]
    fn a_scan_of_many_paths_lets_none_in_and_a_hot_one_in_its_midst_gets_in() {
        let mut crowd = Crowd::new(std::iter::empty());
        let mut admitted = 0;
        let mut hot_at = None;
        for n in 0..100_000 {
            admitted += u64::from(crowd.knocks(&path(n)));
            // One in fifty is for the same path.
            if n % 50 == 0 && hot_at.is_none() && crowd.knocks(&path(1_000_000)) {
                hot_at = Some(n);
            }
            if n % 20_000 == 0 {
                crowd.age(std::iter::empty());
            }
        }
        assert!(hot_at.is_some_and(|at| at < 1_000), "{hot_at:?}");
        assert!(admitted < 20, "{admitted}");
    }

    #[test]
    fn among_any_number_of_look_ups_a_hot_one_gets_in() {
        let mut crowd = Crowd::new(std::iter::empty());
        // As after a hundred million look-ups, a tenth of them for one path.
        crowd.total = 100_000_000;
        crowd
            .counts
            .iter_mut()
            .flatten()
            .for_each(|count| *count = 100_000_000_u32.div_ceil(4096) as u16);
        let admitted =
            (0..2_000_000).any(|n| crowd.knocks(&path(if n % 10 == 0 { 1 } else { n + 2 })));
        assert!(admitted);
        assert!(crowd.total <= MOST);
    }

    #[test]
    fn what_was_frequent_long_ago_has_to_come_again() {
        let mut crowd = Crowd::new(std::iter::empty());
        assert!((1..OFTEN).all(|_| !crowd.knocks(&path(1))));
        (0..16).for_each(|_| crowd.age(std::iter::empty()));
        assert!(!crowd.knocks(&path(1)));
    }
}
