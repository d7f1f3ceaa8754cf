//! IPv6 tiers as keys of a limiter.

use std::net::Ipv6Addr;
use std::time::Duration;

use seawall_limit::{Key, Limiter, Policy, Quota, TIERS, Tiers};
use tokio::time::Instant;

#[test]
fn a_48_that_spreads_its_requests_runs_into_its_widest_tier() {
    let policy = |name: &'static str, limit| {
        Policy::new(name, Quota::per(limit, Duration::from_secs(3_600)).unwrap())
    };
    let limiter = Limiter::builder()
        .policies([policy("64", 10), policy("56", 100), policy("48", 1_000)])
        .build()
        .unwrap();
    let sets = ["64", "56", "48"].map(|name| limiter.set(&[name]).unwrap());
    let now = Instant::now();
    let mut rejecting = [0; 3];
    // Each request from a network of its own, spread over all of the /48.
    for network in (0..65_536_u128).step_by(32) {
        let address = Ipv6Addr::from_bits(0x2001_0db8_0001 << 80 | network << 64 | 1);
        let tiers = Tiers::of(address.into(), &TIERS);
        for ((tier, set), rejecting) in tiers.iter().zip(&sets).zip(&mut rejecting) {
            let decision = limiter.check(Key::from(*tier), set, now);
            *rejecting += u32::from(!decision.is_allowed());
        }
    }
    assert_eq!(rejecting, [0, 0, 2_048 - 1_000]);
    // Its neighbour is not touched.
    let neighbour = Ipv6Addr::from_bits(0x2001_0db8_0002 << 80);
    for (tier, set) in Tiers::of(neighbour.into(), &TIERS).iter().zip(&sets) {
        assert!(limiter.check(Key::from(*tier), set, now).is_allowed(), "{tier}");
    }
}
