//! What a scraper will take: `Accept` and `Accept-Encoding` with their weights
//! (RFC 9110, 12.5).

use http::HeaderMap;
use http::header::ACCEPT;
#[cfg(feature = "gzip")]
use http::header::ACCEPT_ENCODING;

use crate::expose::Format;

/// The format the scraper gives the greatest weight; of equals the one it names
/// first; the text format if it takes none.
pub(super) fn format(headers: &HeaderMap) -> Format {
    let mut best = (0_u16, Format::Text);
    for (range, weight) in ranges(headers, ACCEPT.as_str()) {
        if let Some(format) = matching(range)
            && weight > best.0
        {
            best = (weight, format);
        }
    }
    best.1
}

/// True if the scraper takes gzip, by name or by `*`.
#[cfg(feature = "gzip")]
pub(super) fn gzip(headers: &HeaderMap) -> bool {
    let (mut named, mut any) = (None, None);
    for (range, weight) in ranges(headers, ACCEPT_ENCODING.as_str()) {
        match range.split(';').next().unwrap_or_default().trim() {
            "*" => any = Some(weight),
            name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => {
                named = Some(weight);
            }
            _ => {}
        }
    }
    named.or(any).is_some_and(|weight| weight > 0)
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

fn matching(range: &str) -> Option<Format> {
    let mut parts = range.split(';');
    let kind = parts.next()?.trim().to_ascii_lowercase();
    let parameter = |wanted: &str| {
        range.split(';').skip(1).find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().trim_matches('"'))
        })
    };
    match kind.as_str() {
        "text/plain" if matches!(parameter("version"), None | Some("0.0.4")) => Some(Format::Text),
        "*/*" | "text/*" => Some(Format::Text),
        "application/openmetrics-text" if matches!(parameter("version"), None | Some("1.0.0")) => {
            Some(Format::OpenMetrics)
        }
        "application/*" => Some(Format::OpenMetrics),
        #[cfg(feature = "protobuf")]
        "application/vnd.google.protobuf"
            if parameter("proto") == Some("io.prometheus.client.MetricFamily")
                && parameter("encoding") == Some("delimited") =>
        {
            Some(Format::Protobuf)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
