//! What does a look-up among a million networks cost, and how much memory does a network take?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bench_harness::{Bench, Role, Row, Subject};
use ip_network::{Ipv4Network, Ipv6Network};
use ip_network_table::IpNetworkTable;
use ipnet::{Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use seawall_limit::{Access, AccessList, Network, SharedAccessList};

const NETWORKS: usize = 1_000_000;
/// Enough that none is in a cache again before it comes again.
const ADDRESSES: usize = 1 << 20;
/// As deny lists have them: networks of all sizes, many hosts.
const V4: [u8; 9] = [22, 24, 24, 28, 32, 32, 32, 32, 32];
const V6: [u8; 10] = [32, 40, 44, 48, 48, 48, 56, 64, 64, 128];

fn main() -> std::io::Result<()> {
    let mut bench = Bench::new("limit_lists").with_round(std::time::Duration::from_millis(250));
    let mut random = StdRng::seed_from_u64(7);
    v4(&mut bench, &mut random)?;
    v6(&mut bench, &mut random)?;
    bench.finish()
}

fn v4(bench: &mut Bench, random: &mut StdRng) -> std::io::Result<()> {
    let networks: Vec<_> =
        random_networks(random, &V4, |random| Ipv4Addr::from_bits(random.random()).into());
    // One in two is in a network for sure.
    let addresses = random_addresses(random, &networks, 2);
    let part = |network: &Network| match network.first() {
        IpAddr::V4(first) => (first, network.prefix()),
        IpAddr::V6(_) => unreachable!(),
    };
    let (ours, memory) = grown(|| shared(&networks))?;
    let exact = ours.load().bytes() as f64 / NETWORKS as f64;
    let mut all = vec![
        ("seawall-limit", Role::Ours, memory),
        ("seawall-limit, its own count", Role::Ours, exact),
    ];
    let (trie, memory) = grown(|| {
        networks
            .iter()
            .map(part)
            .map(|(a, p)| (Ipv4Net::new(a, p).unwrap(), Access::Deny))
            .collect::<PrefixMap<_, _>>()
    })?;
    all.push(("prefix-trie", Role::Peer, memory));
    let (table, memory) = grown(|| {
        let mut table = IpNetworkTable::new();
        for (address, prefix) in networks.iter().map(part) {
            table.insert(Ipv4Network::new(address, prefix).unwrap(), Access::Deny);
        }
        table
    })?;
    all.push(("ip_network_table", Role::Peer, memory));
    memory_rows(bench, "IPv4", all);
    let plain: Vec<Ipv4Addr> = addresses
        .iter()
        .map(|address| match address {
            IpAddr::V4(v4) => *v4,
            IpAddr::V6(_) => unreachable!(),
        })
        .collect();
    bench.case(
        "a look-up, 1 M IPv4 networks, addresses at random",
        vec![
            Subject::new(
                "seawall-limit",
                Role::Ours,
                each(&addresses, |it| ours.get(it).is_some()),
            ),
            Subject::new("one read of a random line", Role::Floor, lines()),
            Subject::new(
                "prefix-trie",
                Role::Peer,
                each(&plain, |it| trie.get_lpm(&Ipv4Net::new_assert(it, 32)).is_some()),
            ),
            Subject::new(
                "ip_network_table",
                Role::Peer,
                each(&plain, |it| table.longest_match_ipv4(it).is_some()),
            ),
        ],
    );
    Ok(())
}

fn v6(bench: &mut Bench, random: &mut StdRng) -> std::io::Result<()> {
    let networks: Vec<_> =
        random_networks(random, &V6, |random| Ipv6Addr::from_bits(random_v6(random)).into());
    // Hardly any is in a network by chance, so all are.
    let addresses = random_addresses(random, &networks, 1);
    let part = |network: &Network| match network.first() {
        IpAddr::V6(first) => (first, network.prefix()),
        IpAddr::V4(_) => unreachable!(),
    };
    let (ours, memory) = grown(|| shared(&networks))?;
    let exact = ours.load().bytes() as f64 / NETWORKS as f64;
    let mut all = vec![
        ("seawall-limit", Role::Ours, memory),
        ("seawall-limit, its own count", Role::Ours, exact),
    ];
    let (trie, memory) = grown(|| {
        networks
            .iter()
            .map(part)
            .map(|(a, p)| (Ipv6Net::new(a, p).unwrap(), Access::Deny))
            .collect::<PrefixMap<_, _>>()
    })?;
    all.push(("prefix-trie", Role::Peer, memory));
    let (table, memory) = grown(|| {
        let mut table = IpNetworkTable::new();
        for (address, prefix) in networks.iter().map(part) {
            table.insert(Ipv6Network::new(address, prefix).unwrap(), Access::Deny);
        }
        table
    })?;
    all.push(("ip_network_table", Role::Peer, memory));
    memory_rows(bench, "IPv6", all);
    let plain: Vec<Ipv6Addr> = addresses
        .iter()
        .map(|address| match address {
            IpAddr::V6(v6) => *v6,
            IpAddr::V4(_) => unreachable!(),
        })
        .collect();
    bench.case(
        "a look-up, 1 M IPv6 networks, addresses at random",
        vec![
            Subject::new(
                "seawall-limit",
                Role::Ours,
                each(&addresses, |it| ours.get(it).is_some()),
            ),
            Subject::new("one read of a random line", Role::Floor, lines()),
            Subject::new(
                "prefix-trie",
                Role::Peer,
                each(&plain, |it| trie.get_lpm(&Ipv6Net::new_assert(it, 128)).is_some()),
            ),
            Subject::new(
                "ip_network_table",
                Role::Peer,
                each(&plain, |it| table.longest_match_ipv6(it).is_some()),
            ),
        ],
    );
    // In no network, but for a few.
    let strangers: Vec<IpAddr> =
        (0..ADDRESSES).map(|_| Ipv6Addr::from_bits(random_v6(random)).into()).collect();
    // Half of the look-ups are for one address in 256, as of clients that come again.
    let regulars: Vec<IpAddr> = (0..ADDRESSES)
        .map(|_| addresses[(random.random::<f64>().powi(8) * ADDRESSES as f64) as usize])
        .collect();
    let get = |it| ours.get(it).is_some();
    bench.case(
        "1 M IPv6 networks, other addresses",
        vec![
            Subject::new("in no network, at random", Role::Ours, each(&strangers, get)),
            Subject::new("half of them one in 256", Role::Ours, each(&regulars, get)),
            Subject::new(
                "at random, each after the answer before",
                Role::Ours,
                after(&addresses, get),
            ),
        ],
    );
    Ok(())
}

fn random_v6(random: &mut StdRng) -> u128 {
    0x2 << 124 | random.random::<u128>() >> 4
}

fn shared(networks: &[Network]) -> SharedAccessList {
    SharedAccessList::new(AccessList::builder().deny(networks.iter().copied()).build())
}

fn random_networks(
    random: &mut StdRng,
    prefixes: &[u8],
    address: impl Fn(&mut StdRng) -> IpAddr,
) -> Vec<Network> {
    (0..NETWORKS)
        .map(|_| Network::new(address(random), *prefixes.choose(random).unwrap()))
        .collect()
}

/// One in `hit` is in a network for sure, the others may be anywhere.
fn random_addresses(random: &mut StdRng, networks: &[Network], hit: usize) -> Vec<IpAddr> {
    (0..ADDRESSES)
        .map(|turn| {
            let network = networks.choose(random).unwrap();
            match network.first() {
                IpAddr::V4(_) if turn % hit != 0 => Ipv4Addr::from_bits(random.random()).into(),
                IpAddr::V4(first) => {
                    let host = u32::MAX.checked_shr(network.prefix().into()).unwrap_or(0);
                    Ipv4Addr::from_bits(first.to_bits() | random.random::<u32>() & host).into()
                }
                IpAddr::V6(first) => {
                    let host = u128::MAX.checked_shr(network.prefix().into()).unwrap_or(0);
                    Ipv6Addr::from_bits(first.to_bits() | random.random::<u128>() & host).into()
                }
            }
        })
        .collect()
}

/// Looks the addresses up in turn.
fn each<'a, A: Copy>(addresses: &'a [A], get: impl Fn(A) -> bool + 'a) -> impl FnMut(u64) + 'a {
    let mut next = 0;
    move |times| {
        for _ in 0..times {
            black_box(get(addresses[next]));
            next = (next + 1) % addresses.len();
        }
    }
}

/// The same, where the next look-up cannot begin before the one before has its answer.
fn after<'a>(addresses: &'a [IpAddr], get: impl Fn(IpAddr) -> bool + 'a) -> impl FnMut(u64) + 'a {
    let mut next = 0;
    move |times| {
        for _ in 0..times {
            let found = usize::from(black_box(get(addresses[next])));
            next = (next + 1 + (found & black_box(0))) % addresses.len();
        }
    }
}

/// What one miss of the caches costs: reads all over 16 MiB, each place told by the one before.
fn lines() -> impl FnMut(u64) {
    let words: Vec<u64> = (0..1 << 21_u64).collect();
    let mut at = 1_u64;
    move |times| {
        for _ in 0..times {
            at = at
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(words[(at >> 43) as usize] | 1);
        }
        black_box(at);
    }
}

/// What a value adds to the resident memory while it is made; what was used on the way and given
/// back does not count, if the allocator gave it to the system.
fn grown<T>(make: impl FnOnce() -> T) -> std::io::Result<(T, f64)> {
    let before = resident()?;
    let value = make();
    Ok((value, (resident()? - before) / NETWORKS as f64))
}

fn resident() -> std::io::Result<f64> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    Ok(pages.unwrap_or(f64::NAN) * 4_096.0)
}

fn memory_rows(bench: &mut Bench, family: &str, subjects: Vec<(&str, Role, f64)>) {
    for (name, role, bytes) in subjects {
        let case = format!("memory, 1 M {family} networks");
        bench.add(Row::of(&case, name, role, "B", vec![bytes]));
    }
}
