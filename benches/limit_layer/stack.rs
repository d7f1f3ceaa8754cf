//! The layers that are compared.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use governor::middleware::StateInformationMiddleware;
use seawall_limit::{
    AccessList, ClientIp, LimitLayer, LimitLayerBuilder, Limiter, ListLayer, Network, Policy,
    Quota, Rule, SharedAccessList,
};
use tower_governor::GovernorLayer;
use tower_governor::governor::GovernorConfigBuilder;
use tower_governor::key_extractor::KeyExtractor;

/// Where all requests go: it meets three rules.
pub(crate) const PATH: &str = "/api/auctions/17/bids";
/// Ten thousand clients, or 64 connections, never spend it.
const LIMIT: u32 = 10_000;
/// About as many as a list of botnets has.
const DENIED: u32 = 100_000;

pub(crate) type Theirs<K> = GovernorLayer<K, StateInformationMiddleware, Body>;

/// The clients' proxy is trusted, and says whom it speaks for.
pub(crate) fn behind_a_proxy() -> ClientIp {
    ClientIp::trusting(["10.0.0.0/8", "127.0.0.0/8"]).peer(peer)
}

pub(crate) fn direct() -> ClientIp {
    ClientIp::direct().peer(peer)
}

fn peer(extensions: &http::Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip())
}

/// Lists, and three policies of three rules, in one layer.
pub(crate) fn whole(client: &ClientIp) -> LimitLayer {
    three_limits(client).lists(lists(client)).build().unwrap()
}

/// Three policies, of three rules.
pub(crate) fn limits(client: &ClientIp) -> LimitLayer {
    three_limits(client).build().unwrap()
}

fn three_limits(client: &ClientIp) -> LimitLayerBuilder {
    let quota = |seconds: u64| {
        let quota = Quota::per(LIMIT, Duration::from_secs(seconds)).unwrap();
        quota.with_burst(LIMIT).unwrap()
    };
    let policies = [("all", 1), ("api", 2), ("bids", 1)];
    let policies = policies.map(|(name, seconds)| Policy::new(name, quota(seconds)));
    let limiter = Limiter::builder().policies(policies).build().unwrap();
    LimitLayer::new(limiter)
        .identify(client.clone())
        .rule(Rule::any().policy("all"))
        .rule(Rule::path_prefix("/api").policy("api"))
        .rule(Rule::path("/api/auctions/{id}/bids").policy("bids"))
        .rule(Rule::path_prefix("/health").exempt())
}

/// One policy, of one rule.
pub(crate) fn one_limit(client: &ClientIp) -> LimitLayer {
    let quota = Quota::per(LIMIT, Duration::from_secs(1)).unwrap().with_burst(LIMIT).unwrap();
    let limiter = Limiter::builder().policy(Policy::new("all", quota)).build().unwrap();
    LimitLayer::new(limiter)
        .identify(client.clone())
        .rule(Rule::any().policy("all"))
        .build()
        .unwrap()
}

/// Denies a hundred thousand addresses, of which none asks.
pub(crate) fn lists(client: &ClientIp) -> ListLayer {
    let denied = (0..DENIED).map(|host| {
        let spread = host.wrapping_mul(0x9e37_79b9) % (1 << 27);
        Network::new(Ipv4Addr::from_bits(0x6000_0000 | spread).into(), 32)
    });
    let list = SharedAccessList::new(AccessList::builder().deny(denied).build());
    ListLayer::new(list).identify(client).unwrap()
}

/// tower_governor with its header fields, and as much as ours allow.
pub(crate) fn theirs<K: KeyExtractor>(key: K) -> Theirs<K> {
    let mut builder = GovernorConfigBuilder::default().key_extractor(key).use_headers();
    builder.period(Duration::from_secs(1) / LIMIT).burst_size(LIMIT);
    GovernorLayer::new(builder.finish().unwrap())
}
