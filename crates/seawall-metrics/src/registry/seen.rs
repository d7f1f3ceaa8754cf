//! Which keys came before: a Bloom filter of 8 KiB, made for the first of them.
//! It may say yes of a key that is new (one in twenty at most), and forgets all
//! after so many.

/// Two bits a hash.
pub(super) struct Seen {
    bits: Option<Box<[u64; WORDS]>>,
    marked: usize,
}

impl Seen {
    pub(super) const fn new() -> Self {
        Self { bits: None, marked: 0 }
    }

    /// True if it was asked about this hash before; it was from now on.
    pub(super) fn before(&mut self, hash: u64) -> bool {
        let bits = self.bits.get_or_insert_with(|| Box::new([0; WORDS]));
        let places = [hash, hash >> 32].map(|part| (part as usize / 64 % WORDS, 1 << (part % 64)));
        if places.iter().all(|(at, bit)| bits.get(*at).is_some_and(|word| word & bit != 0)) {
            return true;
        }
        if self.marked >= MOST {
            self.marked = 0;
            bits.fill(0);
        }
        self.marked += 1;
        for (at, bit) in places {
            if let Some(word) = bits.get_mut(at) {
                *word |= bit;
            }
        }
        false
    }
}

const WORDS: usize = 1024;
const MOST: usize = 8192;

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    #[test]
    fn what_came_before_is_known_and_of_the_new_few_are_taken_for_old() {
        let (mut seen, hasher) = (Seen::new(), RandomState::new());
        let mut wrong = 0;
        for n in 0..100_000 {
            wrong += usize::from(seen.before(hasher.hash_one(n)));
            assert!(seen.before(hasher.hash_one(n)), "{n}");
        }
        assert!(wrong < 5_000, "{wrong}");
    }
}
