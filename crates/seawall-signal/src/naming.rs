//! What a signal's name says of its unit.

use crate::condition::MAX_DEPTH;
use crate::{Unit, Units};

impl Unit {
    /// The unit that a signal's canonical name promises; [`Unit::None`] if it
    /// promises none.
    ///
    /// | name | unit |
    /// |---|---|
    /// | `.._seconds`, `.._duration`, `.._latency` | seconds |
    /// | `.._bytes` | bytes |
    /// | `.._ratio` | a ratio |
    /// | `rate(x)` | bytes per second for `.._bytes_total`, a ratio for `.._seconds_total`, else events per second |
    /// | `count(x)` | a count |
    /// | `p95(x)`, `avg(x, 5m)`, `min` `max` `sum` `delta` `quantile(0.9, x)` | that of `x` |
    ///
    /// A `_total` at the end does not matter. The base units are those of the
    /// Prometheus naming rules; `duration` and `latency` are added because no
    /// other unit makes sense for them.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        Self::of_name_in(name, None)
    }

    /// Like [`of_name`](Self::of_name), but a name in `units` has the unit that
    /// stands there: the signal itself, or the argument of its function.
    #[must_use]
    pub fn of_name_in(name: &str, units: Option<&Units>) -> Self {
        if let Some(unit) = units.and_then(|units| units.get(name)) {
            return *unit;
        }
        let Some((function, arguments)) = call(name) else {
            return plain(name);
        };
        let Some(inner) = arguments.into_iter().find(|it| starts_a_name(it)) else {
            return Self::None;
        };
        match function {
            "rate" => rate_of(inner, units),
            "count" => Self::Count,
            "avg" | "min" | "max" | "sum" | "delta" | "quantile" => Self::of_name_in(inner, units),
            _ if is_percentile(function) => Self::of_name_in(inner, units),
            _ => Self::None,
        }
    }
}

/// `f(a, b)` as `f` and its arguments; `None` for a plain name, and for one that
/// nests deeper than a condition may, so that recursion over names is safe.
pub(crate) fn call(name: &str) -> Option<(&str, Vec<&str>)> {
    let open = name.find('(')?;
    if name.matches('(').nth(MAX_DEPTH).is_some() {
        return None;
    }
    let inner = name.get(open + 1..)?.strip_suffix(')')?;
    let (mut depth, mut start, mut arguments) = (0_usize, 0, Vec::new());
    for (at, c) in inner.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                arguments.push(inner[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    arguments.push(inner[start..].trim());
    Some((&name[..open], arguments))
}

/// `p95` as 0.95, `p99.9` as 0.999; `p999` means the same, as is the custom.
pub(crate) fn percentile(function: &str) -> Option<f64> {
    let digits = function.strip_prefix('p')?;
    let whole = digits.chars().all(|c| c.is_ascii_digit());
    let number: f64 = digits.parse().ok()?;
    let per_cent = if whole && digits.len() > 2 && digits != "100" {
        number / 10_f64.powi(i32::try_from(digits.len()).ok()? - 2)
    } else {
        number
    };
    (0.0..=100.0).contains(&per_cent).then_some(per_cent / 100.0)
}

fn is_percentile(function: &str) -> bool {
    percentile(function).is_some()
}

fn rate_of(inner: &str, units: Option<&Units>) -> Unit {
    let counter = inner.ends_with("_total") || units.is_some_and(|units| units.contains_key(inner));
    match Unit::of_name_in(inner, units) {
        // A histogram's rate is that of its events, whatever it measures.
        _ if !counter => Unit::PerSecond,
        Unit::Bytes => Unit::BytesPerSecond,
        Unit::Seconds => Unit::Ratio,
        _ => Unit::PerSecond,
    }
}

fn plain(name: &str) -> Unit {
    let name = name.strip_suffix("_total").unwrap_or(name);
    let ends = |endings: &[&str]| {
        endings.iter().any(|end| name.strip_suffix(end).is_some_and(|rest| rest.ends_with('_')))
    };
    if ends(&["seconds", "duration", "latency"]) {
        Unit::Seconds
    } else if ends(&["bytes"]) {
        Unit::Bytes
    } else if ends(&["ratio"]) {
        Unit::Ratio
    } else {
        Unit::None
    }
}

fn starts_a_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_promises_a_unit_is_taken_at_its_word_and_no_other_is() {
        for (name, unit) in [
            ("http_request_duration", Unit::Seconds),
            ("p95(http_request_duration)", Unit::Seconds),
            ("avg(max(x_seconds, 10s), 5m)", Unit::Seconds),
            ("quantile(0.95, x_bytes)", Unit::Bytes),
            ("used_ratio", Unit::Ratio),
            ("rate(requests_total)", Unit::PerSecond),
            ("rate(x_duration_seconds)", Unit::PerSecond),
            ("rate(process_cpu_seconds_total)", Unit::Ratio),
            ("rate(received_bytes_total, 5m)", Unit::BytesPerSecond),
            ("count(x_seconds)", Unit::Count),
            ("process_cpu_seconds_total", Unit::Seconds),
            // These may be anything.
            ("cpu_usage", Unit::None),
            ("idle_time", Unit::None),
            ("seconds", Unit::None),
            ("odd(x_seconds)", Unit::None),
            ("p95()", Unit::None),
            ("p95(", Unit::None),
        ] {
            assert_eq!(Unit::of_name(name), unit, "{name}");
        }
    }

    #[test]
    fn a_table_beats_the_convention() {
        let units: Units =
            [("wait_duration".to_owned(), Unit::Ratio), ("sent".to_owned(), Unit::Bytes)].into();
        let of = |name| Unit::of_name_in(name, Some(&units));
        assert_eq!(of("wait_duration"), Unit::Ratio);
        assert_eq!(of("max(wait_duration, 5m)"), Unit::Ratio);
        assert_eq!(of("rate(sent)"), Unit::BytesPerSecond);
        assert_eq!(of("other_duration"), Unit::Seconds);
    }

    #[test]
    fn a_name_nested_without_end_has_no_unit_and_ends_nothing() {
        let nested = |levels| format!("{}x_seconds{}", "max(".repeat(levels), ")".repeat(levels));
        assert_eq!(Unit::of_name(&nested(32)), Unit::Seconds);
        assert_eq!(Unit::of_name(&nested(33)), Unit::None);
        assert_eq!(Unit::of_name(&nested(1_000_000)), Unit::None);
        assert!(crate::History::default().watch_name(&nested(1_000_000)));
    }

    #[test]
    fn percentiles_are_read_as_people_write_them() {
        for (name, q) in [
            ("p50", 0.5),
            ("p99", 0.99),
            ("p99.9", 0.999),
            ("p999", 0.999),
            ("p5", 0.05),
            ("p100", 1.0),
            ("p0", 0.0),
        ] {
            let got = percentile(name).unwrap_or(f64::NAN);
            assert!((got - q).abs() < 1e-12, "{name}: {got}");
        }
        for name in ["p", "pool", "p-1", "p101.5", "x95"] {
            assert_eq!(percentile(name), None, "{name}");
        }
    }
}
