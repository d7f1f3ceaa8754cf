//! A metric under a second name, for dashboards that ask for that.

mod resolve;

use crate::expose::{self, Format};
use crate::handle::Handle;
use crate::snapshot::Snapshot;
pub(crate) use resolve::{Aliased, Sum};

/// One metric exposed a second time: other name, other label names, another
/// scale; the same cells. Nothing is recorded twice.
///
/// Series that the alias cannot tell apart (their labels are not among those
/// taken over) are added up.
#[derive(Clone, Debug, PartialEq)]
pub struct Alias {
    name: String,
    of: String,
    scale: f64,
    /// Label of the metric, label of the alias.
    labels: Vec<(String, String)>,
    /// Label of the metric, values let in.
    only: Vec<(String, Vec<String>)>,
    bounds: Option<Vec<f64>>,
}

impl Alias {
    /// Exposes the metric `of` as `name` too, without labels. `name` must be
    /// one that Prometheus takes; other characters become `_`.
    #[must_use]
    pub fn new(name: &str, of: &str) -> Self {
        Self {
            name: crate::registry::metric_name(name).into_owned(),
            of: of.to_owned(),
            scale: 1.0,
            labels: Vec::new(),
            only: Vec::new(),
            bounds: None,
        }
    }

    /// Multiplies values and bounds: 1000 for milliseconds of a metric in
    /// seconds. Must be finite and above zero, else the alias is left out.
    /// Counters stay as they are. Default: 1.
    #[must_use]
    pub fn scale(mut self, factor: f64) -> Self {
        self.scale = factor;
        self
    }

    /// Takes a label over under another name. A series without it has the empty
    /// value, which is as good as no label. In `to`, characters that Prometheus
    /// refuses become `_`, and `le` becomes `exported_le`; of two labels with one
    /// name the later counts.
    #[must_use]
    pub fn label(mut self, from: &str, to: &str) -> Self {
        let to = crate::registry::label_name(to, true).into_owned();
        self.labels.retain(|(_, other)| *other != to);
        self.labels.push((from.to_owned(), to));
        self
    }

    /// Leaves out the series in which `label` has none of these values.
    #[must_use]
    pub fn only(mut self, label: &str, values: &[&str]) -> Self {
        self.only.push((label.to_owned(), values.iter().map(|&it| it.to_owned()).collect()));
        self
    }

    /// Bucket bounds, in the unit of the alias. One that is no bound of the
    /// metric is left out, for nobody knows its count. Default: all of the
    /// metric's.
    #[must_use]
    pub fn bounds(mut self, bounds: &[f64]) -> Self {
        self.bounds = Some(bounds.to_vec());
        self
    }
}

/// A set of [`Alias`]es, rendered behind the metrics themselves.
///
/// ```
/// use seawall_metrics::{Aliases, Recorder};
///
/// let (recorder, handle) = Recorder::builder().build()?;
/// metrics::with_local_recorder(&recorder, || {
///     metrics::histogram!("db_query_duration_seconds", "query_type" => "select", "table" => "bids")
///         .record(0.25);
/// });
/// let text = handle.render_with(&Aliases::required());
/// assert!(text.contains("db_query_duration_ms_sum{query_type=\"select\",table=\"bids\"} 250\n"));
/// # Ok::<_, seawall_metrics::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Aliases {
    all: Vec<Alias>,
}

impl Aliases {
    /// No alias.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more. The first of a name counts.
    #[must_use]
    pub fn with(mut self, alias: Alias) -> Self {
        self.all.push(alias);
        self
    }

    /// The names that the scaling plans ask for:
    ///
    /// | alias | of |
    /// |---|---|
    /// | `http_request_duration_ms{method,route,status_code}` | `http_server_request_duration_seconds` |
    /// | `cache_hits_total{level,key_type}` | `seawall_cache_requests_total`, layers `l1` and `l2`, results `hit` and `absent`; the cache is the key type |
    /// | `db_query_duration_ms{query_type,table}` | `db_query_duration_seconds{query_type,table}`, which the service records |
    ///
    /// Buckets of both `_ms`: 10 50 100 200 500 1000 2000 5000. A name in
    /// milliseconds is against the rules of Prometheus (`promtool check metrics`
    /// says so); that is why they are aliases, and only if asked for.
    #[must_use]
    pub fn required() -> Self {
        Self::new()
            .with(
                Alias::new("http_request_duration_ms", "http_server_request_duration_seconds")
                    .scale(1000.0)
                    .label("http_request_method", "method")
                    .label("http_route", "route")
                    .label("http_response_status_code", "status_code")
                    .bounds(&MILLISECONDS),
            )
            .with(
                Alias::new("cache_hits_total", "seawall_cache_requests_total")
                    // What the loader ended is no hit of the cache.
                    .only("layer", &["l1", "l2"])
                    .only("result", &["hit", "absent"])
                    .label("layer", "level")
                    .label("cache", "key_type"),
            )
            .with(
                Alias::new("db_query_duration_ms", "db_query_duration_seconds")
                    .scale(1000.0)
                    .label("query_type", "query_type")
                    .label("table", "table")
                    .bounds(&MILLISECONDS),
            )
    }

    /// Appends the aliases of what is in `snapshot`, in the text format 0.0.4,
    /// sorted by name and labels. An alias whose metric is not there, or whose
    /// name is that of a metric or of a part of one, is left out.
    pub fn render_into(&self, snapshot: &Snapshot, out: &mut String) {
        expose::plain_aliases(&self.resolve(snapshot), out);
    }

    /// What there is of them in `snapshot`, sorted by name.
    pub(crate) fn resolve(&self, snapshot: &Snapshot) -> Vec<Aliased<'_>> {
        resolve::resolve(&self.all, snapshot)
    }

    /// Those of a recorder, as of now.
    pub(crate) fn of(&self, handle: &Handle) -> Vec<Aliased<'_>> {
        if self.all.is_empty() {
            return Vec::new();
        }
        self.resolve(&handle.snapshot_of(|name| self.all.iter().any(|alias| alias.of == name)))
    }
}

impl Handle {
    /// [`render`](Self::render) with `aliases` behind it. The aliases are read a
    /// moment later: their counts may be ahead of the metrics' own.
    #[must_use]
    pub fn render_with(&self, aliases: &Aliases) -> String {
        let mut text = self.render();
        expose::plain_aliases(&aliases.of(self), &mut text);
        text
    }

    /// Everything in the format asked for, with `aliases` behind the metrics, as
    /// [`render_with`](Self::render_with). In protobuf their native histograms
    /// have the cells of the metric, scaled: their buckets are as wide as those
    /// of any other.
    #[must_use]
    pub fn render_as_with(&self, format: Format, aliases: &Aliases) -> Vec<u8> {
        format.render(self.registry(), &aliases.of(self))
    }
}

/// The buckets of the plans.
const MILLISECONDS: [f64; 8] = [10.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0];

#[cfg(test)]
mod tests;
