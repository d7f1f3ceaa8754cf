use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn left(fields: &[(&'static str, &str)]) -> Option<(u64, u64)> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let left = advice(StatusCode::OK, &headers(fields), now).left;
    left.map(|(count, time)| (count, time.as_secs()))
}

fn wait(status: u16, fields: &[(&'static str, &str)]) -> Option<u64> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    let status = StatusCode::from_u16(status).unwrap();
    advice(status, &headers(fields), now).wait.map(|wait| wait.as_secs())
}

#[test]
fn every_form_is_read() {
    assert_eq!(left(&[("ratelimit", "\"a\";r=12;t=48")]), Some((12, 48)));
    assert_eq!(
        left(&[("ratelimit", "\"a\";r=12;pk=:YWJj:;t=4 , \"b\\\",\";r=3;t=9")]),
        Some((3, 9))
    );
    assert_eq!(
        left(&[("ratelimit", "\"a\";r=2;t=4"), ("ratelimit", "\"b\";r=1;t=9")]),
        Some((1, 9))
    );
    assert_eq!(left(&[("ratelimit", "\"a\";r=2")]), Some((2, 1)));
    assert_eq!(left(&[("ratelimit", "limit=100, remaining=50, reset=5")]), Some((50, 5)));
    let three = [("ratelimit-limit", "9"), ("ratelimit-remaining", "1"), ("ratelimit-reset", "7")];
    assert_eq!(left(&three), Some((1, 7)));
    let x = [("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", "7")];
    assert_eq!(left(&x), Some((1, 7)));
    let epoch = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1800000060")];
    assert_eq!(left(&epoch), Some((0, 60)));
}

#[test]
fn what_is_malformed_is_as_good_as_absent() {
    for field in [
        "",
        "x",
        "\"a",
        "\"a\";r",
        "\"a\";r=-1;t=2",
        "\"a\";r=1.5;t=2",
        "\"a\";r=1;t=2,",
        "\"a\";r=9999999999999999;t=1",
        "\"a\" \"b\";r=1",
        "remaining=5",
        "\"a\";r=1;t=2,,\"b\";r=1",
        "\"a\";t=5",
        "é",
    ] {
        assert_eq!(left(&[("ratelimit", field)]), None, "{field:?}");
    }
    assert_eq!(left(&[("ratelimit-remaining", "1"), ("ratelimit-reset", "soon")]), None);
}

#[test]
fn retry_after_is_obeyed_in_both_forms_and_only_where_it_means_that() {
    assert_eq!(wait(429, &[("retry-after", "30")]), Some(30));
    assert_eq!(wait(503, &[("retry-after", "30")]), Some(30));
    assert_eq!(wait(301, &[("retry-after", "30")]), None);
    // The example of RFC 9110, a minute later; one second is for rounding.
    assert_eq!(wait(429, &[("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")]), Some(61));
    assert_eq!(wait(429, &[("retry-after", "Sun, 06 Nov 1984 08:50:37 GMT")]), Some(1));
    assert_eq!(wait(429, &[("retry-after", "soon")]), Some(1));
    assert_eq!(wait(429, &[]), Some(1));
    assert_eq!(wait(503, &[]), None);
    assert_eq!(wait(429, &[("ratelimit", "\"a\";r=0;t=9")]), Some(9));
    assert_eq!(wait(429, &[("ratelimit", "\"a\";r=0;t=9"), ("retry-after", "12")]), Some(12));
}

proptest! {
    #[test]
    fn no_field_breaks_it(value in prop::collection::vec(any::<u8>(), 0..60), near in "[a-z\"\\\\;=, 0-9]{0,40}") {
        for value in [&value[..], near.as_bytes()] {
            let Ok(value) = HeaderValue::from_bytes(value) else { continue };
            let mut headers = HeaderMap::new();
            for name in ["ratelimit", "retry-after", "ratelimit-remaining", "x-ratelimit-reset"] {
                headers.insert(name, value.clone());
            }
            let _ = advice(StatusCode::TOO_MANY_REQUESTS, &headers, SystemTime::UNIX_EPOCH);
        }
    }
}
