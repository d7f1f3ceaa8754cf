//! What can be a key.

use std::fmt::Write as _;
use std::hash::Hash;
use std::sync::Arc;

/// A cache key: hashed and compared as it is in L1, written as text in L2.
///
/// Implemented for the integers, `String`, `str`, `Box<str>`, `Arc<str>` and references to those.
/// For a key type of your own, write text that differs whenever the keys differ:
///
/// ```
/// use seawall_cache::CacheKey;
///
/// #[derive(Clone, PartialEq, Eq, Hash)]
/// struct Page { auction: u64, number: u32 }
///
/// impl CacheKey for Page {
///     fn write_key(&self, out: &mut String) {
///         self.auction.write_key(out);
///         out.push(':');
///         self.number.write_key(out);
///     }
/// }
/// # let mut out = String::new();
/// # Page { auction: 7, number: 2 }.write_key(&mut out);
/// # assert_eq!(out, "7:2");
/// ```
///
/// An L1 hit never calls [`write_key`](CacheKey::write_key).
pub trait CacheKey: Eq + Hash {
    /// Appends this key's text to `out`. Two keys that are not equal must append different text.
    fn write_key(&self, out: &mut String);
}

impl CacheKey for str {
    fn write_key(&self, out: &mut String) {
        out.push_str(self);
    }
}

impl CacheKey for String {
    fn write_key(&self, out: &mut String) {
        out.push_str(self);
    }
}

impl CacheKey for Box<str> {
    fn write_key(&self, out: &mut String) {
        out.push_str(self);
    }
}

impl CacheKey for Arc<str> {
    fn write_key(&self, out: &mut String) {
        out.push_str(self);
    }
}

impl<K: CacheKey + ?Sized> CacheKey for &K {
    fn write_key(&self, out: &mut String) {
        K::write_key(self, out);
    }
}

macro_rules! integer_keys {
    ($($integer:ty),*) => {$(
        impl CacheKey for $integer {
            fn write_key(&self, out: &mut String) {
                // Writing to a String does not fail.
                let _ = write!(out, "{self}");
            }
        }
    )*};
}

integer_keys!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize);
