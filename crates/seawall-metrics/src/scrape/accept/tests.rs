use http::HeaderValue;
#[cfg(feature = "gzip")]
use http::header::ACCEPT_ENCODING;

use super::*;

fn accept(value: &'static str) -> Format {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static(value));
    format(&headers)
}

#[test]
fn the_weights_decide_and_not_the_order() {
    assert_eq!(accept("application/openmetrics-text;q=0.5,text/plain;q=0.9"), Format::Text);
    assert_eq!(accept("application/openmetrics-text;q=0.9,text/plain;q=0.5"), Format::OpenMetrics);
    assert_eq!(
        accept("text/plain;q=0.5, application/openmetrics-text; q=0.75"),
        Format::OpenMetrics
    );
    assert_eq!(accept("application/openmetrics-text;q=0, */*;q=0.1"), Format::Text);
}

#[test]
fn the_most_specific_range_that_names_a_format_is_the_one_that_counts() {
    assert_eq!(accept("text/plain;q=0, */*"), Format::OpenMetrics);
    assert_eq!(accept("*/*, text/plain;q=0, application/openmetrics-text;q=0.2"), {
        if cfg!(feature = "protobuf") { protobuf() } else { Format::OpenMetrics }
    });
    assert_eq!(accept("*/*;q=0.9, text/plain;version=0.0.4;q=0.5"), Format::OpenMetrics);
    assert_eq!(accept("text/*;q=0.3, text/plain;q=0.8, application/*;q=0.5"), Format::Text);
    // As a browser asks, and as some say that they take anything.
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8";
    assert_eq!(accept(browser), Format::Text);
    assert_eq!(accept("*/*"), Format::Text);
    assert_eq!(accept("application/*"), Format::OpenMetrics);
}

fn protobuf() -> Format {
    #[cfg(feature = "protobuf")]
    return Format::Protobuf;
    #[cfg(not(feature = "protobuf"))]
    Format::Text
}

#[test]
fn a_scraper_that_takes_none_of_the_formats_gets_text() {
    for unknown in ["", "image/png", "application/json;q=1", ";;=,,q=", "text/plain;q=0"] {
        assert_eq!(accept(unknown), Format::Text, "{unknown}");
    }
    assert_eq!(format(&HeaderMap::new()), Format::Text);
}

#[test]
fn a_version_that_is_not_ours_is_not_promised() {
    assert_eq!(accept("application/openmetrics-text;version=2.0.0,text/plain;q=0.1"), Format::Text);
    assert_eq!(accept("application/openmetrics-text;version=\"1.0.0\""), Format::OpenMetrics);
}

#[test]
fn what_prometheus_sends_is_answered_with_openmetrics_or_protobuf() {
    let plain = "application/openmetrics-text;version=1.0.0,\
                 application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    assert_eq!(accept(plain), Format::OpenMetrics);
    let native = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                  encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,\
                  text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    #[cfg(feature = "protobuf")]
    assert_eq!(accept(native), Format::Protobuf);
    #[cfg(not(feature = "protobuf"))]
    assert_eq!(accept(native), Format::OpenMetrics);
}

#[test]
fn a_weight_that_is_no_number_counts_as_none() {
    assert_eq!(accept("application/openmetrics-text;q=high,text/plain;q=0.1"), Format::Text);
    assert_eq!(accept("application/openmetrics-text;q=7,text/plain;q=0.1"), Format::Text);
}

#[cfg(feature = "gzip")]
#[test]
fn gzip_is_used_only_where_it_is_taken() {
    let takes = |value: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(value));
        gzip(&headers)
    };
    for yes in [
        "gzip",
        "deflate, GZIP;q=0.5",
        "*",
        "br;q=1, *;q=0.1",
        "gzip, identity",
        "identity;q=0.5, gzip;q=0.8",
        "identity;q=0, *",
    ] {
        assert!(takes(yes), "{yes}");
    }
    for no in [
        "",
        "identity",
        "gzip;q=0",
        "gzip;q=0, *",
        "*;q=0",
        "br",
        "identity, gzip;q=0.5",
        "*;q=0.1, identity",
        "identity;q=0",
        "identity;q=0, gzip;q=0",
    ] {
        assert!(!takes(no), "{no}");
    }
    assert!(!gzip(&HeaderMap::new()));
}
