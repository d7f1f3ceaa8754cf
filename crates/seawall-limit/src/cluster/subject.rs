//! A key's name in Redis.

use std::fmt::Write as _;
use std::net::IpAddr;

use sha2::{Digest as _, Sha256};

use crate::key::Key;

/// The first 128 bits of a key's SHA-256: the same on every node. It hides no key that can be
/// guessed, such as an address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Subject([u8; 16]);

impl Subject {
    pub(crate) fn of(key: Key<'_>) -> Self {
        let mut hash = Sha256::new();
        match key {
            Key::Ip(IpAddr::V4(ip)) => hash.update([&b"4"[..], &ip.octets()].concat()),
            Key::Ip(IpAddr::V6(ip)) => hash.update([&b"6"[..], &ip.octets()].concat()),
            Key::Prefix(IpAddr::V4(ip), bits) => {
                hash.update([&[b'p', b'4', bits][..], &ip.octets()].concat());
            }
            Key::Prefix(IpAddr::V6(ip), bits) => {
                hash.update([&[b'p', b'6', bits][..], &ip.octets()].concat());
            }
            Key::Text(text) => {
                hash.update(b"t");
                hash.update(text.as_bytes());
            }
            Key::Bytes(bytes) => {
                hash.update(b"b");
                hash.update(bytes);
            }
            Key::Number(number) => hash.update([&b"n"[..], &number.to_be_bytes()].concat()),
            Key::Unknown => hash.update(b"u"),
        }
        let mut half = [0; 16];
        half.copy_from_slice(&hash.finalize()[..16]);
        Self(half)
    }

    /// 32 hexadecimal digits.
    pub(crate) fn text(self) -> String {
        self.0.iter().fold(String::with_capacity(32), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// What [`text`](Self::text) wrote.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let number = u128::from_str_radix(text, 16).ok()?;
        Some(Self(number.to_be_bytes()))
    }

    /// `{prefix}{` and the digits in braces: all that Redis keeps of a subject has one slot.
    pub(crate) fn key(self, prefix: &str) -> String {
        [prefix, "{", &self.text(), "}"].concat()
    }
}

// By hand: short, for logs.
impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Subject({}..)", &self.text()[..8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_do_not_mix_and_text_reads_back() {
        let all = [
            Subject::of(Key::Text("7")),
            Subject::of(Key::Bytes(b"7")),
            Subject::of(Key::Number(7)),
            Subject::of(Key::Unknown),
            Subject::of(Key::Ip([0, 0, 0, 7].into())),
            Subject::of(Key::Ip([0_u16, 0, 0, 0, 0, 0, 0, 7].into())),
        ];
        for (index, one) in all.iter().enumerate() {
            assert_eq!(Subject::read(&one.text()), Some(*one));
            assert!(!all[..index].contains(one));
        }
        assert_eq!(Subject::read("+1"), None);
    }

    #[test]
    fn slots_are_spread_evenly_and_one_subject_has_one() {
        let mut thirds = [0_u32; 3];
        for number in 0..10_000_u64 {
            let subject = Subject::of(Key::Number(number));
            let slot = fred::util::redis_keyslot(subject.key("limit:").as_bytes());
            assert_eq!(slot, fred::util::redis_keyslot(subject.text().as_bytes()));
            thirds[usize::from(slot) * 3 / 16_384] += 1;
        }
        for third in thirds {
            assert!((3_166..=3_500).contains(&third), "{thirds:?}");
        }
    }
}
