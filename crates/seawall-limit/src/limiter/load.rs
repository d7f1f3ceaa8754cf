//! How full a table is, for its owner.

/// How full a limiter's table is.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct TableLoad {
    /// Keys that are short of their full quota and have a slot of their own.
    pub live: usize,
    /// All slots: about 1.5 x `max_keys`.
    pub slots: usize,
    /// How likely it is, from 0 to 1, that a new key which finds no slot is
    /// judged more strictly than it should be: that others have charged all
    /// four cells of the overflow sketch that are its own.
    pub collision: f64,
}
