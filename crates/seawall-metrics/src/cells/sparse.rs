//! Counts of the cells that are not zero, in cell order.

/// Ten bytes per cell in use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sparse {
    cells: Vec<u16>,
    counts: Vec<u64>,
}

impl Sparse {
    pub(crate) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, u64)> {
        self.cells.iter().zip(&self.counts).map(|(cell, count)| (usize::from(*cell), *count))
    }

    /// `cell` must lie above every cell so far and fit 16 bits (a layout has
    /// fewer than 3 000 cells). Zero counts are not kept.
    pub(crate) fn push(&mut self, cell: usize, count: u64) {
        if let (Ok(cell), 1..) = (u16::try_from(cell), count) {
            self.cells.push(cell);
            self.counts.push(count);
        }
    }

    /// Cell by cell `self - earlier`, where `earlier` is an older reading of
    /// the same cells.
    pub(crate) fn minus(&self, earlier: &Self) -> Self {
        let mut older = earlier.iter().peekable();
        let mut difference = Self::default();
        for (cell, count) in self.iter() {
            while older.next_if(|(at, _)| *at < cell).is_some() {}
            let before = older.next_if(|(at, _)| *at == cell).map_or(0, |(_, n)| n);
            difference.push(cell, count.wrapping_sub(before));
        }
        difference
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        let (mut left, mut right) = (self.iter().peekable(), other.iter().peekable());
        let mut sum = Self::default();
        loop {
            match (left.peek().copied(), right.peek().copied()) {
                (Some((a, m)), Some((b, n))) if a == b => {
                    sum.push(a, m.wrapping_add(n));
                    left.next();
                    right.next();
                }
                (Some((a, m)), Some((b, _))) if a < b => {
                    sum.push(a, m);
                    left.next();
                }
                (Some((a, m)), None) => {
                    sum.push(a, m);
                    left.next();
                }
                (_, Some((b, n))) => {
                    sum.push(b, n);
                    right.next();
                }
                (None, None) => return sum,
            }
        }
    }
}
