//! Networks and what is said of them; the longest prefix wins.

use std::fmt;
use std::net::IpAddr;

use super::radix::Radix;
use crate::client::{Network, v4_within};

/// What is said of an address by the narrowest network that has it.
///
/// Made once, never changed: to change it, make another. Nested networks are
/// flattened into ranges when it is made, so that a look-up reads a table by
/// leading bits and one cache line of ranges, however they nest; where ranges
/// crowd, tables nest; and it does so twice in a network of /64 that has longer
/// prefixes. It takes no lock and allocates nothing.
///
/// ```
/// use seawall_limit::PrefixTable;
///
/// let table: PrefixTable<&str> =
///     [("10.0.0.0/8".parse()?, "site"), ("10.1.0.0/16".parse()?, "lab")].into_iter().collect();
/// assert_eq!(table.get("10.1.2.3".parse()?), Some("lab"));
/// assert_eq!(table.get("10.2.0.1".parse()?), Some("site"));
/// assert_eq!(table.get("11.0.0.1".parse()?), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PrefixTable<V> {
    // For values of a byte, leaves of one cache line; of hosts, of two that come together.
    v4: Radix<u32, Option<V>, 20, 21>,
    /// By the upper half of the address, which is all that most prefixes have.
    v6: Radix<u64, Said<V>, 7, 8>,
    /// Whole addresses, of the networks of /64 within which something changes.
    hosts: Radix<u128, Option<V>, 7, 8>,
    len: usize,
}

impl<V: Copy + PartialEq> PrefixTable<V> {
    /// A table of these networks. Of two that are equal, the later counts.
    ///
    /// They are sorted, which for a million takes too long for a thread that
    /// serves requests.
    pub fn new(entries: impl IntoIterator<Item = (Network, V)>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (network, value) in entries {
            match network.first() {
                IpAddr::V4(first) => {
                    v4.push(Range::new(first.to_bits().into(), 32, network.prefix(), value));
                }
                IpAddr::V6(first) => {
                    v6.push(Range::new(first.to_bits(), 128, network.prefix(), value));
                }
            }
        }
        let len = v4.len() + v6.len();
        // No start is above the last address.
        let v4: Vec<_> = flatten(v4, u32::MAX.into())
            .into_iter()
            .map(|(start, value)| (start as u32, value))
            .collect();
        let (v6, hosts) = split(&flatten(v6, u128::MAX));
        Self { v4: Radix::new(&v4), v6: Radix::new(&v6), hosts: Radix::new(&hosts), len }
    }

    /// What is said of an address. IPv4 in IPv6 form is IPv4.
    #[must_use]
    #[inline]
    pub fn get(&self, address: IpAddr) -> Option<V> {
        match address {
            IpAddr::V4(v4) => self.v4.get(v4.to_bits()),
            IpAddr::V6(v6) => self.get_v6(v6.to_bits()),
        }
    }

    /// Takes the bits and not the address: they stay in registers, and look-ups that follow each other
    /// overlap, where an address of 17 bytes that went through memory was measured to hold them up.
    fn get_v6(&self, bits: u128) -> Option<V> {
        if let Some(v4) = v4_within(bits) {
            return self.v4.get(v4.to_bits());
        }
        match self.v6.get((bits >> 64) as u64) {
            Said::Here(value) => value,
            Said::ByHost => self.hosts.get(bits),
        }
    }

    /// How many networks it was made of.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it says nothing of any address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The memory that it holds, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.v4.bytes() + self.v6.bytes() + self.hosts.bytes()
    }
}

impl<V: Copy + PartialEq> FromIterator<(Network, V)> for PrefixTable<V> {
    fn from_iter<I: IntoIterator<Item = (Network, V)>>(entries: I) -> Self {
        Self::new(entries)
    }
}

impl<V> fmt::Debug for PrefixTable<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrefixTable").field("len", &self.len).finish_non_exhaustive()
    }
}

/// What is said of a network of /64.
#[derive(Clone, Copy, PartialEq)]
enum Said<V> {
    /// The same of all its addresses.
    Here(Option<V>),
    ByHost,
}

impl<V> Default for Said<V> {
    fn default() -> Self {
        Self::Here(None)
    }
}

struct Range<V> {
    first: u128,
    last: u128,
    value: V,
}

impl<V> Range<V> {
    fn new(first: u128, width: u32, prefix: u8, value: V) -> Self {
        let free = width - u32::from(prefix).min(width);
        let span = u128::MAX.checked_shr(128 - free).unwrap_or(0);
        Self { first, last: first | span, value }
    }
}

/// Where what is said changes, from address 0 on, and what is said from there.
/// Two networks are nested or apart, so those around a place make up a stack.
fn flatten<V: Copy + PartialEq>(mut ranges: Vec<Range<V>>, most: u128) -> Vec<(u128, Option<V>)> {
    // Stable: of equal ones, the later lies on top.
    ranges.sort_by(|a, b| a.first.cmp(&b.first).then(b.last.cmp(&a.last)));
    let mut starts = Starts { most, list: vec![(0, None)] };
    let mut around: Vec<Range<V>> = Vec::new();
    for range in ranges {
        close(&mut around, &mut starts, Some(range.first));
        starts.push(range.first, Some(range.value));
        around.push(range);
    }
    close(&mut around, &mut starts, None);
    starts.list
}

type Uppers<V> = Vec<(u64, Said<V>)>;
type Hosts<V> = Vec<(u128, Option<V>)>;

/// Takes the networks of /64 within which something changes apart from the rest.
fn split<V: Copy + PartialEq>(starts: &[(u128, Option<V>)]) -> (Uppers<V>, Hosts<V>) {
    let (mut uppers, mut hosts) = (Uppers::new(), vec![(0, None)]);
    let mut before = None;
    for network in starts.chunk_by(|a, b| a.0 >> 64 == b.0 >> 64) {
        let (Some((first, value)), Some((last, after))) = (network.first(), network.last()) else {
            continue;
        };
        let upper = (first >> 64) as u64;
        // Where the one before ended, unless this is just there.
        uppers.pop_if(|(at, _)| *at == upper);
        if *last as u64 == 0 {
            uppers.push((upper, Said::Here(*value)));
        } else {
            let holds = hosts.last().and_then(|(_, value)| *value);
            if *first as u64 != 0 && holds != before {
                hosts.push((u128::from(upper) << 64, before));
            }
            hosts.extend_from_slice(network);
            uppers.push((upper, Said::ByHost));
            if let Some(next) = upper.checked_add(1) {
                uppers.push((next, Said::Here(*after)));
            }
        }
        before = *after;
    }
    (uppers, hosts)
}

/// Ends the networks that end before `next`, or all.
fn close<V: Copy + PartialEq>(
    around: &mut Vec<Range<V>>,
    starts: &mut Starts<V>,
    next: Option<u128>,
) {
    while let Some(range) = around.pop_if(|range| next.is_none_or(|next| range.last < next)) {
        // Past the last address nothing is said.
        if range.last < starts.most {
            starts.push(range.last + 1, around.last().map(|outer| outer.value));
        }
    }
}

struct Starts<V> {
    most: u128,
    list: Vec<(u128, Option<V>)>,
}

impl<V: PartialEq> Starts<V> {
    fn push(&mut self, at: u128, value: Option<V>) {
        self.list.pop_if(|(last, _)| *last == at);
        if self.list.last().is_none_or(|(_, before)| *before != value) {
            self.list.push((at, value));
        }
    }
}

#[cfg(test)]
mod tests;
