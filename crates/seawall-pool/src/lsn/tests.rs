use proptest::prelude::*;

use super::{Lsn, ParseLsnError};

const BLOCK: u64 = 8192;
const SEGMENT: u64 = 16 << 20;

proptest! {
    #[test]
    fn every_position_survives_print_and_parse(position: u64) {
        let lsn = Lsn(position);
        prop_assert_eq!(lsn.to_string().parse::<Lsn>(), Ok(lsn));
    }

    #[test]
    fn settling_never_moves_up_nor_past_a_record(position in 0..u64::MAX) {
        let settled = Lsn(position).record_end(BLOCK, SEGMENT);
        prop_assert!(settled.0 <= position);
        prop_assert!(position - settled.0 <= 40);
    }

    #[test]
    fn settling_keeps_the_order(a in 0..4 * SEGMENT, b in 0..4 * SEGMENT) {
        // Only positions that can occur: none lies inside a page header.
        prop_assume!([a, b].iter().all(|x| {
            let header = if x % SEGMENT < BLOCK { 40 } else { 24 };
            x % BLOCK == 0 || x % BLOCK >= header
        }));
        let settle = |x: u64| Lsn(x).record_end(BLOCK, SEGMENT);
        prop_assert!(a > b || settle(a) <= settle(b));
    }
}

#[test]
fn text_that_is_no_position_is_refused() {
    for text in ["", "/", "0", "0/", "/1", "0/1/2", "+1/2", "0/-1", "g/0", "0/123456789", " 0/1"] {
        assert_eq!(text.parse::<Lsn>(), Err(ParseLsnError), "{text:?}");
    }
}

#[test]
fn lower_case_digits_parse() {
    assert_eq!("a/ff".parse::<Lsn>(), Ok(Lsn(0xA_0000_00FF)));
}

#[test]
fn insert_position_after_a_page_header_is_the_page_boundary() {
    assert_eq!(Lsn(3 * BLOCK + 24).record_end(BLOCK, SEGMENT), Lsn(3 * BLOCK));
    assert_eq!(Lsn(SEGMENT + 40).record_end(BLOCK, SEGMENT), Lsn(SEGMENT));
    // Forty bytes into an ordinary page is a place where a record can end.
    assert_eq!(Lsn(3 * BLOCK + 40).record_end(BLOCK, SEGMENT), Lsn(3 * BLOCK + 40));
    assert_eq!(Lsn(0x16B_3748).record_end(BLOCK, SEGMENT), Lsn(0x16B_3748));
}
