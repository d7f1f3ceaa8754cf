//! Which metric is exposed under which name, and which name is refused.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::name::{escaped_name, metric_name};
use super::own::is_own;
use super::{Description, Family, Kind};
use crate::cells::Layout;
use crate::config::Config;

/// Families by the name of the caller and by the name exposed.
#[derive(Default)]
pub(super) struct Names {
    pub(super) by_raw: HashMap<Box<str>, Arc<Family>>,
    pub(super) by_exposed: BTreeMap<Arc<str>, Arc<Family>>,
    pub(super) descriptions: HashMap<Box<str>, Description>,
    refused: HashSet<Box<str>>,
    /// Families that are not the recorder's own.
    foreign: usize,
    /// One for each list of bounds: a few KiB each, seldom more than two.
    layouts: Vec<Arc<Layout>>,
}

/// What became of a new name.
pub(super) enum Added {
    Known(Arc<Family>),
    New(Arc<Family>),
    /// Exposed under its escaped name, for the plain one belongs to another.
    Renamed(Arc<Family>, Box<str>),
    Refused {
        first: bool,
    },
    /// There are as many names as allowed.
    Full,
}

impl Names {
    pub(super) fn add(&mut self, raw: &str, kind: Kind, config: &Config) -> Added {
        if let Some(family) = self.by_raw.get(raw) {
            return Added::Known(family.clone());
        }
        if self.is_full(raw, config) {
            return Added::Full;
        }
        let mut exposed = metric_name(raw).into_owned();
        let other = self.by_exposed.get(exposed.as_str());
        let other = other.map(|family| family.raw.as_str().into());
        if other.is_some() {
            exposed = escaped_name(raw);
        }
        if self.by_exposed.contains_key(exposed.as_str()) || self.clash(&exposed, kind) {
            // Beyond so many they are no longer told apart: names may be made up without end.
            let first = self.refused.len() < MOST_REFUSED && self.refused.insert(raw.into());
            return Added::Refused { first };
        }
        let layout = match kind {
            Kind::Histogram => self.layout(config.bounds_of(&exposed)),
            Kind::Counter | Kind::Gauge => self.layout(&[]),
        };
        let exposed: Arc<str> = exposed.into();
        let family = Arc::new(Family::new(exposed.clone(), raw, kind, layout));
        self.foreign += usize::from(!is_own(raw));
        self.by_raw.insert(raw.into(), family.clone());
        self.by_exposed.insert(exposed, family.clone());
        match other {
            None => Added::New(family),
            Some(other) => Added::Renamed(family, other),
        }
    }

    /// The first description of a name stays. A name that will never have a place
    /// has none.
    pub(super) fn describe(&mut self, raw: &str, description: Description, config: &Config) {
        let known = self.descriptions.contains_key(raw);
        let refused = !self.by_raw.contains_key(raw) && self.is_full(raw, config);
        if !(known || refused) {
            self.descriptions.insert(raw.into(), description);
        }
    }

    #[cfg(test)]
    pub(super) fn refused(&self) -> usize {
        self.refused.len()
    }

    /// True if `raw` would be a name too many. What the recorder says about
    /// itself has a place, and takes none.
    pub(super) fn is_full(&self, raw: &str, config: &Config) -> bool {
        config.max_metrics.is_some_and(|most| self.foreign >= most) && !is_own(raw)
    }

    fn layout(&mut self, bounds: &[f64]) -> Arc<Layout> {
        let known = self.layouts.iter().find(|layout| layout.bounds() == bounds);
        known.cloned().unwrap_or_else(|| {
            let layout = Arc::new(Layout::new(bounds));
            self.layouts.push(layout.clone());
            layout
        })
    }

    /// True if a sample of one metric would carry the name of another's.
    fn clash(&self, name: &str, kind: Kind) -> bool {
        let part_of_histogram = DERIVED.iter().any(|suffix| {
            name.strip_suffix(suffix)
                .and_then(|base| self.by_exposed.get(base))
                .is_some_and(|base| base.kind == Kind::Histogram)
        });
        let parts_taken = || {
            DERIVED
                .iter()
                .any(|suffix| self.by_exposed.contains_key(format!("{name}{suffix}").as_str()))
        };
        part_of_histogram || (kind == Kind::Histogram && parts_taken())
    }
}

/// Names that clash, of each of which a warning is logged.
const MOST_REFUSED: usize = 1_000;
const DERIVED: [&str; 3] = ["_bucket", "_sum", "_count"];
