use std::collections::HashSet;
use std::net::Ipv6Addr;

use proptest::prelude::*;

use super::*;

#[test]
fn a_48_is_65536_networks_but_one_key_of_its_widest_tier() {
    let base = u128::from_str_radix("20010db8000100000000000000000000", 16).unwrap();
    let mut seen = [(); 3].map(|()| HashSet::new());
    for network in 0..65_536_u128 {
        let address = Ipv6Addr::from_bits(base | network << 64 | 7).into();
        for (tier, seen) in Tiers::of(address, &TIERS).iter().zip(&mut seen) {
            seen.insert(tier.to_string());
        }
    }
    assert_eq!(seen.map(|tier| tier.len()), [65_536, 256, 1]);
}

#[test]
fn ipv4_in_any_dress_has_one_tier() {
    for text in ["1.2.3.4", "::ffff:1.2.3.4", "64:ff9b::102:304"] {
        let tiers = Tiers::of(text.parse().unwrap(), &TIERS);
        let text: Vec<_> = tiers.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["1.2.3.4/32"]);
    }
}

#[test]
fn tiers_that_do_not_widen_are_refused() {
    assert!(check(&[64, 56, 48]).is_ok() && check(&[128]).is_ok());
    for wrong in [&[][..], &[0], &[129], &[64, 64], &[48, 56], &[64, 60, 56, 48], &[1, 0]] {
        assert!(
            matches!(check(wrong), Err(Error::OutOfRange { field: "ipv6_tiers", .. })),
            "{wrong:?}"
        );
    }
}

proptest! {
    #[test]
    fn every_tier_has_the_address_and_all_narrower_tiers(bits: u128, prefixes in prop::collection::vec(any::<u8>(), 0..5)) {
        let address = IpAddr::from(Ipv6Addr::from_bits(bits));
        let tiers = Tiers::of(address, &prefixes);
        prop_assert!((1..=MAX_TIERS).contains(&tiers.len()));
        prop_assert!(tiers.iter().all(|tier| tier.contains(address)));
    }
}
