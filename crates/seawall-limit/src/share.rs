//! A share of all keys: always the same keys, and more of them if it grows.

use crate::error::{Error, in_range};
use crate::key::Key;

/// A share of the keys, from none to all, in hundredths of a percent.
///
/// Which keys are in it is told by a hash of the key, the policy's name and
/// [`share_seed`](crate::LimiterBuilder::share_seed), and by nothing else: a key
/// is on the same side on every node and after every restart. A larger share has
/// all the keys of a smaller one.
///
/// ```
/// use seawall_limit::Share;
///
/// assert_eq!(Share::percent(10)?, Share::basis_points(1_000)?);
/// assert!(Share::percent(101).is_err());
/// # Ok::<(), seawall_limit::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u16);

impl Share {
    /// No key.
    pub const NONE: Self = Self(0);
    /// Every key.
    pub const ALL: Self = Self(WHOLE);

    /// So many percent, 0 to 100.
    ///
    /// # Errors
    /// If it is above 100.
    pub fn percent(percent: u8) -> Result<Self, Error> {
        in_range("percent", percent.into(), 0, 100)?;
        Ok(Self(u16::from(percent) * 100))
    }

    /// So many hundredths of a percent, 0 to 10 000.
    ///
    /// # Errors
    /// If it is above 10 000.
    pub fn basis_points(points: u16) -> Result<Self, Error> {
        in_range("basis_points", points.into(), 0, WHOLE.into())?;
        Ok(Self(points))
    }

    /// In percent, 0 to 100.
    #[must_use]
    pub fn as_percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// Whether it is neither none nor all.
    pub(crate) const fn is_partial(self) -> bool {
        0 < self.0 && self.0 < WHOLE
    }

    /// Whether the key that drew this lot is in the share.
    pub(crate) fn has(self, lot: u64) -> bool {
        // The lot scaled to 0..10 000: even to one in 2^50, and it only ever grows with the share.
        (u128::from(lot) * u128::from(WHOLE)) >> 64 < u128::from(self.0)
    }
}

/// What keys draw for one policy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Urn {
    seed: u64,
    salt: u64,
}

impl Urn {
    pub(crate) fn new(seed: u64, policy: &str) -> Self {
        // A salt for each policy, so that not the same clients are first in all of them.
        Self { seed, salt: sip(seed, SALT, TEXT, policy.as_bytes()) }
    }

    pub(crate) fn draw(self, key: Key<'_>) -> u64 {
        let hash = |kind, bytes: &[u8]| sip(self.seed, self.salt, kind, bytes);
        match key {
            Key::Ip(std::net::IpAddr::V4(ip)) => hash(4 << 8, &ip.octets()),
            Key::Ip(std::net::IpAddr::V6(ip)) => hash(6 << 8, &ip.octets()),
            Key::Prefix(std::net::IpAddr::V4(ip), bits) => {
                hash(5 << 8 | u64::from(bits), &ip.octets())
            }
            Key::Prefix(std::net::IpAddr::V6(ip), bits) => {
                hash(7 << 8 | u64::from(bits), &ip.octets())
            }
            Key::Text(text) => hash(TEXT, text.as_bytes()),
            Key::Bytes(bytes) => hash(2 << 8, bytes),
            Key::Number(number) => hash(3 << 8, &number.to_le_bytes()),
            Key::Unknown => hash(0, &[]),
        }
    }
}

/// SipHash-2-4 of: the kind and the length as a word each, then the bytes, filled up with zeros.
///
/// Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012). Unlike the hash of the
/// table it is the same in every process, and unlike other stable ones nobody who lacks the seed can
/// choose a key for its side.
fn sip(k0: u64, k1: u64, kind: u64, bytes: &[u8]) -> u64 {
    let mut state = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let mut feed = |word: u64| {
        state[3] ^= word;
        rounds(&mut state, 2);
        state[0] ^= word;
    };
    feed(kind);
    feed(bytes.len() as u64);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        feed(u64::from_le_bytes(word));
    }
    // The whole message's length, as SipHash ends with it.
    let words = 2 + bytes.len().div_ceil(8) as u64;
    feed((words * 8) << 56);
    state[2] ^= 0xff;
    rounds(&mut state, 4);
    state[0] ^ state[1] ^ state[2] ^ state[3]
}

fn rounds([a, b, c, d]: &mut [u64; 4], count: u8) {
    for _ in 0..count {
        *a = a.wrapping_add(*b);
        *b = b.rotate_left(13) ^ *a;
        *a = a.rotate_left(32);
        *c = c.wrapping_add(*d);
        *d = d.rotate_left(16) ^ *c;
        *a = a.wrapping_add(*d);
        *d = d.rotate_left(21) ^ *a;
        *c = c.wrapping_add(*b);
        *b = b.rotate_left(17) ^ *c;
        *c = c.rotate_left(32);
    }
}

/// Percent with up to two decimals, as configuration files have it.
#[cfg(feature = "serde")]
mod text {
    use super::{Share, WHOLE};

    impl serde::Serialize for Share {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_f64(self.as_percent())
        }
    }

    impl<'de> serde::Deserialize<'de> for Share {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(Percent)
        }
    }

    struct Percent;

    impl serde::de::Visitor<'_> for Percent {
        type Value = Share;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a percentage within 0..=100, in steps of 0.01")
        }

        fn visit_f64<E: serde::de::Error>(self, percent: f64) -> Result<Share, E> {
            let points = (percent * 100.0).round();
            if (0.0..=f64::from(WHOLE)).contains(&points) && (points - percent * 100.0).abs() < 1e-6
            {
                return Ok(Share(points as u16));
            }
            Err(E::invalid_value(serde::de::Unexpected::Float(percent), &self))
        }

        fn visit_u64<E: serde::de::Error>(self, percent: u64) -> Result<Share, E> {
            let share = u8::try_from(percent).ok().and_then(|percent| Share::percent(percent).ok());
            share.ok_or_else(|| E::invalid_value(serde::de::Unexpected::Unsigned(percent), &self))
        }

        fn visit_i64<E: serde::de::Error>(self, percent: i64) -> Result<Share, E> {
            match u64::try_from(percent) {
                Ok(percent) => self.visit_u64(percent),
                Err(_) => Err(E::invalid_value(serde::de::Unexpected::Signed(percent), &self)),
            }
        }
    }
}

const WHOLE: u16 = 10_000;
const TEXT: u64 = 1 << 8;
/// An odd number of random bits (of the square root of 5).
const SALT: u64 = 0x3c6e_f372_fe94_f82b;

#[cfg(test)]
mod tests;
