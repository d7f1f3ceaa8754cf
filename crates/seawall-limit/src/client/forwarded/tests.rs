use std::net::Ipv4Addr;

use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn resolve(peer: &str, lines: &[&str]) -> String {
    let trusted = Networks::parse(["10.0.0.0/8", "2001:db8:aaaa::/48"]).unwrap();
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(X_FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).unwrap());
    }
    client_ip(peer.parse().unwrap(), &headers, &trusted).to_string()
}

#[test]
fn what_the_client_wrote_itself_is_not_believed() {
    assert_eq!(resolve("10.0.0.1", &["6.6.6.6, 1.1.1.1, 10.0.0.2"]), "1.1.1.1");
}

#[test]
fn a_peer_that_is_not_trusted_is_the_client() {
    assert_eq!(resolve("9.9.9.9", &["1.1.1.1"]), "9.9.9.9");
}

#[test]
fn several_lines_are_one_list_in_order() {
    assert_eq!(resolve("10.0.0.1", &["6.6.6.6", "1.1.1.1", "10.0.0.3, 10.0.0.2"]), "1.1.1.1");
}

#[test]
fn a_chain_that_runs_out_ends_at_its_last_hop() {
    assert_eq!(resolve("10.0.0.1", &[]), "10.0.0.1");
    assert_eq!(resolve("10.0.0.1", &["10.0.0.3,10.0.0.2"]), "10.0.0.3");
}

#[test]
fn garbage_ends_the_walk_at_the_last_good_hop() {
    for garbage in [
        "unknown",
        "_hidden",
        "",
        "1.1.1",
        "1.1.1.1:x",
        "1.1.1.1:99999",
        "[::1",
        "[::1]x",
        "[1.1.1.1]",
        "é",
    ] {
        assert_eq!(resolve("10.0.0.1", &[garbage]), "10.0.0.1", "{garbage:?}");
        let behind = format!("1.1.1.1, {garbage}, 10.0.0.2");
        assert_eq!(resolve("10.0.0.1", &[&behind]), "10.0.0.2", "{garbage:?}");
    }
}

#[test]
fn every_dress_of_an_address_is_taken_off() {
    for (written, meant) in [
        ("1.2.3.4:80", "1.2.3.4"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("\"[2001:db8::1%25eth0]\"", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("[::ffff:1.2.3.4]:80", "1.2.3.4"),
        ("64:ff9b::102:304", "1.2.3.4"),
        ("\t 1.2.3.4 ", "1.2.3.4"),
    ] {
        assert_eq!(resolve("10.0.0.1", &[written]), meant, "{written:?}");
    }
    assert_eq!(resolve("::ffff:10.0.0.1", &["1.1.1.1"]), "1.1.1.1");
    assert_eq!(resolve("2001:db8:aaaa::7", &["1.1.1.1"]), "1.1.1.1");
}

#[test]
fn a_chain_of_thousands_is_walked_only_so_far() {
    let mut long = "10.0.0.9,".repeat(5_000);
    long.push_str("10.0.0.2");
    assert_eq!(resolve("10.0.0.1", &[&format!("1.1.1.1,{long}")]), "10.0.0.9");
    let giant = "1".repeat(100_000);
    assert_eq!(resolve("10.0.0.1", &[&giant]), "10.0.0.1");
}

fn behind(count: u8, header: ProxyHeader, lines: &[&str]) -> String {
    let name = if header == ProxyHeader::Forwarded { FORWARDED } else { X_FORWARDED_FOR };
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(name.clone(), HeaderValue::from_bytes(line.as_bytes()).unwrap());
    }
    resolve_by("9.9.9.9", &headers, &Trust::Hops(count), header)
}

fn resolve_by(peer: &str, headers: &HeaderMap, trust: &Trust, header: ProxyHeader) -> String {
    super::resolve(peer.parse().unwrap(), headers, trust, header).to_string()
}

#[test]
fn a_count_of_hops_takes_that_entry_from_the_right_and_no_further() {
    let x = |count, lines: &[&str]| behind(count, ProxyHeader::XForwardedFor, lines);
    let lines = ["6.6.6.6, 1.1.1.1", "10.0.0.2"];
    assert_eq!([0, 1, 2].map(|count| x(count, &lines)), ["9.9.9.9", "10.0.0.2", "1.1.1.1"]);
    assert_eq!(x(1, &["unknown"]), "9.9.9.9");
    assert_eq!(x(2, &["1.1.1.1, unknown, 10.0.0.2"]), "10.0.0.2");
}

#[test]
fn a_chain_shorter_than_its_hops_is_not_believed() {
    let x = |count, lines: &[&str]| behind(count, ProxyHeader::XForwardedFor, lines);
    assert_eq!(x(1, &[]), "9.9.9.9");
    assert_eq!(x(3, &["1.1.1.1, 10.0.0.2"]), "9.9.9.9");
    assert_eq!(x(64, &["1.1.1.1"]), "9.9.9.9");
}

#[test]
fn only_the_field_that_the_proxies_write_is_read() {
    let mut headers = HeaderMap::new();
    headers.insert(X_FORWARDED_FOR, HeaderValue::from_static("6.6.6.6"));
    headers.insert(FORWARDED, HeaderValue::from_static("for=1.1.1.1"));
    let trust = Trust::Networks(Networks::parse(["10.0.0.0/8"]).unwrap());
    let by = |header| resolve_by("10.0.0.1", &headers, &trust, header);
    assert_eq!(by(ProxyHeader::Forwarded), "1.1.1.1");
    assert_eq!(by(ProxyHeader::XForwardedFor), "6.6.6.6");
}

#[test]
fn forwarded_is_one_list_over_all_lines_read_from_the_right() {
    let lines =
        ["for=6.6.6.6, for=\"[2001:db8::1]:443\";proto=https", "for=10.0.0.3, for=10.0.0.2"];
    let f = |count| behind(count, ProxyHeader::Forwarded, &lines);
    assert_eq!([1, 2, 3].map(f), ["10.0.0.2", "10.0.0.3", "2001:db8::1"]);
}

proptest! {
    #[test]
    fn no_bytes_break_it(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..4), peer: u32) {
        let mut headers = HeaderMap::new();
        for line in &lines {
            if let Ok(value) = HeaderValue::from_bytes(line) {
                headers.append(X_FORWARDED_FOR, value);
            }
        }
        let trusted = Networks::parse(["0.0.0.0/1"]).unwrap();
        let peer = IpAddr::from(Ipv4Addr::from_bits(peer));
        let client = client_ip(peer, &headers, &trusted);
        prop_assert!(client == peer || trusted.contains(peer));
    }

    #[test]
    fn near_addresses_do_not_break_it(line in "[0-9a-f:.\\[\\]%\", ]{0,60}") {
        resolve("10.0.0.1", &[&line]);
        behind(3, ProxyHeader::Forwarded, &[&line]);
    }

    #[test]
    fn nothing_to_the_left_of_the_client_matters(left in "[ -~]{0,60}", client: u32) {
        let client = Ipv4Addr::from_bits(client);
        prop_assume!(client.octets()[0] != 10);
        let line = format!("{left},{client},10.0.0.2");
        prop_assert_eq!(resolve("10.0.0.1", &[&line]), client.to_string());
    }
}
