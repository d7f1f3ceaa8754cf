//! The wire format: what is read back, and what never is.

use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use super::*;

const KEY: &str = "auction:42";
const MAX: usize = 1 << 20;

fn bytes_of(value: &str) -> Vec<u8> {
    encode(KEY, 3, 7, Some(&value.to_owned())).expect("encodable")
}

fn read(bytes: &[u8]) -> Result<Record<String>, Damage> {
    decode(bytes, KEY, 3, MAX)
}

/// If this fails, running nodes of the last release would not read what this one writes.
#[test]
fn format_1_stays_as_it_is() {
    let bytes = stamp(&bytes_of("lamp"), 0x0102_0304_0506_0708, 7);
    assert_eq!(bytes, FORMAT_1);
    assert!(matches!(read(FORMAT_1), Ok(Record::Value(value)) if value == "lamp"));
}

const FORMAT_1: &[u8] = b"SWC\x01\x00\x00\x00\x03\
    \x01\x02\x03\x04\x05\x06\x07\x08\x00\x00\x00\x00\x00\x00\x00\x07\x2d\x65\x4e\xa5\
    \x00\x00\x00\x0a\x00\x00\x00\x05auction:42\x04lamp";

#[test]
fn value_absence_and_removal_are_told_apart() {
    assert!(matches!(read(&bytes_of("lamp")), Ok(Record::Value(value)) if value == "lamp"));
    let absent = encode::<String>(KEY, 3, 0, None).expect("encodable");
    assert!(matches!(read(&absent), Ok(Record::Absent)));
    assert!(matches!(read(&tombstone(KEY, 9)), Ok(Record::Tombstone)));
    assert_eq!(peek(&tombstone(KEY, 9)), Peek { version: 0, source: 9, tombstone: true });
}

#[test]
fn bytes_that_are_not_ours_say_why() {
    let good = bytes_of("lamp");
    let damage = |bytes: &[u8]| read(bytes).expect_err("must not decode");
    assert_eq!(damage(b""), Damage::Foreign);
    assert_eq!(damage(b"{\"id\":42,\"title\":\"a lamp\"}"), Damage::Foreign);
    assert_eq!(damage(&good[..30]), Damage::Truncated);
    assert_eq!(damage(&good[..good.len() - 1]), Damage::Truncated);
    let mut flipped = good.clone();
    *flipped.last_mut().expect("not empty") ^= 1;
    assert_eq!(damage(&flipped), Damage::Checksum);
    let mut newer = good.clone();
    newer[3] = 2;
    assert_eq!(damage(&newer), Damage::Format);
    assert_eq!(decode::<String>(&good, "auction:43", 3, MAX).expect_err("key"), Damage::WrongKey);
    assert_eq!(decode::<String>(&good, KEY, 4, MAX).expect_err("schema"), Damage::Schema);
    assert_eq!(decode::<String>(&good, KEY, 3, 40).expect_err("size"), Damage::TooLarge);
    assert_eq!(decode::<(String, u64)>(&good, KEY, 3, MAX).expect_err("type"), Damage::Value);
    assert_eq!(decode::<()>(&good, KEY, 3, MAX).expect_err("bytes left over"), Damage::Value);
}

#[test]
fn a_newer_format_still_orders_writes() {
    let mut newer = stamp(&bytes_of("lamp"), 99, 12).to_vec();
    newer[3] = 200;
    assert_eq!(peek(&newer), Peek { version: 99, source: 12, tombstone: false });
    newer[4] = Kind::Tombstone as u8;
    assert!(matches!(read(&newer), Ok(Record::Tombstone)));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
        let _ = peek(&bytes);
        prop_assert!(read(&bytes).is_err() || peek(&bytes) != Peek::default());
    }

    #[test]
    fn one_changed_byte_is_never_another_value(value: String, at in any::<proptest::sample::Index>(), with in 1_u8..) {
        let mut bytes = bytes_of(&value);
        let at = at.index(bytes.len());
        bytes[at] ^= with;
        match read(&bytes) {
            // The version is L2's, outside the checksum; a tombstone is a miss.
            Ok(Record::Value(read)) => {
                prop_assert!(VERSION_AT.contains(&at));
                prop_assert_eq!(read, value);
            }
            Ok(Record::Absent) => prop_assert!(false, "a value became absence"),
            Ok(Record::Tombstone) | Err(_) => {}
        }
    }

    #[test]
    fn what_is_written_is_read(value: String, source: u64, version: u64) {
        let bytes = encode(KEY, 3, source, Some(&value)).expect("encodable");
        let bytes = stamp(&bytes, version, source);
        prop_assert_eq!(peek(&bytes), Peek { version, source, tombstone: false });
        prop_assert!(matches!(read(&bytes), Ok(Record::Value(read)) if read == value));
    }
}
