//! Texts: the names in L2 of entries, marks and leases.
//!
//! An entry is `namespace:key`, the mark of a tag `namespace#t:tag`, that of the namespace
//! `namespace#ns`. In keys and tags `{`, `}` and `%` are percent-escaped: Redis Cluster takes what
//! stands in braces for the part that decides about the slot, and we put a whole entry's name in
//! braces to name its lease.

use std::borrow::Cow;

use crate::key::CacheKey;

/// The text of the entry of `key`.
pub(crate) fn entry<K: CacheKey + ?Sized>(namespace: &str, key: &K) -> String {
    let mut text = String::with_capacity(namespace.len() + 25);
    text.push_str(namespace);
    text.push(':');
    let start = text.len();
    key.write_key(&mut text);
    if let Cow::Owned(escaped) = escape(&text[start..], BRACES) {
        text.truncate(start);
        text.push_str(&escaped);
    }
    text
}

/// The text of the mark of `tag`.
pub(crate) fn tag(namespace: &str, tag: &str) -> String {
    [namespace, "#t:", &*escape(tag, BRACES)].concat()
}

/// The text of the mark of the namespace.
pub(crate) fn namespace(namespace: &str) -> String {
    [namespace, "#ns"].concat()
}

/// What a text names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named<'a> {
    /// The entry of a key, as [`CacheKey::write_key`] writes it.
    Entry(Cow<'a, str>),
    /// The mark of a tag.
    Tag(Cow<'a, str>),
    /// The mark of the namespace.
    Namespace,
}

/// What `text` names in its namespace; `None` if no text of ours is like that.
pub(crate) fn parse(text: &str) -> Option<(&str, Named<'_>)> {
    let (namespace, rest) = text.split_at_checked(text.find([':', '#'])?)?;
    let named = if let Some(key) = rest.strip_prefix(':') {
        Named::Entry(unescape(key, BRACES)?)
    } else if let Some(tag) = rest.strip_prefix("#t:") {
        Named::Tag(unescape(tag, BRACES)?)
    } else if rest == "#ns" {
        Named::Namespace
    } else {
        return None;
    };
    Some((namespace, named))
}

/// The namespace that `text` begins with; all of it, if it is not a text of ours.
pub(crate) fn namespace_of(text: &str) -> &str {
    text.split([':', '#']).next().unwrap_or(text)
}

/// `text` with the key in it as [`CacheKey::write_key`] writes it.
pub(crate) fn plain(text: &str) -> Option<Cow<'_, str>> {
    unescape(text, BRACES)
}

/// `text` with the characters in `escapes` replaced by what stands beside them: `%` and two
/// digits. `%` must be among them.
pub(crate) fn escape<'a>(text: &'a str, escapes: &[(char, &str)]) -> Cow<'a, str> {
    let special = |char| escapes.iter().find(|(special, _)| *special == char);
    if !text.chars().any(|char| special(char).is_some()) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        match special(char) {
            Some((_, escape)) => escaped.push_str(escape),
            None => escaped.push(char),
        }
    }
    escaped.into()
}

/// What [`escape`] was given. `None` if it cannot have written `text`.
pub(crate) fn unescape<'a>(text: &'a str, escapes: &[(char, &str)]) -> Option<Cow<'a, str>> {
    if !text.chars().any(|char| escapes.iter().any(|(special, _)| *special == char)) {
        return Some(text.into());
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if next == '%' {
            let (special, escape) = escapes.iter().find(|(_, escape)| rest.starts_with(escape))?;
            plain.push(*special);
            rest = &rest[escape.len()..];
        } else if escapes.iter().any(|(special, _)| *special == next) {
            return None;
        } else {
            plain.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    Some(plain.into())
}

const BRACES: &[(char, &str)] = &[('%', "%25"), ('{', "%7B"), ('}', "%7D")];

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn texts_hold_no_braces() {
        assert_eq!(entry("bids", "a{b}%"), "bids:a%7Bb%7D%25");
        assert_eq!(entry("bids", &7_u64), "bids:7");
        assert_eq!(tag("bids", "{x}"), "bids#t:%7Bx%7D");
        assert_eq!(namespace("bids"), "bids#ns");
        assert_eq!(parse("bids#ns"), Some(("bids", Named::Namespace)));
    }

    #[test]
    fn a_text_that_we_never_write_names_nothing() {
        for other in ["", "bids", "bids:%41", "bids:{", "bids#t", "bids#nsx", "bids:%7b", "bids#"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn texts_are_read_back(key: String, wild in "[{}%7BD25:#]{0,8}") {
            for key in [key, wild] {
                let text = entry("bids", &key);
                prop_assert!(text.bytes().all(|byte| byte != b'{' && byte != b'}'), "{}", text);
                prop_assert_eq!(parse(&text), Some(("bids", Named::Entry(key.as_str().into()))));
                let text = tag("bids", &key);
                prop_assert_eq!(parse(&text), Some(("bids", Named::Tag(key.as_str().into()))));
            }
        }
    }
}
