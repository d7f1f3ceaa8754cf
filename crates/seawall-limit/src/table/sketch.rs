//! Where keys are charged that find no slot: a count-min sketch of TATs.
//!
//! Each key has one cell in each of four rows; its TAT is taken to be the least
//! of the four, and a charge raises each of them to the new TAT at least
//! (a conservative update). By induction each cell of a key is at or above the
//! TAT that the key would have alone: the sketch charges too much where all four
//! cells were charged by others, and never too little.
//!
//! Source: Cormode and Muthukrishnan, "An improved data stream summary: the
//! count-min sketch and its applications" (2005), with TATs in place of counts,
//! so that cells empty themselves.

use super::KeyHash;

pub(super) struct Sketch {
    cells: Box<[u64]>,
    /// Cells a row; a power of two.
    width: usize,
    policies: usize,
    /// The latest TAT of all: while that has passed, the sketch is empty.
    until: u64,
}

impl Sketch {
    /// A quarter as many cells as slots.
    pub(super) fn new(slots: usize, policies: usize) -> Self {
        let width = (slots / (4 * ROWS)).next_power_of_two().max(MIN_WIDTH);
        let cells = vec![0; ROWS * width * policies].into_boxed_slice();
        Self { cells, width, policies, until: 0 }
    }

    /// Writes the key's TATs; tells whether there is any ahead of now.
    #[inline]
    pub(super) fn load(
        &mut self,
        key: KeyHash,
        now: u64,
        ceilings: &[u64],
        tats: &mut [u64],
    ) -> bool {
        self.until > now && self.least(key, now, ceilings, tats)
    }

    /// Charges: no cell of the key is below these afterwards.
    pub(super) fn raise(&mut self, key: KeyHash, tats: &[u64]) {
        for row in 0..ROWS {
            let cell = self.cell(row, key);
            for (stored, tat) in self.cells[cell..cell + self.policies].iter_mut().zip(tats) {
                *stored = (*stored).max(*tat);
                self.until = self.until.max(*tat);
            }
        }
    }

    /// The chance that a key which was never here finds all its cells charged
    /// for at least one policy.
    pub(super) fn collision(&self, now: u64) -> f64 {
        if self.until <= now {
            return 0.0;
        }
        let cells = self.cells.chunks_exact(self.width * self.policies);
        let busy = |row: &[u64]| {
            let busy = row.chunks_exact(self.policies).filter(|it| it.iter().any(|tat| *tat > now));
            busy.count() as f64 / self.width as f64
        };
        cells.map(busy).product()
    }

    fn least(&mut self, key: KeyHash, now: u64, ceilings: &[u64], tats: &mut [u64]) -> bool {
        let mut first = true;
        for row in 0..ROWS {
            let cell = self.cell(row, key);
            let stored = &mut self.cells[cell..cell + self.policies];
            for ((stored, tat), ceiling) in stored.iter_mut().zip(&mut *tats).zip(ceilings) {
                // After a clock was set back, a cell is brought near, to drain from here on.
                *stored = (*stored).min(now.saturating_add(*ceiling));
                *tat = if first { *stored } else { (*stored).min(*tat) };
            }
            first = false;
        }
        tats.iter().any(|tat| *tat > now)
    }

    fn cell(&self, row: usize, key: KeyHash) -> usize {
        // Not the bits that picked the shard and the buckets.
        let hash = key.tag.rotate_left(16 * row as u32).wrapping_mul(SPREAD) >> 32;
        (row * self.width + (hash as usize & (self.width - 1))) * self.policies
    }
}

const ROWS: usize = 4;
const MIN_WIDTH: usize = 8;
/// An odd number of random bits (of the square root of 3).
const SPREAD: u64 = 0xbb67_ae85_84ca_a73b;
