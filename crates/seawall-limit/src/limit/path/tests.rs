use proptest::prelude::*;

use super::*;

fn exact(pattern: &str, path: &str) -> bool {
    Pattern::exact(pattern).unwrap().matches(path)
}

fn prefix(pattern: &str, path: &str) -> bool {
    Pattern::prefix(pattern).unwrap().matches(path)
}

#[test]
fn a_prefix_ends_at_a_segment() {
    assert!(prefix("/api", "/api"));
    assert!(prefix("/api", "/api/"));
    assert!(prefix("/api", "/api/x/y"));
    assert!(prefix("/api/", "/api"));
    assert!(!prefix("/api", "/apix"));
    assert!(!prefix("/api", "/"));
    assert!(!prefix("/api", "/x/api"));
    assert!(prefix("/", "/anything"));
    assert!(prefix("/users/{id}", "/users/7/posts"));
}

#[test]
fn a_parameter_is_one_segment() {
    let bids = "/api/auctions/{id}/bids";
    assert!(exact(bids, "/api/auctions/7/bids"));
    assert!(!exact(bids, "/api/auctions/7"));
    assert!(!exact(bids, "/api/auctions/7/8/bids"));
    assert!(!exact(bids, "/api/auctions/7/bids/1"));
    assert!(!exact("/api/auctions/{id}", "/api/auctions/"));
    assert!(!prefix("/api/auctions/{id}", "/api/auctions/"));
}

/// What matchit 0.8, axum's router, hands to these patterns.
#[test]
fn an_empty_segment_is_no_way_around() {
    for (pattern, path) in [
        ("/api/auctions/{id}/bids", "/api/auctions//bids"),
        ("/a/{x}/{y}", "/a//b"),
        ("/a/{x}/", "/a//"),
        ("/{x}/b", "//b"),
        ("/files/{*path}", "/files//a"),
        ("/files/{*path}", "/files//"),
        ("/files/{*path}", "/files///a"),
        ("/{*path}", "//"),
        ("/{*path}", "//a"),
    ] {
        assert!(exact(pattern, path), "{pattern} does not cover {path}");
    }
    // A router nested at /u/{id}.
    for path in ["/u//x", "/u///"] {
        assert!(prefix("/u/{id}", path), "{path}");
    }
}

#[test]
fn a_trailing_slash_is_no_way_around() {
    assert!(exact("/api/bids", "/api/bids/"));
    assert!(exact("/api/bids", "/api/bids//"));
    assert!(exact("/", "/"));
    assert!(!exact("/", "/x"));
}

#[test]
fn a_rest_takes_one_segment_or_more() {
    assert!(exact("/files/{*path}", "/files/a/b/c"));
    assert!(!exact("/files/{*path}", "/files"));
    assert!(!exact("/files/{*path}", "/files/"));
    assert!(exact("/{*path}", "/a"));
}

#[test]
fn malformed_patterns_are_refused() {
    for pattern in
        ["", "api", "/a/{}", "/a/{id", "/a/id}", "/a/x{id}", "/a/{*rest}/b", "/a/{*}", "/a/{i{d}"]
    {
        assert!(Pattern::exact(pattern).is_err(), "{pattern:?}");
        assert!(Pattern::prefix(pattern).is_err(), "{pattern:?}");
    }
}

/// The law, by segments alone.
fn by_segments(pattern: &str, path: &str, whole: bool) -> bool {
    let segments = |text: &str| -> Vec<String> {
        text.strip_prefix('/').unwrap_or(text).split('/').map(Into::into).collect()
    };
    let pattern = match pattern.trim_end_matches('/') {
        "" => Vec::new(),
        trimmed => segments(trimmed),
    };
    let path = segments(path);
    let agree = pattern.iter().enumerate().all(|(at, it)| match path.get(at) {
        None => false,
        Some(given) if it == "{p}" => !given.is_empty() || path.len() > at + 1,
        Some(given) => given == it,
    });
    agree && (!whole || path[pattern.len()..].iter().all(String::is_empty))
}

proptest! {
    #[test]
    fn one_text_covers_what_its_segments_cover(
        pattern in prop::collection::vec(prop_oneof!["a", "ab", "\\{p\\}", ""], 0..4),
        path in prop::collection::vec(prop_oneof!["a", "ab", "", "%61"], 0..6),
    ) {
        let (pattern, path) = (format!("/{}", pattern.join("/")), format!("/{}", path.join("/")));
        prop_assert_eq!(exact(&pattern, &path), by_segments(&pattern, &path, true), "{} {}", pattern, path);
        prop_assert_eq!(prefix(&pattern, &path), by_segments(&pattern, &path, false), "{} {}", pattern, path);
    }
}
