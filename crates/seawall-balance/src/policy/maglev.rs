//! Maglev's table (Eisenbud et al., NSDI 2016, §3.4), weighted as Envoy does it.
//!
//! Each node walks the table in an order of its own; the nodes take turns, each
//! with its next free slot. The table is that of the whole set: a node that is
//! out for a while keeps its slots, and only their keys go elsewhere.

use super::rendezvous::highest;
use super::{Ask, Choose, Seat};
use crate::hash::{mix, random};

#[derive(Debug)]
pub(crate) struct Maglev {
    /// Indices of nodes; empty when no node has weight.
    table: Box<[u32]>,
}

impl Maglev {
    /// `slots` is a prime: every walk sees every slot.
    pub(crate) fn new(seats: &[Seat], slots: u32) -> Self {
        let slots = u64::from(slots);
        let mut walks: Vec<Walk> = (0..)
            .zip(seats)
            .filter(|(_, seat)| seat.weight > 0)
            .map(|(index, seat)| Walk::new(index, *seat, slots))
            .collect();
        // The same table in whatever order the set was given.
        walks.sort_by_key(|walk| walk.hash);
        let most = walks.iter().map(|walk| walk.weight).max().unwrap_or(0);
        let mut table = vec![FREE; if walks.is_empty() { 0 } else { slots as usize }];
        let mut left = table.len();
        let mut round = 0_u64;
        while left > 0 {
            round += 1;
            for walk in &mut walks {
                // A node of a tenth of the greatest weight has a turn each tenth round.
                if left == 0 || (round - 1) * walk.weight < walk.taken * most {
                    continue;
                }
                walk.taken += 1;
                while table[walk.at as usize] != FREE {
                    walk.at = (walk.at + walk.skip) % slots;
                }
                table[walk.at as usize] = walk.index;
                left -= 1;
            }
        }
        Self { table: table.into() }
    }

    #[inline]
    fn at(&self, hash: u64) -> usize {
        self.table[(hash % self.table.len() as u64) as usize] as usize
    }
}

impl Choose for Maglev {
    #[inline]
    fn choose<N>(&self, ask: &Ask<'_, N>) -> Option<usize> {
        if self.table.is_empty() {
            return None;
        }
        let key = ask.key();
        let will_do =
            |index: &usize| ask.is_open(*index) && ask.fits(*index) && ask.takes(*index, key);
        let own = self.at(key);
        if will_do(&own) {
            return Some(own);
        }
        // The keys of a node that is out spread over all others, each to the same
        // one every time.
        (1..=PROBES).map(|probe| self.at(random(key, probe))).find(will_do).or_else(|| {
            let fitting = || ask.view.open.iter().map(|i| *i as usize).filter(|i| ask.fits(*i));
            highest(ask, key, fitting().filter(|index| ask.takes(*index, key)))
                .or_else(|| highest(ask, key, fitting()))
        })
    }
}

struct Walk {
    hash: u64,
    index: u32,
    weight: u64,
    at: u64,
    skip: u64,
    taken: u64,
}

impl Walk {
    fn new(index: u32, seat: Seat, slots: u64) -> Self {
        Self {
            hash: seat.hash,
            index,
            weight: u64::from(seat.weight),
            at: seat.hash % slots,
            skip: mix(!seat.hash) % (slots - 1) + 1,
            taken: 0,
        }
    }
}

const FREE: u32 = u32::MAX;
const PROBES: u64 = 8;
