use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn labels(pairs: &[(&'static str, &'static str)], histogram: bool) -> String {
    let labels: Vec<Label> = pairs.iter().map(Label::from).collect();
    Labels::new(labels.iter(), histogram).text().to_owned()
}

#[test]
fn characters_prometheus_refuses_become_underscores() {
    for (raw, valid) in [
        ("http.server.duration", "http_server_duration"),
        ("a:b", "a:b"),
        ("9lives", "_lives"),
        ("größe", "gr__e"),
        ("", "_"),
        ("ok_1", "ok_1"),
    ] {
        assert_eq!(metric_name(raw), valid);
    }
}

#[test]
fn the_escaped_form_keeps_names_apart() {
    assert_eq!(escaped_name("a.b"), "U__a_2E_b");
    assert_eq!(escaped_name("a_b"), "U__a__b");
}

#[test]
fn labels_are_sorted_and_hostile_values_escaped() {
    assert_eq!(labels(&[("b", "1"), ("a", "2")], false), r#"a="2",b="1""#);
    assert_eq!(labels(&[("path", "C:\\dir\n\"x\"")], false), r#"path="C:\\dir\n\"x\"""#);
}

#[test]
fn label_names_that_belong_to_prometheus_are_renamed() {
    assert_eq!(labels(&[("le", "1")], true), r#"exported_le="1""#);
    assert_eq!(labels(&[("le", "1")], false), r#"le="1""#);
    assert_eq!(labels(&[("__name__", "x")], false), r#"exported__name__="x""#);
    assert_eq!(labels(&[("a:b", "x")], false), r#"a_b="x""#);
}

#[test]
fn a_label_given_twice_is_printed_once() {
    assert_eq!(labels(&[("a", "1"), ("a", "2")], false), r#"a="2""#);
}

#[test]
fn a_query_matches_any_subset_of_labels() {
    let list = [Label::from_static_parts("a", "1"), Label::from_static_parts("b", "2")];
    let labels = Labels::new(list.iter(), false);
    assert!(labels.contain(&[]));
    assert!(labels.contain(&[("b", "2")]));
    assert!(!labels.contain(&[("b", "1")]));
    assert!(!labels.contain(&[("a", "1"), ("c", "3")]));
    assert!(labels.contain(&[("a", "1"), ("c", "")]));
    assert!(!labels.contain(&[("a", "")]));
}

#[test]
fn a_label_without_a_value_is_no_label() {
    assert_eq!(labels(&[("b", ""), ("a", "2")], false), r#"a="2""#);
    assert_eq!(labels(&[("a", "2"), ("a", "")], false), "");
}

proptest! {
    #[test]
    fn labels_read_back_as_given_and_keep_the_order_of_their_pairs(
        left in prop::collection::btree_map("[ab][ab_1]{0,2}", "[a,=!\"\\\\\n{}é]{0,4}", 0..4),
        right in prop::collection::btree_map("[ab][ab_1]{0,2}", "[a,=!\"\\\\\n{}é]{0,4}", 0..4),
    ) {
        let valid = |map: &BTreeMap<String, String>| {
            let pairs = map.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (label_name(name, false).into_owned(), value.clone()));
            pairs.collect::<BTreeMap<_, _>>().into_iter().collect::<Vec<_>>()
        };
        let made = |pairs: &[(String, String)]| {
            let list: Vec<Label> = pairs.iter().map(Label::from).collect();
            Labels::new(list.iter(), false)
        };
        let (left, right) = (valid(&left), valid(&right));
        let (a, b) = (made(&left), made(&right));
        let read: Vec<_> = a.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        prop_assert_eq!(&read, &left);
        prop_assert_eq!(a.cmp(&b), left.cmp(&right));
        prop_assert_eq!(a == b, left == right);
    }

    #[test]
    fn a_key_is_that_of_a_series_exactly_if_it_makes_its_labels(
        left in prop::collection::vec(("[ab_.][ab]?|le|__a", "[ab\"]{0,2}"), 0..4),
        right in prop::collection::vec(("[ab_.][ab]?|le|__a", "[ab\"]{0,2}"), 0..4),
        shuffled in any::<bool>(),
        histogram in any::<bool>(),
    ) {
        let list = |pairs: &[(String, String)]| pairs.iter().map(Label::from).collect::<Vec<_>>();
        let (left, mut right) = (list(&left), list(&right));
        if shuffled {
            right = left.iter().rev().cloned().collect();
        }
        let made = Labels::new(left.iter(), histogram);
        let other = Labels::new(right.iter(), histogram);
        prop_assert_eq!(made.are(&right, histogram), made == other);
    }
}
