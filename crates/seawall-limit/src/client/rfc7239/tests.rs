use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

fn nodes(line: &str) -> Vec<Option<String>> {
    elements(line.as_bytes()).map(|element| node(element).map(|it| it.to_string())).collect()
}

fn one(element: &str) -> Option<String> {
    node(element.as_bytes()).map(|it| it.to_string())
}

#[test]
fn the_examples_of_the_rfc_are_read() {
    assert_eq!(one("for=\"_gazonk\""), None);
    assert_eq!(one("For=\"[2001:db8:cafe::17]:4711\""), Some("2001:db8:cafe::17".into()));
    assert_eq!(one("for=192.0.2.60;proto=http;by=203.0.113.43"), Some("192.0.2.60".into()));
    assert_eq!(
        nodes("for=192.0.2.43, for=198.51.100.17"),
        [Some("198.51.100.17".into()), Some("192.0.2.43".into())]
    );
    assert_eq!(nodes("for=_hidden, for=_SEVKISEK"), [None, None]);
    assert_eq!(one("for=unknown"), None);
    assert_eq!(one("for=\"192.0.2.43:47011\""), Some("192.0.2.43".into()));
    assert_eq!(one("for=\"[2001:db8::1]:_port\""), Some("2001:db8::1".into()));
    assert_eq!(one("for=\"[2001:db8::1%25eth0]\""), Some("2001:db8::1".into()));
    assert_eq!(one("for=\"[::ffff:1.2.3.4]\""), Some("1.2.3.4".into()));
    assert_eq!(one("for=\"[64:ff9b::102:304]\""), Some("1.2.3.4".into()));
}

#[test]
fn order_and_space_and_escapes_do_not_matter() {
    assert_eq!(one(" proto=https ; FOR = \"1.2.3.4\" ; "), Some("1.2.3.4".into()));
    assert_eq!(one("by=\"a;for=6.6.6.6\";for=1.2.3.4"), Some("1.2.3.4".into()));
    assert_eq!(one(r#"for="1\.2\.3\.4""#), Some("1.2.3.4".into()));
    assert_eq!(nodes(r#"for=1.1.1.1;host="a,\",for=6.6.6.6""#), [Some("1.1.1.1".into())]);
}

#[test]
fn what_says_nothing_clear_is_nobody() {
    for element in [
        "",
        "for",
        "for=",
        "proto=https",
        "for=1.1.1.1;for=2.2.2.2",
        "for=\"1.1.1.1",
        "1.1.1.1",
        "for=1.1.1.1\"",
        "x;for=1.1.1.1",
        "for=\"1.1.1.1\\\"",
        "for=[::1",
        "for=\"\"",
        "for=\"",
    ] {
        assert_eq!(one(element), None, "{element:?}");
    }
}

#[test]
fn a_quote_that_the_client_left_open_does_not_swallow_the_proxys_element() {
    for left in ["for=\"6.6.6.6", "\"", "for=\"\\", "x=\"\\\"", "\\\"\\\""] {
        assert_eq!(nodes(&format!("{left}, for=1.1.1.1"))[0], Some("1.1.1.1".into()), "{left}");
        let quoted = format!("{left}, for=\"[2001:db8::1]\";proto=https");
        assert_eq!(nodes(&quoted)[0], Some("2001:db8::1".into()), "{left}");
    }
}

#[test]
fn long_runs_of_quotes_and_backslashes_take_linear_time() {
    let line = "\\\"".repeat(1_000_000);
    assert!(elements(line.as_bytes()).count() <= 2);
}

proptest! {
    #[test]
    fn nothing_to_the_left_of_a_comma_matters(left in "[ -~]{0,60}", client: u32) {
        let client = Ipv4Addr::from_bits(client);
        let line = format!("{left}, for=\"{client}:80\";proto=\"https\"");
        prop_assert_eq!(nodes(&line)[0].clone(), Some(client.to_string()));
    }

    #[test]
    fn no_bytes_break_it(line in prop::collection::vec(any::<u8>(), 0..200)) {
        for element in elements(&line) {
            let _ = node(element);
        }
    }

    #[test]
    fn near_elements_do_not_break_it(line in "(for=|[0-9.:\"\\\\,;= \\[\\]]|by){0,40}") {
        let _ = nodes(&line);
    }
}
