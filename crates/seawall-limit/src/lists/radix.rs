//! Sorted numbers, each with what holds from it on.
//!
//! A table by leading bits in front of leaves of one cache line or two. A slot of the table leads to the
//! leaf that has the few numbers in its range, which neighbours share while there is room; a slot
//! with more of them leads to a table of its own, fitted to where they are. So a look-up of random
//! numbers reads a slot and a leaf, and has no branch to mispredict, so that look-ups that follow
//! each other overlap; numbers that crowd cost one more slot for each table on the way. IPv4
//! addresses are kept by their lower halves alone, as a leaf never reaches past a /16.
//! After Zec, Rizzo and Mikuc, "DXR: towards a billion routing lookups per second in software"
//! (2012), with tables that nest in place of one long run to search.

/// A number, and the part of it that leaves keep.
pub(crate) trait Number: Copy + Ord {
    /// Told apart within one page, the numbers that agree in all bits above.
    type Low: Copy + Ord;
    const LOW_BITS: u32;
    /// The greatest.
    const MOST: Self::Low;
    const BITS: u32;
    /// Slots for as many numbers as a leaf has room for; more, the more they cluster.
    const SLOTS: usize;
    fn low(self) -> Self::Low;
    fn wide(self) -> u128;
    /// Of the bits of a wide one.
    fn narrow(wide: u128) -> Self;
    /// Which slot of a table that begins at `base` it is in: 0 is below it.
    fn slot(self, base: Self, shift: u32) -> usize;
}

macro_rules! number {
    ($number:ty, $low:ty, $slots:literal) => {
        impl Number for $number {
            type Low = $low;
            const LOW_BITS: u32 = <$low>::BITS;
            const MOST: $low = <$low>::MAX;
            const BITS: u32 = Self::BITS;
            const SLOTS: usize = $slots;

            #[inline]
            fn low(self) -> $low {
                self as $low
            }

            fn wide(self) -> u128 {
                self.into()
            }

            fn narrow(wide: u128) -> Self {
                wide as Self
            }

            #[inline]
            fn slot(self, base: Self, shift: u32) -> usize {
                match self.checked_sub(base) {
                    Some(past) => {
                        usize::try_from(past >> shift).unwrap_or(usize::MAX).saturating_add(1)
                    }
                    None => 0,
                }
            }
        }
    };
}

number!(u32, u16, 3);
number!(u64, u64, 3);
// Hosts, each of which is two numbers.
number!(u128, u128, 6);

/// Numbers in ascending order, up to `N` in a leaf; `M` is one more.
pub(crate) struct Radix<K: Number, V, const N: usize, const M: usize> {
    /// Where a look-up begins: a leaf, or a table if the highest bit is set.
    root: u32,
    tables: Vec<Table<K>>,
    /// Those of all tables.
    slots: Vec<u32>,
    leaves: Vec<Leaf<K::Low, V, N, M>>,
}

/// Slot 0 is for what is below it, the last one for what is above.
#[derive(Clone, Copy)]
struct Table<K> {
    base: K,
    shift: u32,
    first: usize,
    last: usize,
}

/// `values[n]` holds for what `n` of the numbers are not above.
#[repr(align(64))]
struct Leaf<L, V, const N: usize, const M: usize> {
    numbers: [L; N],
    values: [V; M],
}

impl<K, V, const N: usize, const M: usize> Radix<K, V, N, M>
where
    K: Number,
    V: Copy + Default + PartialEq,
{
    /// `sorted` begins with the least number that is ever looked up.
    pub(crate) fn new(sorted: &[(K, V)]) -> Self {
        let radix = Self { root: 0, tables: Vec::new(), slots: Vec::new(), leaves: Vec::new() };
        let mut building = Building { radix, uniform: Vec::new() };
        let (before, starts) = sorted
            .split_first()
            .map_or((V::default(), sorted), |((_, value), rest)| (*value, rest));
        building.radix.root = building.entry(K::LOW_BITS == K::BITS, before, starts);
        let mut radix = building.radix;
        radix.tables.shrink_to_fit();
        radix.slots.shrink_to_fit();
        radix.leaves.shrink_to_fit();
        radix
    }

    /// The value of the last number that is not above `wanted`.
    #[inline]
    pub(crate) fn get(&self, wanted: K) -> V {
        let mut entry = self.root;
        while entry & TABLE != 0 {
            let Some(table) = self.tables.get((entry ^ TABLE) as usize) else { break };
            let slot = wanted.slot(table.base, table.shift).min(table.last);
            let Some(next) = self.slots.get(table.first + slot) else { break };
            entry = *next;
        }
        let Some(leaf) = self.leaves.get(entry as usize) else { return V::default() };
        let low = wanted.low();
        let below: u8 = leaf.numbers.iter().map(|number| u8::from(*number <= low)).sum();
        leaf.values[usize::from(below)]
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.tables) + size_of_val(&*self.slots) + size_of_val(&*self.leaves)
    }
}

struct Building<K: Number, V, const N: usize, const M: usize> {
    radix: Radix<K, V, N, M>,
    /// Leaves without a number, by their value. The last place is for the latest one.
    uniform: Vec<(V, u32)>,
}

/// A leaf that slots which follow may share.
struct Open {
    page: u128,
    entry: u32,
    used: usize,
}

impl<K, V, const N: usize, const M: usize> Building<K, V, N, M>
where
    K: Number,
    V: Copy + Default + PartialEq,
{
    /// What leads to `starts`, where `before` holds below them; `one_page` says that nothing else
    /// comes there.
    fn entry(&mut self, one_page: bool, before: V, starts: &[(K, V)]) -> u32 {
        match (starts.first(), starts.last()) {
            (Some((least, _)), Some((most, last))) if !one_page || starts.len() > N => {
                self.table(before, starts, least.wide(), most.wide(), *last)
            }
            (Some(_), _) => {
                let entry = self.leaf(before);
                self.fill(entry, 0, starts);
                entry
            }
            (None, _) => self.uniform(before),
        }
    }

    fn table(&mut self, before: V, starts: &[(K, V)], least: u128, most: u128, last: V) -> u32 {
        let shift = shift::<K>(starts.len(), N, least, most);
        let base = least >> shift << shift;
        let slot_of = |number: u128| ((number - base) >> shift) as usize;
        let count = slot_of(most) + 1;
        let first = self.radix.slots.len();
        self.radix.slots.resize(first + count + 2, 0);
        let entry = TABLE | self.radix.tables.len() as u32;
        let table = Table { base: K::narrow(base), shift, first, last: count + 1 };
        self.radix.tables.push(table);
        self.radix.slots[first] = self.uniform(before);
        self.radix.slots[first + count + 1] = self.uniform(last);
        let (mut rest, mut value, mut open) = (starts, before, None::<Open>);
        for slot in 0..count {
            let own;
            (own, rest) = rest.split_at(rest.partition_point(|(it, _)| slot_of(it.wide()) == slot));
            let page = (base + ((slot as u128) << shift)).checked_shr(K::LOW_BITS).unwrap_or(0);
            self.radix.slots[first + 1 + slot] = match &mut open {
                Some(leaf) if leaf.page == page && leaf.used + own.len() <= N => {
                    self.fill(leaf.entry, leaf.used, own);
                    leaf.used += own.len();
                    leaf.entry
                }
                _ if own.is_empty() => self.uniform(value),
                _ if shift <= K::LOW_BITS && own.len() <= N => {
                    let entry = self.entry(true, value, own);
                    open = Some(Open { page, entry, used: own.len() });
                    entry
                }
                _ => {
                    open = None;
                    self.entry(shift <= K::LOW_BITS, value, own)
                }
            };
            value = own.last().map_or(value, |(_, value)| *value);
        }
        entry
    }

    /// A new one, without numbers.
    fn leaf(&mut self, value: V) -> u32 {
        self.radix.leaves.push(Leaf { numbers: [K::MOST; N], values: [value; M] });
        self.radix.leaves.len() as u32 - 1
    }

    fn uniform(&mut self, value: V) -> u32 {
        if let Some((_, entry)) = self.uniform.iter().rev().find(|(known, _)| *known == value) {
            return *entry;
        }
        let entry = self.leaf(value);
        // Of more values than that, some are there twice; but slots that follow each other share.
        self.uniform.truncate(MOST_UNIFORM - 1);
        self.uniform.push((value, entry));
        entry
    }

    /// Adds numbers to a leaf that has `used` of them.
    fn fill(&mut self, entry: u32, used: usize, starts: &[(K, V)]) {
        let Some(leaf) = self.radix.leaves.get_mut(entry as usize) else { return };
        for (place, (number, value)) in (used..).zip(starts) {
            leaf.numbers[place] = number.low();
            // Also what the greatest number finds, which is not above what fills the leaf up.
            leaf.values[place + 1..].fill(*value);
        }
    }
}

/// How wide the slots of a table of so many numbers are, as a power of two.
fn shift<K: Number>(count: usize, to_a_leaf: usize, least: u128, most: u128) -> u32 {
    let same_page = least.checked_shr(K::LOW_BITS) == most.checked_shr(K::LOW_BITS);
    if K::LOW_BITS < K::BITS && same_page && count <= to_a_leaf {
        return K::LOW_BITS;
    }
    // The power of two below, so that the table stays in a near cache. Two slots at least, so that
    // the first number and the last one part.
    let slots = (count * K::SLOTS / to_a_leaf).max(2);
    let apart = most - least;
    let shift = (u128::BITS - apart.leading_zeros()).saturating_sub(slots.ilog2());
    // A slot of more than a page has to lead to a table, save if it is empty.
    let pages = apart.checked_shr(K::LOW_BITS).unwrap_or(0);
    if pages <= count as u128 * MOST_PAGES { shift.min(K::LOW_BITS) } else { shift }
}

const TABLE: u32 = 1 << 31;
const MOST_UNIFORM: usize = 256;
/// For each number, empty ones included.
const MOST_PAGES: u128 = 8;

#[cfg(test)]
mod tests;
