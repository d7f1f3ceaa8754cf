//! Sorted numbers, each with what holds from it on.
//!
//! A table by leading bits in front of leaves of one cache line or two. A slot of the table leads to the
//! leaf that has the few numbers in its range, which neighbours share while there is room; a slot
//! with more of them leads to a table of its own, fitted to where they are. So a look-up of random
//! numbers reads a slot and a leaf, and has no branch to mispredict, so that look-ups that follow
//! each other overlap; numbers that crowd cost one more slot for each table on the way. IPv4
//! addresses are kept by their lower halves alone, as a leaf never reaches past a /16; of the upper
//! halves of IPv6 addresses the bits past a /16 are, together with how far what begins there goes:
//! so a network that lies alone is one number, and its end none.
//! After Zec, Rizzo and Mikuc, "DXR: towards a billion routing lookups per second in software"
//! (2012), with tables that nest in place of one long run to search.

mod number;

pub(crate) use number::Number;

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

/// From where a value holds: as far as the next start, or for `2^span` numbers, which are all that agree
/// with it in the bits above, and after which nothing is said (the default) until the next.
#[derive(Clone, Copy)]
struct Start<K, V> {
    at: K,
    span: u8,
    value: V,
}

impl<K: Number, V> Start<K, V> {
    /// The last number that this start tells of; its own if that is up to the next.
    fn last(&self) -> u128 {
        let past = if self.span == ENDLESS { 0 } else { (1 << self.span) - 1 };
        self.at.wide() + past
    }
}

/// `values[n]` holds for what `n` of the numbers are not above, as far as the last of them goes.
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
        let (before, rest) = sorted
            .split_first()
            .map_or((V::default(), sorted), |((_, value), rest)| (*value, rest));
        let starts = starts(rest);
        building.radix.root = building.entry(K::LOW_BITS == K::BITS, before, &starts);
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
        let value = leaf.values[usize::from(below)];
        let mark = leaf.numbers[usize::from(below.saturating_sub(1))];
        if (below == 0) | K::spans(mark, low) { value } else { V::default() }
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
    fn entry(&mut self, one_page: bool, before: V, starts: &[Start<K, V>]) -> u32 {
        match (starts.first(), starts.last()) {
            (Some(first), Some(last)) if !one_page || starts.len() > N => {
                let after = if last.span == ENDLESS { last.value } else { V::default() };
                self.table(before, starts, first.at.wide(), last.last(), after)
            }
            (Some(_), _) => {
                let entry = self.leaf(before);
                self.fill(entry, 0, starts);
                entry
            }
            (None, _) => self.uniform(before),
        }
    }

    /// Of starts that tell of numbers from `least` to `most`; `after` is what holds above.
    fn table(
        &mut self,
        before: V,
        starts: &[Start<K, V>],
        least: u128,
        most: u128,
        after: V,
    ) -> u32 {
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
        self.radix.slots[first + count + 1] = self.uniform(after);
        let (mut rest, mut value, mut open) = (starts, before, None::<Open>);
        // The last number that the value holds for. Spans and slots are nested or apart, so a slot
        // is not where one ends, unless it began there too.
        let mut last = u128::MAX;
        for slot in 0..count {
            let own;
            (own, rest) = rest.split_at(rest.partition_point(|it| slot_of(it.at.wide()) == slot));
            let from = base + ((slot as u128) << shift);
            if last < from {
                value = V::default();
            }
            let page = from.checked_shr(K::LOW_BITS).unwrap_or(0);
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
            if let Some(start) = own.last() {
                value = start.value;
                last = if start.span == ENDLESS { u128::MAX } else { start.last() };
            }
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
    fn fill(&mut self, entry: u32, used: usize, starts: &[Start<K, V>]) {
        let Some(leaf) = self.radix.leaves.get_mut(entry as usize) else { return };
        for (place, start) in (used..).zip(starts) {
            // Filled up with the last, so that it does not matter how many of these are counted.
            leaf.numbers[place..].fill(start.at.mark(start.span));
            leaf.values[place + 1..].fill(start.value);
        }
    }
}

/// Of two starts of which the second only ends the first, makes one with a span, where that fits into a page.
fn starts<K: Number, V: Copy + Default + PartialEq>(sorted: &[(K, V)]) -> Vec<Start<K, V>> {
    let mut starts = Vec::with_capacity(sorted.len());
    let mut rest = sorted.iter().copied().peekable();
    while let Some((at, value)) = rest.next() {
        let ends = rest.next_if(|(next, after)| {
            let (at, next) = (at.wide(), next.wide());
            let count = next.saturating_sub(at);
            let fits = count.is_power_of_two() && count.trailing_zeros() <= K::LOW_BITS;
            K::SPANS && *after == V::default() && fits && at & (count - 1) == 0
        });
        let span =
            ends.map_or(ENDLESS, |(next, _)| (next.wide() - at.wide()).trailing_zeros() as u8);
        starts.push(Start { at, span, value });
    }
    starts.shrink_to_fit();
    starts
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
/// No span: up to the next start.
const ENDLESS: u8 = 63;
const MOST_UNIFORM: usize = 256;
/// For each number, empty ones included.
const MOST_PAGES: u128 = 8;

#[cfg(test)]
mod tests;
