use super::*;

fn value(text: &'static str) -> Option<HeaderValue> {
    Some(HeaderValue::from_static(text))
}

#[test]
fn a_value_is_kept_for_its_seconds_and_never_given_for_others() {
    let lines = Lines::new(100);
    assert_eq!(lines.get(64, 5, || value("first")), value("first"));
    assert_eq!(lines.get(64, 5, || value("never asked for")), value("first"));
    assert_eq!(lines.get(64, 6, || value("other")), value("other"));
    assert_eq!(lines.get(64, 5, || None), value("first"));
    assert_eq!(lines.get(65, 5, || value("next")), value("next"));
    assert_eq!(lines.get(u32::MAX, 5, || value("far")), value("far"));
    assert_eq!(lines.get(3, 5, || None), None);
    assert_eq!(lines.get(3, 5, || value("later")), value("later"));
}
