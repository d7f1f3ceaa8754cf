//! The matcher against a naive one, and against examples from Redis's own tests.

use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

use super::*;

#[test]
fn it_matches_as_redis_does() {
    let cases = [
        ("*", "", true),
        ("", "", true),
        ("", "a", false),
        ("a", "", false),
        ("a*", "a", true),
        ("a**b", "ab", true),
        ("auction:*:bids", "auction:7:bids", true),
        ("auction:*:bids", "auction:7:8:bids", true),
        ("auction:*:bids", "auction:7:bidsx", false),
        ("h?llo", "hello", true),
        ("h?llo", "hllo", false),
        ("h[ae]llo", "hallo", true),
        ("h[ae]llo", "hillo", false),
        ("h[^e]llo", "hello", false),
        ("h[^e]llo", "hallo", true),
        ("h[a-c]llo", "hbllo", true),
        ("h[c-a]llo", "hbllo", true),
        ("h[a-c]llo", "hdllo", false),
        ("[^", "a", true),
        ("[", "[", false),
        ("[]", "]", false),
        ("[^]", "a", true),
        ("[abc", "b", true),
        ("[abc", "d", false),
        ("[a-", "-", true),
        ("[\\]]", "]", true),
        ("[\\-a]", "-", true),
        ("\\*", "*", true),
        ("\\*", "a", false),
        ("\\", "\\", true),
        ("a\\", "a\\", true),
        ("??", "é", true),
        ("A", "a", false),
    ];
    for (pattern, text, matched) in cases {
        assert_eq!(matches(pattern, text), matched, "{pattern} on {text}");
    }
}

#[test]
fn a_hostile_pattern_takes_no_exponential_time() {
    let pattern = "*a".repeat(300) + "b";
    assert!(!matches(&pattern, &"a".repeat(1000)));
}

#[test]
#[cfg(feature = "redis")]
fn a_relaxed_pattern_is_one_over_escaped_names() {
    assert_eq!(relaxed("ns:a?b[x-z]c*"), "ns:a*b*c*");
    assert_eq!(relaxed("ns:\\*{%}\\[\\é\\"), "ns:\\*%7B%25%7D\\[é\\\\");
}

/// By the definition, in exponential time.
fn naive(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
        _ => match text {
            [] => false,
            [byte, text @ ..] => {
                let (matched, length) = one(pattern, *byte);
                matched && naive(&pattern[length..], text)
            }
        },
    }
}

proptest! {
    #[test]
    fn it_agrees_with_the_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
        prop_assert_eq!(matches(&pattern, &text), naive(pattern.as_bytes(), text.as_bytes()));
    }

    #[test]
    fn it_agrees_with_the_definition_on_anything(pattern in r"[ab\]\[^*?\\-]{0,10}", text in r"[ab\]\\-]{0,6}") {
        prop_assert_eq!(matches(&pattern, &text), naive(pattern.as_bytes(), text.as_bytes()));
    }

    #[test]
    fn an_escaped_text_matches_itself_alone(text: String, other: String) {
        prop_assert!(matches(&escape(&text), &text));
        prop_assert_eq!(matches(&escape(&text), &other), text == other);
        prop_assert!(matches(&(escape(&text) + "*"), &(text + &other)));
    }

    #[test]
    fn no_pattern_panics(pattern: String, text: String) {
        matches(&pattern, &text);
    }
}

#[cfg(feature = "redis")]
proptest! {
    #[test]
    fn a_relaxed_pattern_misses_no_name(pattern in r"[a{}%\]\[^*?\\-]{0,8}", key in r"[a{}%]{0,5}") {
        if matches(&pattern, &key) {
            let name = crate::text::entry("ns", &key);
            let relaxed = relaxed(&["ns:", &pattern].concat());
            prop_assert!(matches(&relaxed, &name), "{} on {}", relaxed, name);
        }
    }
}
