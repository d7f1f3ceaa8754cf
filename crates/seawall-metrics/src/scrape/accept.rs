//! What a scraper will take: `Accept` and `Accept-Encoding` with their weights
//! (RFC 9110, 12.5).

use http::HeaderMap;
use http::header::ACCEPT;
#[cfg(feature = "gzip")]
use http::header::ACCEPT_ENCODING;

use crate::expose::Format;

/// The format the scraper gives the greatest weight, by the most specific range
/// that names it; of equals the one it names first, and of those it names at once
/// (`*/*`) the simplest; the text format if it takes none.
pub(super) fn format(headers: &HeaderMap) -> Format {
    let mut best = (0_u16, usize::MAX, Format::Text);
    for format in FORMATS {
        let mut own: Option<(Specific, u16, usize)> = None;
        for (at, (range, weight)) in ranges(headers, ACCEPT.as_str()).enumerate() {
            if let Some(specific) = names(range, format)
                && own.is_none_or(|(known, ..)| specific > known)
            {
                own = Some((specific, weight, at));
            }
        }
        if let Some((_, weight, at)) = own
            && (weight > best.0 || weight == best.0 && weight > 0 && at < best.1)
        {
            best = (weight, at, format);
        }
    }
    best.2
}

/// True if the scraper takes gzip, by name or by `*`, and does not rather have
/// plain bytes. One that refuses those too gets them: better than nothing.
#[cfg(feature = "gzip")]
pub(super) fn gzip(headers: &HeaderMap) -> bool {
    let (mut named, mut any, mut plain) = (None, None, None);
    for (range, weight) in ranges(headers, ACCEPT_ENCODING.as_str()) {
        match range.split(';').next().unwrap_or_default().trim() {
            "*" => any = Some(weight),
            name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => {
                named = Some(weight);
            }
            name if name.eq_ignore_ascii_case("identity") => plain = Some(weight),
            _ => {}
        }
    }
    named.or(any).is_some_and(|weight| weight > 0 && plain.is_none_or(|plain| weight >= plain))
}

/// Elements of a list, each with its weight in thousandths.
fn ranges<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = (&'a str, u16)> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(|element| {
        let weight = element.split(';').skip(1).find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| thousandths(value.trim()))
        });
        (element, weight.unwrap_or(1000))
    })
}

/// A weight that cannot be read is none.
fn thousandths(weight: &str) -> u16 {
    match weight.parse::<f64>() {
        Ok(weight) if (0.0..=1.0).contains(&weight) => (weight * 1000.0).round() as u16,
        _ => 0,
    }
}

/// How closely a range names a format: the closest of several counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Specific {
    Anything,
    Kind,
    Name,
    Version,
}

/// How closely `range` names `format`; `None` if it does not.
fn names(range: &str, format: Format) -> Option<Specific> {
    let name = range.split(';').next()?.trim().to_ascii_lowercase();
    let parameter = |wanted: &str| {
        range.split(';').skip(1).find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().trim_matches('"'))
        })
    };
    let versioned = |ours: &str| match parameter("version") {
        None => Some(Specific::Name),
        Some(version) => (version == ours).then_some(Specific::Version),
    };
    match (name.as_str(), format) {
        ("*/*", _) => Some(Specific::Anything),
        ("text/*", Format::Text) | ("application/*", Format::OpenMetrics) => Some(Specific::Kind),
        ("text/plain", Format::Text) => versioned("0.0.4"),
        ("application/openmetrics-text", Format::OpenMetrics) => versioned("1.0.0"),
        #[cfg(feature = "protobuf")]
        ("application/*", Format::Protobuf) => Some(Specific::Kind),
        #[cfg(feature = "protobuf")]
        ("application/vnd.google.protobuf", Format::Protobuf)
            if parameter("proto") == Some("io.prometheus.client.MetricFamily")
                && parameter("encoding") == Some("delimited") =>
        {
            Some(Specific::Version)
        }
        _ => None,
    }
}

/// The simplest first.
#[cfg(not(feature = "protobuf"))]
const FORMATS: [Format; 2] = [Format::Text, Format::OpenMetrics];
#[cfg(feature = "protobuf")]
const FORMATS: [Format; 3] = [Format::Text, Format::OpenMetrics, Format::Protobuf];

#[cfg(test)]
mod tests;
