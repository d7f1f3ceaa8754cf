use std::collections::HashSet;
use std::hash::Hasher as _;

use proptest::prelude::*;

use super::*;

/// The standard library's own, which is no longer meant to be used.
#[expect(deprecated, reason = "an independent SipHash-2-4")]
fn oracle(k0: u64, k1: u64, kind: u64, bytes: &[u8]) -> u64 {
    let mut hasher = std::hash::SipHasher::new_with_keys(k0, k1);
    let mut message = kind.to_le_bytes().to_vec();
    message.extend((bytes.len() as u64).to_le_bytes());
    message.extend(bytes);
    message.resize(message.len().next_multiple_of(8), 0);
    hasher.write(&message);
    hasher.finish()
}

proptest! {
    #[test]
    fn the_hash_is_siphash(
        k0: u64, k1: u64, kind: u64, bytes in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        prop_assert_eq!(sip(k0, k1, kind, &bytes), oracle(k0, k1, kind, &bytes));
    }

    #[test]
    fn a_larger_share_has_every_key_of_a_smaller_one(
        seed: u64, key in ".{0,20}", small in 0..=10_000_u16, more in 0..=10_000_u16,
    ) {
        let large = small.saturating_add(more).min(10_000);
        let lot = Urn::new(seed, "p").draw(Key::Text(&key));
        let (small, large) = (Share::basis_points(small).unwrap(), Share::basis_points(large).unwrap());
        prop_assert!(!small.has(lot) || large.has(lot));
        prop_assert!(!Share::NONE.has(lot) && Share::ALL.has(lot));
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn as_many_keys_are_in_a_share_as_it_says(seed: u64, points in 0..=10_000_u16) {
        let (urn, share) = (Urn::new(seed, "p"), Share::basis_points(points).unwrap());
        const KEYS: u64 = 20_000;
        let within = (0..KEYS).filter(|key| share.has(urn.draw(Key::Number(*key)))).count() as f64;
        let expected = KEYS as f64 * f64::from(points) / 10_000.0;
        // Six standard deviations of a fair draw: one in 10^9 is outside.
        let tolerance = 6.0 * (expected * (1.0 - f64::from(points) / 10_000.0)).sqrt() + 1e-9;
        prop_assert!((within - expected).abs() <= tolerance, "{within} of {expected}");
    }
}

#[test]
fn a_key_draws_the_same_in_every_process() {
    // Written down once: if this changes, every key changes its side at an upgrade.
    let urn = Urn::new(7, "api");
    let drawn = [Key::Text("alice"), Key::Number(1), Key::Ip([192, 0, 2, 1].into()), Key::Unknown]
        .map(|key| urn.draw(key));
    assert_eq!(drawn, PINNED);
}

#[test]
fn kinds_of_keys_policies_and_seeds_draw_apart() {
    let lots: Vec<u64> = [("a", 0), ("b", 0), ("a", 1)]
        .iter()
        .flat_map(|(policy, seed)| {
            let urn = Urn::new(*seed, policy);
            let zeros = std::net::IpAddr::from([0_u8; 16]);
            let keys = [
                Key::Text("7"),
                Key::Bytes(b"7"),
                Key::Number(u64::from(b'7')),
                Key::Bytes(b"7\0"),
                Key::Ip([0, 0, 0, 7].into()),
                Key::Ip(zeros),
                Key::Prefix(zeros, 64),
                Key::Prefix(zeros, 56),
                Key::Unknown,
                Key::Text(""),
            ];
            keys.map(|key| urn.draw(key))
        })
        .collect();
    assert_eq!(lots.iter().collect::<HashSet<_>>().len(), lots.len());
}

#[cfg(feature = "serde")]
#[test]
fn a_percentage_in_a_file_is_read_exactly_or_refused() {
    let read = |text: &str| serde_json::from_str::<Share>(text);
    for (text, points) in
        [("0", 0), ("10", 1_000), ("0.01", 1), ("33.33", 3_333), ("100.0", 10_000)]
    {
        let share = read(text).unwrap();
        assert_eq!(share, Share(points), "{text}");
        assert_eq!(read(&serde_json::to_string(&share).unwrap()).unwrap(), share);
    }
    for text in ["-1", "101", "100.01", "0.001", "\"10\"", "1e99", "256"] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains("within 0..=100") || text.starts_with('"'), "{text}: {error}");
    }
}

const PINNED: [u64; 4] = [
    904_495_229_721_083_218,
    6_005_554_058_842_583_738,
    4_938_396_054_527_243_645,
    8_402_789_581_721_153_152,
];
