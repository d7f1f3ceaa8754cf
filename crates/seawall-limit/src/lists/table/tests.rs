use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

/// The law, by looking at every network.
fn oracle(entries: &[(Network, u8)], address: IpAddr) -> Option<u8> {
    let having = entries.iter().filter(|(network, _)| network.contains(address));
    having.max_by_key(|(network, _)| network.prefix()).map(|(_, value)| *value)
}

fn text(entries: &[(&str, u8)]) -> PrefixTable<u8> {
    entries.iter().map(|(network, value)| (network.parse().unwrap(), *value)).collect()
}

fn get(table: &PrefixTable<u8>, address: &str) -> Option<u8> {
    table.get(address.parse().unwrap())
}

#[test]
fn the_longest_prefix_wins_at_every_edge() {
    let table = text(&[
        ("0.0.0.0/0", 1),
        ("10.0.0.0/8", 2),
        ("10.0.0.0/16", 3),
        ("10.255.255.255", 4),
        ("255.255.255.255/32", 5),
        ("0.0.0.0/32", 6),
    ]);
    for (address, value) in [
        ("0.0.0.0", 6),
        ("0.0.0.1", 1),
        ("9.255.255.255", 1),
        ("10.0.0.0", 3),
        ("10.0.255.255", 3),
        ("10.1.0.0", 2),
        ("10.255.255.254", 2),
        ("10.255.255.255", 4),
        ("11.0.0.0", 1),
        ("255.255.255.254", 1),
        ("255.255.255.255", 5),
        ("::ffff:10.1.0.0", 2),
        ("64:ff9b::a01:0", 2),
    ] {
        assert_eq!(get(&table, address), Some(value), "{address}");
    }
    assert_eq!(get(&table, "2001:db8::1"), None);
}

#[test]
fn many_hosts_of_one_ipv6_network_are_told_apart() {
    let hosts: Vec<_> = (0..1_000_u128)
        .map(|host| (Network::new(Ipv6Addr::from_bits(0x2001 << 112 | host << 8).into(), 128), 1))
        .chain([("2001::/48".parse().unwrap(), 2)])
        .collect();
    let table: PrefixTable<u8> = hosts.into_iter().collect();
    for host in 0..1_000_u128 {
        let at = |low: u128| table.get(Ipv6Addr::from_bits(0x2001 << 112 | host << 8 | low).into());
        assert_eq!([at(0), at(1)], [Some(1), Some(2)], "{host}");
    }
    assert_eq!(get(&table, "2001::ffff:ffff:ffff:ffff"), Some(2));
    assert_eq!(get(&table, "2001:0:0:1::"), Some(2));
    assert_eq!(get(&table, "2001:0:1::"), None);
    assert_eq!(get(&table, "::"), None);
    assert_eq!(get(&table, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), None);
}

#[test]
fn an_empty_table_says_nothing() {
    let table = text(&[]);
    assert_eq!((get(&table, "1.1.1.1"), get(&table, "::"), table.is_empty()), (None, None, true));
}

fn v4(near: bool) -> impl Strategy<Value = IpAddr> {
    let mask = if near { 0xffff } else { u32::MAX };
    any::<u32>().prop_map(move |bits| Ipv4Addr::from_bits(bits & mask).into())
}

fn v6(near: bool) -> impl Strategy<Value = IpAddr> {
    let mask = if near { 0x3 << 62 | 0x3 } else { u128::MAX };
    any::<u128>().prop_map(move |bits| Ipv6Addr::from_bits(bits & mask).into())
}

proptest! {
    #[test]
    fn it_says_what_looking_at_every_network_says(
        networks in prop::collection::vec((prop_oneof![v4(true), v4(false), v6(true), v6(false)], 0..=128_u8, any::<u8>()), 0..60),
        addresses in prop::collection::vec(prop_oneof![v4(true), v4(false), v6(true), v6(false)], 0..60),
    ) {
        let entries: Vec<_> =
            networks.iter().map(|(address, prefix, value)| (Network::new(*address, *prefix), *value)).collect();
        let table: PrefixTable<u8> = entries.iter().copied().collect();
        let firsts = entries.iter().map(|(network, _)| network.first());
        for address in addresses.into_iter().chain(firsts) {
            prop_assert_eq!(table.get(address), oracle(&entries, address), "{}", address);
        }
    }
}
