//! Tuples of keys: their texts with `:` in between. A `:` or `%` within a text is written as
//! `%3A` or `%25`, so that no two tuples share a text.

use std::borrow::Cow;

use super::CacheKey;
use crate::text::{escape, unescape};

impl<A: CacheKey, B: CacheKey> CacheKey for (A, B) {
    fn write_key(&self, out: &mut String) {
        write_part(&self.0, out);
        out.push(':');
        write_part(&self.1, out);
    }

    fn read_key(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let key = (read_part(parts.next())?, read_part(parts.next())?);
        parts.next().is_none().then_some(key)
    }
}

impl<A: CacheKey, B: CacheKey, C: CacheKey> CacheKey for (A, B, C) {
    fn write_key(&self, out: &mut String) {
        write_part(&self.0, out);
        out.push(':');
        write_part(&self.1, out);
        out.push(':');
        write_part(&self.2, out);
    }

    fn read_key(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let key = (read_part(parts.next())?, read_part(parts.next())?, read_part(parts.next())?);
        parts.next().is_none().then_some(key)
    }
}

fn write_part(part: &impl CacheKey, out: &mut String) {
    let start = out.len();
    part.write_key(out);
    if let Cow::Owned(escaped) = escape(&out[start..], ESCAPES) {
        out.truncate(start);
        out.push_str(&escaped);
    }
}

fn read_part<K: CacheKey>(part: Option<&str>) -> Option<K> {
    K::read_key(&unescape(part?, ESCAPES)?)
}

const ESCAPES: &[(char, &str)] = &[('%', "%25"), (':', "%3A")];
