//! One of something for each node.

use std::fmt;
use std::sync::OnceLock;

/// Values by node, made when first asked for. A look-up is one load: no lock, no count.
pub struct PerNode<T> {
    slots: Box<[OnceLock<Box<T>>]>,
}

impl<T> PerNode<T> {
    /// None yet. Takes 16 KiB.
    #[must_use]
    pub fn new() -> Self {
        Self { slots: (0..MOST_NODES).map(|_| OnceLock::new()).collect() }
    }

    /// The one of `node`, made if there is none. The node numbers from 1 023 on share one.
    pub fn get(&self, node: u32, make: impl FnOnce(u32) -> T) -> &T {
        let index = node.min(MOST_NODES - 1);
        self.slots[index as usize].get_or_init(|| Box::new(make(index)))
    }

    /// Those that were made.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(OnceLock::get).map(|made| &**made)
    }
}

impl<T> Default for PerNode<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for PerNode<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

const MOST_NODES: u32 = 1_024;
