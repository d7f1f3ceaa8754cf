use proptest::prelude::*;

use super::{After, Token};
use crate::Lsn;

fn token(system: u64, timeline: u32, lsn: u64) -> Token {
    Token { system, timeline, lsn: Lsn(lsn) }
}

#[test]
fn text_that_is_no_token_is_refused() {
    for text in
        ["", "1", "1.2", "1.2.3.4", "1..3", "+1.2.3", "1.2.-3", "g.1.1", " 1.2.3", "1.100000000.3"]
    {
        assert!(text.parse::<Token>().is_err(), "{text}");
    }
    assert!("11111111111111111.1.1".parse::<Token>().is_err(), "seventeen digits");
}

#[test]
fn a_newer_timeline_wins_over_a_larger_position() {
    let (old, new) = (token(7, 1, 900), token(7, 2, 500));
    assert_eq!(old.merge(new), Some(new));
    assert_eq!(new.merge(old), Some(new));
    assert_eq!(token(7, 1, 1).merge(token(8, 1, 1)), None);
    assert_eq!(token(0, 0, 1).merge(token(8, 1, 5)), Some(token(8, 1, 5)));
}

#[test]
fn a_position_of_an_unknown_timeline_is_not_forgotten() {
    // A bare position, or one read on a standby whose timeline nobody may see.
    assert_eq!(token(0, 0, 5).merge(token(8, 1, 1)), Some(token(8, 1, 5)));
    assert_eq!(token(8, 1, 1).merge(token(8, 0, 5)), Some(token(8, 1, 5)));
}

#[test]
fn a_bare_position_is_a_token_of_nobody_knows_where() {
    assert_eq!(After::from(Lsn(5)).0, Some(token(0, 0, 5)));
    assert_eq!(After::from(None::<Lsn>), After::default());
}

proptest! {
    #[test]
    fn what_is_printed_can_be_read(system: u64, timeline: u32, lsn: u64) {
        let token = token(system, timeline, lsn);
        prop_assert_eq!(token.to_string().parse(), Ok(token));
        #[cfg(feature = "serde")]
        {
            let json = serde_json::to_string(&token).unwrap();
            prop_assert_eq!(serde_json::from_str::<Token>(&json).unwrap(), token);
        }
    }

    /// Any text at all is a token or an error.
    #[test]
    fn no_text_panics(text: String) {
        let _ = text.parse::<Token>();
    }

    /// Order and repetition of merges do not matter, and none goes back.
    #[test]
    fn merging_is_a_maximum(
        a in (1u32..4, 0u64..9),
        b in (1u32..4, 0u64..9),
        c in (1u32..4, 0u64..9),
    ) {
        let [a, b, c] = [a, b, c].map(|(timeline, lsn)| token(3, timeline, lsn));
        let ab = a.merge(b).unwrap();
        prop_assert_eq!(ab.merge(c), b.merge(c).unwrap().merge(a));
        prop_assert_eq!(ab.merge(a), Some(ab));
        prop_assert!((ab.timeline, ab.lsn) >= (a.timeline, a.lsn));
    }
}
