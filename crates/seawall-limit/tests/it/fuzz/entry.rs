// What is fuzzed: everything that reads bytes of strangers, through the public
// interface. Included by the short run of `cargo test` and by `fuzz/`, which
// runs for as long as one likes.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;
use std::time::SystemTime;

use http::header::HeaderName;
use http::{Extensions, HeaderMap, HeaderValue, StatusCode};
use seawall_limit::{
    AccessList, Challenge, ChallengeConfig, ClientIp, Network, PeerAddr, ProxyHeader, Resolver,
    TIERS, Tiers, advice,
};

/// The first byte chooses what reads the rest. Panics where a law is broken.
pub(crate) fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind % 5 {
        0 => networks(rest),
        1 => proxies(rest, ProxyHeader::XForwardedFor, "x-forwarded-for"),
        2 => proxies(rest, ProxyHeader::Forwarded, "forwarded"),
        3 => challenge(rest),
        _ => fields(rest),
    }
}

/// What is read is written as it was meant, and has its own first address.
fn networks(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(network) = text.parse::<Network>() {
        assert_eq!(network.to_string().parse(), Ok(network));
        assert!(network.contains(network.first()));
        assert!(Tiers::of(network.first(), &TIERS).iter().all(|it| it.contains(network.first())));
    }
    if let Ok(builder) = AccessList::builder().deny_text(&text) {
        let _ = builder.build().get(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
}

/// A stranger's lines never matter, and a trusted peer's last entry always does.
fn proxies(data: &[u8], header: ProxyHeader, name: &'static str) {
    let peer = |address: Ipv4Addr| {
        let mut extensions = Extensions::new();
        extensions.insert(PeerAddr((address, 1).into()));
        extensions
    };
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(name, value);
        }
    }
    let (trusted, stranger) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(9, 9, 9, 9));
    let [by_network, by_count] = resolvers(header);
    assert_eq!(by_network.address(&headers, &peer(stranger)), Some(stranger.into()));
    let _ = by_network.address(&headers, &peer(trusted));
    let _ = by_count.address(&headers, &peer(stranger));
    // What the proxy itself adds stands, whatever came before it, on its line or on its own.
    let said = Ipv4Addr::new(1, 2, 3, 4);
    let element = match header {
        ProxyHeader::Forwarded => format!("for=\"{said}:80\";proto=https"),
        _ => said.to_string(),
    };
    let last = headers.get_all(name).iter().next_back().map(|line| line.as_bytes().to_vec());
    let joined = [&last.unwrap_or_default()[..], b", ", element.as_bytes()].concat();
    for line in [joined, element.into_bytes()] {
        let Ok(value) = HeaderValue::from_bytes(&line) else { continue };
        let mut headers = headers.clone();
        headers.append(name, value);
        assert_eq!(by_network.address(&headers, &peer(trusted)), Some(said.into()));
    }
}

fn resolvers(header: ProxyHeader) -> [Resolver; 2] {
    [ClientIp::trusting(["10.0.0.0/8"]), ClientIp::behind(3)]
        .map(|client| client.header(header).build().expect("constant"))
}

/// No text is worth a pass.
fn challenge(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert!(CHALLENGE.redeem(text, None, "/", 1_800_000_000).is_err());
    assert!(CHALLENGE.check(text, None, "/", 1_800_000_000).is_err());
}

/// The first bytes choose the fields.
fn fields(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for (line, name) in data.split(|byte| *byte == b'\n').zip(NAMES.iter().cycle()) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    let told = advice(StatusCode::TOO_MANY_REQUESTS, &headers, SystemTime::UNIX_EPOCH);
    assert!(told.wait.is_some());
    assert!(advice(StatusCode::OK, &headers, SystemTime::UNIX_EPOCH).wait.is_none());
}

static CHALLENGE: LazyLock<Challenge> = LazyLock::new(|| {
    Challenge::new(&[7; 32], ChallengeConfig::default()).expect("the defaults are valid")
});

const NAMES: [&str; 6] = [
    "ratelimit",
    "retry-after",
    "ratelimit-remaining",
    "ratelimit-reset",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
];
