//! Sorted numbers, each with what holds from it on.
//!
//! A static B+ tree without pointers: each level holds the first number of
//! every block of the level below, and the child of entry `n` is block `n`. A
//! look-up reads one block a level and has hardly a branch to mispredict, so
//! look-ups that follow each other overlap. Leaves hold their values too and
//! are one or two cache lines, which is all that a large tree has out of cache;
//! for that the levels above hold only the upper halves of IPv6 addresses.
//! After Khuong and Morin, "Array layouts for comparison-based searching"
//! (2017), section on B-trees.

/// A number, and the part of it that the upper levels compare.
pub(crate) trait Number: Copy + Ord {
    type Upper: Copy + Ord;
    const MOST: Self;
    fn upper(self) -> Self::Upper;
}

impl Number for u32 {
    type Upper = Self;
    const MOST: Self = Self::MAX;
    fn upper(self) -> Self {
        self
    }
}

impl Number for u64 {
    type Upper = Self;
    const MOST: Self = Self::MAX;
    fn upper(self) -> Self {
        self
    }
}

impl Number for u128 {
    type Upper = u64;
    const MOST: Self = Self::MAX;
    fn upper(self) -> u64 {
        (self >> 64) as u64
    }
}

/// Numbers in ascending order, `L` to a leaf and `B` to a block above.
pub(crate) struct Tree<K: Number, V, const L: usize, const B: usize> {
    /// From the root, one block, down to the last level above the leaves.
    levels: Vec<Box<[Block<K::Upper, B>]>>,
    leaves: Box<[Leaf<K, V, L>]>,
}

#[repr(align(64))]
struct Block<U, const B: usize>([U; B]);

#[repr(align(64))]
struct Leaf<K, V, const L: usize> {
    keys: [K; L],
    values: [V; L],
}

impl<K: Number, V: Copy + Default, const L: usize, const B: usize> Tree<K, V, L, B> {
    /// `sorted` begins with the least number that is ever looked up.
    pub(crate) fn new(sorted: &[(K, V)]) -> Self {
        let leaves: Box<[_]> = sorted.chunks(L).map(leaf::<K, V, L>).collect();
        let mut firsts: Vec<_> = leaves.iter().map(|leaf| leaf.keys[0].upper()).collect();
        let mut levels = Vec::new();
        while firsts.len() > 1 {
            let level: Box<[Block<_, B>]> =
                firsts.chunks(B).map(|chunk| block(chunk, K::MOST.upper())).collect();
            firsts = level.iter().map(|block| block.0[0]).collect();
            levels.push(level);
        }
        levels.reverse();
        Self { levels, leaves }
    }

    /// The value of the last number that is not above `wanted`.
    #[inline]
    pub(crate) fn get(&self, wanted: K) -> V {
        let upper = wanted.upper();
        let mut at = 0_usize;
        for level in &self.levels {
            // What fills a block up leads past the end: the last block is meant.
            at = at.min(level.len().saturating_sub(1));
            let Some(block) = level.get(at) else { break };
            at = at * B + last_up_to(&block.0, upper);
        }
        at = at.min(self.leaves.len().saturating_sub(1));
        let Some(mut leaf) = self.leaves.get(at) else { return V::default() };
        if leaf.keys[0] > wanted {
            leaf = self.back(at, wanted).unwrap_or(leaf);
        }
        leaf.values[last_up_to(&leaf.keys, wanted)]
    }

    /// The upper halves of several leaves are equal: it is one of those before.
    #[cold]
    fn back(&self, at: usize, wanted: K) -> Option<&Leaf<K, V, L>> {
        let before = self.leaves.get(at.checked_sub(1)?)?;
        if before.keys[0] <= wanted {
            return Some(before);
        }
        let after = self.leaves.get(..at)?.partition_point(|leaf| leaf.keys[0] <= wanted);
        self.leaves.get(after.checked_sub(1)?)
    }

    pub(crate) fn bytes(&self) -> usize {
        let above: usize = self.levels.iter().map(|level| size_of_val::<[_]>(level)).sum();
        above + size_of_val::<[_]>(&self.leaves)
    }
}

/// The place of the last number that is not above `wanted`; 0 if all are.
#[inline]
fn last_up_to<T: Copy + Ord, const N: usize>(numbers: &[T; N], wanted: T) -> usize {
    let found: usize = numbers.iter().map(|number| usize::from(*number <= wanted)).sum();
    found.saturating_sub(1)
}

fn leaf<K: Number, V: Copy + Default, const L: usize>(chunk: &[(K, V)]) -> Leaf<K, V, L> {
    // What fills the leaf up is found when the greatest number is looked up.
    let last = chunk.last().map_or_else(V::default, |(_, value)| *value);
    let mut leaf = Leaf { keys: [K::MOST; L], values: [last; L] };
    for ((key, value), (number, said)) in leaf.keys.iter_mut().zip(&mut leaf.values).zip(chunk) {
        (*key, *value) = (*number, *said);
    }
    leaf
}

fn block<U: Copy, const B: usize>(chunk: &[U], most: U) -> Block<U, B> {
    let mut block = [most; B];
    for (place, number) in block.iter_mut().zip(chunk) {
        *place = *number;
    }
    Block(block)
}

#[cfg(test)]
mod tests;
