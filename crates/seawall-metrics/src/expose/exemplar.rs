//! An example for each bucket of a histogram: the trace of one request that
//! fell there.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::registry::label_name;

/// Exemplars of one series, the latest of each bucket. Takes no memory until
/// the first one.
#[derive(Default)]
pub(crate) struct Exemplars(OnceLock<Box<Mutex<Vec<Option<Kept>>>>>);

#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) labels: Vec<(Box<str>, Box<str>)>,
    pub(crate) value: f64,
    /// Since 1970.
    pub(crate) seconds: f64,
}

impl Kept {
    /// `None` if the labels have more than 128 code points, the limit of
    /// OpenMetrics.
    pub(crate) fn new(labels: &[(&str, &str)], value: f64) -> Option<Self> {
        let mut all: Vec<(Box<str>, Box<str>)> = Vec::with_capacity(labels.len());
        for (name, value) in labels {
            let name: Box<str> = label_name(name, false).into();
            // One name twice would cost the scraper the whole scrape: the later wins.
            match all.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = (*value).into(),
                None => all.push((name, (*value).into())),
            }
        }
        let labels = all;
        let size: usize =
            labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
        #[expect(clippy::disallowed_methods, reason = "shown to people, not compared")]
        let now = SystemTime::now();
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        (size <= MOST_CODE_POINTS).then(|| Self {
            labels,
            value,
            // To the millisecond, as Prometheus keeps it.
            seconds: since.as_millis() as f64 / 1000.0,
        })
    }
}

impl Exemplars {
    /// Keeps it unless another thread is at it: there will be others.
    pub(crate) fn keep(&self, bucket: usize, exemplar: Kept) {
        let kept = self.0.get_or_init(Box::default);
        if let Some(mut kept) = kept.try_lock() {
            if kept.len() <= bucket {
                kept.resize(bucket + 1, None);
            }
            if let Some(place) = kept.get_mut(bucket) {
                *place = Some(exemplar);
            }
        }
    }

    /// By bucket; the list may end early.
    pub(crate) fn all(&self) -> Vec<Option<Kept>> {
        self.0.get().map(|kept| kept.lock().clone()).unwrap_or_default()
    }
}

const MOST_CODE_POINTS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exemplar_names_no_label_twice() {
        let kept = Kept::new(&[("trace.id", "1"), ("span", "2"), ("trace_id", "3")], 1.0).unwrap();
        let labels: Vec<_> = kept.labels.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(labels, [("trace_id", "3"), ("span", "2")]);
    }
}
