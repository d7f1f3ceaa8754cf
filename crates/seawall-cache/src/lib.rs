//! A multi-layer read-through cache: L1 in memory on moka, L2 in Redis through fred, versioned fills.
