//! Aliases in the text formats.

use std::time::UNIX_EPOCH;

use super::number::bound;
use super::text::{Dialect, Series, head, type_of};
use crate::alias::{Aliased, Sum};
use crate::registry::Kind;

/// Appends them in the text format 0.0.4.
pub(crate) fn plain(aliases: &[Aliased<'_>], out: &mut String) {
    for alias in aliases {
        let kind = type_of(alias.name, alias.kind);
        head(out, Dialect::Plain, alias.name, kind, Some(&alias.help()));
        for (labels, sum) in &alias.series {
            let series =
                Series { name: alias.name, labels: labels.text(), dialect: Dialect::Plain };
            samples(&series, alias.kind, sum, out);
        }
    }
}

/// Appends them in OpenMetrics, without the mark that ends it.
pub(super) fn open(aliases: &[Aliased<'_>], tells_created: bool, out: &mut String) {
    for alias in aliases {
        // As in the exposition itself: a counter of another name is `unknown`.
        let (family, kind) = match alias.short {
            _ if !alias.counts() => (alias.name, type_of(alias.name, alias.kind)),
            Some(short) => (short, "counter"),
            None => (alias.name, "unknown"),
        };
        head(out, Dialect::Open, family, kind, Some(&alias.help()));
        let tells_created = tells_created && alias.created && kind != "unknown";
        for (labels, sum) in &alias.series {
            let series = Series { name: alias.name, labels: labels.text(), dialect: Dialect::Open };
            samples(&series, alias.kind, sum, out);
            let created = sum.created.filter(|_| tells_created);
            if let Some(since) = created.and_then(|at| at.duration_since(UNIX_EPOCH).ok()) {
                Series { name: family, ..series }.created(out, since.as_millis() as u64);
            }
        }
    }
}

fn samples(series: &Series<'_>, kind: Kind, sum: &Sum, out: &mut String) {
    match (kind, &sum.histogram) {
        (Kind::Histogram, Some(histogram)) => {
            for (upper, below) in &histogram.buckets {
                series.bucket(out, &bound(*upper), *below, None);
            }
            series.bucket(out, "+Inf", sum.count, None);
            series.float(out, "_sum", sum.value);
            series.whole(out, "_count", sum.count);
        }
        (Kind::Counter, _) => series.whole(out, "", sum.count),
        _ => series.float(out, "", sum.value),
    }
}
