//! What can be a key.

mod tuple;

use std::fmt::Write as _;
use std::hash::Hash;
use std::sync::Arc;

/// A cache key: hashed and compared as it is in L1, written as text in L2.
///
/// Implemented for the integers, `String`, `str`, `Box<str>`, `Arc<str>`, references to those, and
/// for tuples of two or three keys. For a key type of your own, write text that differs whenever
/// the keys differ:
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
///
///     fn read_key(text: &str) -> Option<Self> {
///         let (auction, number) = text.split_once(':')?;
///         Some(Self { auction: u64::read_key(auction)?, number: u32::read_key(number)? })
///     }
/// }
/// # let mut out = String::new();
/// # Page { auction: 7, number: 2 }.write_key(&mut out);
/// # assert_eq!(out, "7:2");
/// # assert_eq!(Page::read_key("7:2").map(|page| (page.auction, page.number)), Some((7, 2)));
/// ```
///
/// An L1 hit never calls [`write_key`](CacheKey::write_key).
pub trait CacheKey: Eq + Hash {
    /// Appends this key's text to `out`. Two keys that are not equal must append different text.
    fn write_key(&self, out: &mut String);

    /// The key whose text this is: what [`write_key`](CacheKey::write_key) wrote, nothing else.
    ///
    /// Redis tells a node which texts have changed. With `None`, the default, the node cannot say
    /// which of its entries that is, and asks L2 for the version of each before it serves it again.
    #[must_use]
    fn read_key(text: &str) -> Option<Self>
    where
        Self: Sized,
    {
        let _ = text;
        None
    }
}

impl CacheKey for str {
    fn write_key(&self, out: &mut String) {
        out.push_str(self);
    }
}

impl<K: CacheKey + ?Sized> CacheKey for &K {
    fn write_key(&self, out: &mut String) {
        K::write_key(self, out);
    }
}

macro_rules! text_keys {
    ($($text:ty),*) => {$(
        impl CacheKey for $text {
            fn write_key(&self, out: &mut String) {
                out.push_str(self);
            }

            fn read_key(text: &str) -> Option<Self> {
                Some(text.into())
            }
        }
    )*};
}

text_keys!(String, Box<str>, Arc<str>);

macro_rules! integer_keys {
    ($($integer:ty),*) => {$(
        impl CacheKey for $integer {
            fn write_key(&self, out: &mut String) {
                // Writing to a String does not fail.
                let _ = write!(out, "{self}");
            }

            fn read_key(text: &str) -> Option<Self> {
                // `007` and `+7` are read as 7, but are not its text.
                let plain = match text.strip_prefix('-').unwrap_or(text).as_bytes() {
                    [b'0'] => text == "0",
                    [b'1'..=b'9', ..] => true,
                    _ => false,
                };
                if plain { text.parse().ok() } else { None }
            }
        }
    )*};
}

integer_keys!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize);

#[cfg(test)]
mod tests;
