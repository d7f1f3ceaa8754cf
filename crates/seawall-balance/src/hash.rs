//! A hash that is the same in every process, on every platform.
//!
//! Instances of a service that share keys must agree where a key goes, so the
//! hash has no random seed. It multiplies 64-bit words into 128 bits and folds
//! them (as wyhash does) and ends with the finaliser of SplitMix64.

use std::hash::{Hash, Hasher};

/// The hash of a key for the policies that look at keys: the same in every
/// process that runs the same version of this crate, for keys whose [`Hash`] is
/// (strings, integers, addresses and tuples of them are).
///
/// It does not withstand keys that were made to collide: whoever may choose keys
/// can send all of them to one node. [`Policy::Ring`](crate::Policy::Ring)
/// bounds what that does.
#[must_use]
pub fn hash_key<K: Hash + ?Sized>(key: &K) -> u64 {
    let mut hasher = Stable(SEED);
    key.hash(&mut hasher);
    hasher.finish()
}

/// Spreads every bit of `word` over all bits of the result; a bijection.
#[inline]
pub(crate) const fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// The `index`-th number of the SplitMix64 sequence that starts at `seed`.
#[inline]
pub(crate) const fn random(seed: u64, index: u64) -> u64 {
    mix(seed.wrapping_add(index.wrapping_mul(GOLDEN)))
}

/// As a number above 0 and below 1. Of 52 bits: with 53 the half would be lost,
/// and with it the promise to stay below 1.
#[inline]
pub(crate) fn unit(hash: u64) -> f64 {
    ((hash >> 12) as f64 + 0.5) * (1.0 / (1_u64 << 52) as f64)
}

/// As an index below `len`, evenly (Lemire's multiplication).
#[inline]
pub(crate) const fn below(hash: u32, len: usize) -> usize {
    ((hash as u64 * len as u64) >> 32) as usize
}

/// Words are taken in little-endian order and at a fixed width, whatever the
/// machine has.
struct Stable(u64);

impl Stable {
    #[inline]
    const fn word(&mut self, word: u64) {
        let product = (self.0 ^ word) as u128 * MULTIPLIER as u128;
        self.0 = (product as u64) ^ ((product >> 64) as u64) ^ word.rotate_left(32);
    }
}

impl Hasher for Stable {
    fn finish(&self) -> u64 {
        mix(self.0)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
        self.word(bytes.len() as u64);
    }

    fn write_u8(&mut self, value: u8) {
        self.word(u64::from(value));
    }

    fn write_u16(&mut self, value: u16) {
        self.word(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.word(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.word(value);
    }

    fn write_u128(&mut self, value: u128) {
        self.word(value as u64);
        self.word((value >> 64) as u64);
    }

    fn write_usize(&mut self, value: usize) {
        self.word(value as u64);
    }
}

const SEED: u64 = 0x5eaf_a11b_a1a0_ce5d;
const MULTIPLIER: u64 = 0xa076_1d64_78bd_642f;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_version_does_not_move_every_key() {
        // Numbers of this implementation; changing them moves all keys of all users.
        assert_eq!(hash_key("tenant-7"), 7_968_617_776_081_838_766);
        assert_eq!(hash_key(&7_u64), 14_891_274_947_744_195_571);
        assert_eq!(hash_key(&("a", 1_u16)), 15_902_603_197_799_030_068);
    }

    #[test]
    fn parts_of_a_key_do_not_run_into_each_other() {
        assert_ne!(hash_key(&("ab", "c")), hash_key(&("a", "bc")));
        assert_ne!(hash_key(&[0_u8; 7][..]), hash_key(&[0_u8; 8][..]));
        assert_ne!(hash_key(""), hash_key("\0"));
    }

    #[test]
    fn near_keys_spread_evenly() {
        let mut buckets = [0_u32; 64];
        for key in 0..64_000_u64 {
            buckets[below((hash_key(&key) >> 32) as u32, 64)] += 1;
        }
        // Five standard deviations around 1 000.
        assert!(buckets.iter().all(|count| (842..1_158).contains(count)), "{buckets:?}");
        assert!((0.0..1.0).contains(&unit(u64::MAX)) && unit(0) > 0.0);
    }
}
