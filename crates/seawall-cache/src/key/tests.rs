//! Texts of keys: read back as they were written, and never shared.

use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

use super::*;

fn text(key: &impl CacheKey) -> String {
    let mut out = String::new();
    key.write_key(&mut out);
    out
}

#[test]
fn tuples_of_plain_texts_look_plain() {
    assert_eq!(text(&(7_u64, "bids")), "7:bids");
    assert_eq!(text(&(7_u64, -2_i8, "a:b%".to_owned())), "7:-2:a%3Ab%25");
}

#[test]
fn a_text_that_no_key_writes_is_no_key() {
    for other in ["", "+7", "007", "-0", "-", " 7", "7 ", "7.0", "256", "٣"] {
        assert_eq!(u8::read_key(other), None, "{other}");
    }
    assert_eq!(i8::read_key("-07"), None);
    type Pair = (String, u8);
    for other in ["", "7", "a:7:8", "a:", "%41:7", "a%3a:7", "a%:7", "a%2:7"] {
        assert_eq!(Pair::read_key(other), None, "{other}");
    }
}

proptest! {
    #[test]
    fn what_a_key_writes_it_reads(
        number: i128, small: u8, texts: (String, String, String), marks in "[:%3A25a]{0,8}",
    ) {
        prop_assert_eq!(i128::read_key(&text(&number)), Some(number));
        prop_assert_eq!(u8::read_key(&text(&small)), Some(small));
        prop_assert_eq!(String::read_key(&text(&texts.0)), Some(texts.0.clone()));
        let pair = (marks.clone(), small);
        prop_assert_eq!(<(String, u8)>::read_key(&text(&pair)), Some(pair));
        let nested = ((marks, texts.0.clone()), number);
        prop_assert_eq!(<((String, String), i128)>::read_key(&text(&nested)), Some(nested));
        prop_assert_eq!(<(String, String, String)>::read_key(&text(&texts)), Some(texts));
    }

    #[test]
    fn a_key_that_is_read_writes_the_same_text(other in "[-+0-9:%A-F]{0,8}") {
        for read in [
            i64::read_key(&other).map(|key| text(&key)),
            <(String, u8)>::read_key(&other).map(|key| text(&key)),
            <(i8, Box<str>, u8)>::read_key(&other).map(|key| text(&key)),
        ].into_iter().flatten() {
            prop_assert_eq!(&read, &other);
        }
    }

    #[test]
    fn different_tuples_have_different_texts(a in "[:%a]{0,4}", b in "[:%a]{0,4}", c in "[:%a]{0,4}", d in "[:%a]{0,4}") {
        let (one, other) = ((a, b), (c, d));
        prop_assert!(one == other || text(&one) != text(&other));
    }
}
