use super::*;

#[test]
fn no_spelling_of_a_parameter_is_another_key() {
    for (segment, bytes) in [
        ("7", &b"7"[..]),
        ("%37", b"7"),
        ("%2f%zz%4", b"/%zz%4"),
        ("%", b"%"),
        ("%C3%A4", b"\xc3\xa4"),
    ] {
        assert_eq!(&*decoded(segment), bytes, "{segment}");
    }
    assert_eq!(text(&decoded("%37")), Key::Text("7"));
}

#[test]
fn a_parameter_is_found_by_its_place_in_the_pattern() {
    assert_eq!(segment("/a/{id}/b/{x}", "x"), Some(3));
    assert_eq!(segment("/a/{id}", "nope"), None);
    assert_eq!(segment("/a/{*rest}", "rest"), None);
}
