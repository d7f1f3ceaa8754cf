//! Compressed values, honest and hostile.

use super::*;

fn squeezed() -> Vec<u8> {
    bytes_of(&"a lamp ".repeat(10_000))
}

#[test]
fn large_values_are_compressed_and_small_or_wild_ones_are_not() {
    let bytes = squeezed();
    assert!(bytes.len() < 1_000, "{}", bytes.len());
    assert_eq!(bytes[5], ZSTD);
    assert_eq!(read(&bytes), Ok(Read::Entry(Some("a lamp ".repeat(10_000)))));
    assert_eq!(bytes_of(&"a".repeat(4_000))[5], 0);
    let mut state = 1_u64;
    let wild: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(10_000)
    .collect();
    let bytes = encode(KEY, &meta(), Some(&wild), &Postcard, bounds()).expect("encodable");
    assert_eq!(bytes[5], 0, "it would have grown");
}

/// With a checksum that fits: an attack, not an accident.
fn with_payload(payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(KEY, Kind::Value);
    bytes[5] = ZSTD;
    bytes[7] = SCHEMA as u8;
    bytes[60] = 1;
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    seal(bytes, KEY, start).expect("fits")
}

#[test]
fn a_decompression_bomb_is_refused_before_it_is_unpacked() {
    let bomb = ::zstd::bulk::compress(&vec![0; 64 << 20], 1).expect("compresses");
    assert!(bomb.len() < 16 << 10);
    assert_eq!(read(&with_payload(&bomb)), Err(Damage::TooLarge));
}

#[test]
fn a_frame_that_lies_about_its_size_is_damage() {
    let honest = ::zstd::bulk::compress(&vec![7; 1_000], 1).expect("compresses");
    assert_eq!(::zstd::zstd_safe::get_frame_content_size(&honest).ok(), Some(Some(1_000)));
    // A frame with a content size of two bytes, which is stored less 256.
    let at = honest.windows(2).position(|pair| pair == 744_u16.to_le_bytes()).expect("there");
    for claimed in [0_u16, 743, 745, u16::MAX] {
        let mut lying = honest.clone();
        lying[at..at + 2].copy_from_slice(&claimed.to_le_bytes());
        assert_eq!(read(&with_payload(&lying)), Err(Damage::Compression), "{claimed}");
    }
    let mut streamed = ::zstd::stream::Encoder::new(Vec::new(), 1).expect("an encoder");
    std::io::Write::write_all(&mut streamed, &[7; 1_000]).expect("writes");
    let unsized_frame = streamed.finish().expect("ends");
    assert_eq!(read(&with_payload(&unsized_frame)), Err(Damage::Compression));
    assert_eq!(read(&with_payload(b"no zstd at all")), Err(Damage::Compression));
    assert_eq!(read(&with_payload(b"")), Err(Damage::Compression));
}

proptest! {
    #[test]
    fn a_flip_or_a_cut_in_a_compressed_record_is_never_another_value(
        at in any::<Index>(), with in 1_u8.., sealed: bool,
    ) {
        let good = squeezed();
        let mut bytes = good.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= with;
        if sealed && at >= HEADER + KEY.len() {
            let crc = checksum(&bytes);
            bytes[CRC_AT].copy_from_slice(&crc.to_be_bytes());
            // Whatever comes out, if anything, it is bounded and no panic.
            let _ = read(&bytes);
        } else if let Ok(Read::Entry(value)) = read(&bytes) {
            prop_assert!(VERSION_AT.contains(&at) || EXPIRES_AT.contains(&at));
            prop_assert_eq!(value, Some("a lamp ".repeat(10_000)));
        }
        prop_assert!(read(&good[..at]).is_err());
    }
}
