//! The formats a scrape can be answered in.
//!
//! All of them list families by name and series by labels, print a bucket bound
//! in one form (that of OpenMetrics, `1.0` and `1e+06`, which Prometheus makes
//! of the protobuf format's numbers too), and keep the names of the series: no
//! query changes when the format does.

mod alias;
mod exemplar;
#[cfg(feature = "protobuf")]
mod native;
mod number;
#[cfg(feature = "protobuf")]
mod protobuf;
mod text;

pub(crate) use alias::plain as plain_aliases;
pub(crate) use exemplar::{Exemplars, Kept};
pub(crate) use number::bound;
use text::Dialect;
pub(crate) use text::escape;

use crate::alias::Aliased;
use crate::registry::Registry;

/// Content type of what [`Handle::render`](crate::Handle::render) returns.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A format that a scrape can be answered in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// The Prometheus text format 0.0.4. Has no exemplars and no native histograms.
    Text,
    /// OpenMetrics 1.0: the same with units and exemplars, and `# EOF` at the end.
    OpenMetrics,
    /// Length-delimited `io.prometheus.client.MetricFamily` messages, with exemplars
    /// and, beside the classic buckets, native histograms of schema 3 (8 buckets
    /// to a power of two). A cell is put into the native bucket of its middle:
    /// that adds up to 1/64 to the error of a native bucket. Values below 2^-30,
    /// negative ones too, are in its zero bucket.
    #[cfg(feature = "protobuf")]
    Protobuf,
}

impl Format {
    /// The `Content-Type` of the format, with its version.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            #[cfg(feature = "protobuf")]
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited"
            }
        }
    }

    /// With `aliases` behind the metrics.
    pub(crate) fn render(self, registry: &Registry, aliases: &[Aliased<'_>]) -> Vec<u8> {
        match self {
            Self::Text => {
                let mut out = String::new();
                text::render(registry, Dialect::Plain, &mut out);
                alias::plain(aliases, &mut out);
                out.into_bytes()
            }
            Self::OpenMetrics => {
                let mut out = String::new();
                text::render(registry, Dialect::Open, &mut out);
                alias::open(aliases, registry.tells_created(), &mut out);
                out.push_str("# EOF\n");
                out.into_bytes()
            }
            #[cfg(feature = "protobuf")]
            Self::Protobuf => protobuf::render(registry, aliases),
        }
    }
}

/// Appends the text format 0.0.4.
pub(crate) fn plain(registry: &Registry, out: &mut String) {
    text::render(registry, Dialect::Plain, out);
}
