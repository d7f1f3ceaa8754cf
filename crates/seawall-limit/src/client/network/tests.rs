use super::*;

fn contains(network: &str, address: &str) -> bool {
    network.parse::<Network>().unwrap().contains(address.parse().unwrap())
}

#[test]
fn ranges_end_where_their_prefix_says() {
    assert!(contains("10.0.0.0/8", "10.255.255.255"));
    assert!(!contains("10.0.0.0/8", "11.0.0.0"));
    assert!(contains("10.1.2.3/8", "10.200.0.1"));
    assert!(contains("1.2.3.4", "1.2.3.4"));
    assert!(!contains("1.2.3.4", "1.2.3.5"));
    assert!(contains("0.0.0.0/0", "255.1.2.3"));
    assert!(!contains("0.0.0.0/0", "::1"));
    assert!(contains("2001:db8::/33", "2001:db8:7fff::1"));
    assert!(!contains("2001:db8::/33", "2001:db8:8000::1"));
    assert!(contains("::/0", "2001:db8::1"));
    assert!(contains("::1", "::1"));
}

#[test]
fn ipv4_in_ipv6_form_is_ipv4() {
    assert!(contains("10.0.0.0/8", "::ffff:10.1.2.3"));
    assert!(contains("::ffff:10.0.0.0/104", "10.1.2.3"));
    assert!(!contains("::ffff:10.0.0.0/104", "11.1.2.3"));
    assert_eq!(plain("64:ff9b::102:304".parse().unwrap()).to_string(), "1.2.3.4");
    assert_eq!(plain("64:ff9b:0:1::102:304".parse().unwrap()).to_string(), "64:ff9b:0:1::102:304");
}

#[test]
fn what_is_no_network_is_refused() {
    for text in [
        "",
        "10.0.0.0/33",
        "::/129",
        "10.0.0/8",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0.0.0/8/8",
        "localhost",
        "10.0.0.0/-1",
        "::ffff:10.0.0.0/90",
        "10.0.0.0/256",
    ] {
        assert_eq!(text.parse::<Network>(), Err(Error::Network { text: text.into() }));
    }
}
