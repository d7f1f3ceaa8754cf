//! The wire format: what is read back, and what never is.

mod fixtures;
#[cfg(feature = "zstd")]
mod zstd;

use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::Index;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::codec::Postcard;

const KEY: &str = "auction:42";
const SCHEMA: u16 = 3;

/// A record as a cache with default settings writes it.
pub(crate) fn plain<V>(key: &str, source: u64, value: &V) -> Bytes
where
    V: Serialize + DeserializeOwned + 'static,
{
    let meta = Meta { source, ..Meta::default() };
    let bounds = Bounds { record: 1 << 30, value: 1 << 30, compress_above: usize::MAX };
    encode(key, &meta, Some(value), &Postcard, bounds).expect("encodable")
}

fn bounds() -> Bounds {
    Bounds { record: 1 << 20, value: 1 << 20, compress_above: 4 << 10 }
}

fn meta() -> Meta<'static> {
    Meta { schema: SCHEMA, source: 7, ..Meta::default() }
}

fn bytes_of(value: &str) -> Vec<u8> {
    encode(KEY, &meta(), Some(&value.to_owned()), &Postcard, bounds()).expect("encodable").to_vec()
}

/// What is read: a text, `None` for absence, or a tombstone.
#[derive(Debug, PartialEq)]
enum Read {
    Entry(Option<String>),
    Tombstone,
}

fn read(bytes: &[u8]) -> Result<Read, Damage> {
    match open(bytes, KEY, SCHEMA, bounds())? {
        Record::Tombstone => Ok(Read::Tombstone),
        Record::Entry(stored) => stored.value::<String>(&Postcard, bounds()).map(Read::Entry),
    }
}

#[test]
fn value_absence_and_removal_are_told_apart() {
    assert_eq!(read(&bytes_of("lamp")), Ok(Read::Entry(Some("lamp".into()))));
    let absent = encode::<String>(KEY, &meta(), None, &Postcard, bounds()).expect("encodable");
    assert_eq!(read(&absent), Ok(Read::Entry(None)));
    assert_eq!(read(&tombstone(KEY, 9)), Ok(Read::Tombstone));
    assert_eq!(peek(&tombstone(KEY, 9)), Peek { version: 0, source: 9, tombstone: true });
}

#[test]
fn bytes_that_are_not_ours_say_why() {
    let good = bytes_of("lamp");
    let damage = |bytes: &[u8]| read(bytes).expect_err("must not be read");
    assert_eq!(damage(b""), Damage::Foreign);
    assert_eq!(damage(b"{\"id\":42,\"title\":\"a lamp\"}"), Damage::Foreign);
    assert_eq!(damage(&good[..30]), Damage::Truncated);
    assert_eq!(damage(&good[..good.len() - 1]), Damage::Truncated);
    let mut flipped = good.clone();
    *flipped.last_mut().expect("not empty") ^= 1;
    assert_eq!(damage(&flipped), Damage::Checksum);
    let mut newer = good.clone();
    newer[3] = 3;
    assert_eq!(damage(&newer), Damage::Format);
    let too_new = stamp(&good, MAX_VERSION, 7, 0);
    assert_eq!(damage(&too_new), Damage::Foreign, "no version of ours");
    assert_eq!(peek(&too_new), Peek::default());

    let open = |bytes: &'static [u8], key, schema, bounds| match open(bytes, key, schema, bounds) {
        Ok(Record::Entry(stored)) => stored.value::<(String, u64)>(&Postcard, bounds).map(drop),
        Ok(Record::Tombstone) => Ok(()),
        Err(damage) => Err(damage),
    };
    let good: &'static [u8] = good.leak();
    assert_eq!(open(good, "auction:43", SCHEMA, bounds()), Err(Damage::WrongKey));
    assert_eq!(open(good, KEY, SCHEMA + 1, bounds()), Err(Damage::Schema));
    let small = Bounds { record: 70, ..bounds() };
    assert_eq!(open(good, KEY, SCHEMA, small), Err(Damage::TooLarge));
    let small = Bounds { value: 4, ..bounds() };
    assert_eq!(open(good, KEY, SCHEMA, small), Err(Damage::TooLarge));
    assert_eq!(open(good, KEY, SCHEMA, bounds()), Err(Damage::Value), "another type");
}

#[test]
fn what_the_header_says_comes_back() {
    let tags = [("sellers", 11), ("", 12), ("Übergröße", u64::MAX)];
    let meta = Meta {
        fresh: Duration::from_millis(1_500),
        load: Duration::from_micros(250),
        namespace: 99,
        tags: &tags,
        ..meta()
    };
    let bytes = encode(KEY, &meta, Some(&1_u64), &Postcard, bounds()).expect("encodable");
    let bytes = stamp(&bytes, 1_000, 7, 2_000);
    let Ok(Record::Entry(stored)) = open(&bytes, KEY, SCHEMA, bounds()) else { panic!("an entry") };
    assert_eq!((stored.version, stored.source, stored.namespace), (1_000, 7, 99));
    assert_eq!((stored.fresh, stored.load), (Some(meta.fresh), meta.load));
    assert!(stored.tags().eq(tags));
    assert_eq!(expires(&bytes), Some(2_000));
    assert_eq!(namespace_stamp(&bytes), Some(99));
    assert_eq!(namespace_stamp(&stamp(&tombstone(KEY, 0), 1, 0, 2)), None);
    assert_eq!(namespace_stamp(b"SWC but not ours, really not at all"), None);
}

#[test]
fn durations_that_do_not_fit_are_cut_and_not_wrapped() {
    let meta = Meta { fresh: Duration::MAX, load: Duration::MAX, ..meta() };
    let bytes = encode(KEY, &meta, Some(&1_u64), &Postcard, bounds()).expect("encodable");
    let Ok(Record::Entry(stored)) = open(&bytes, KEY, SCHEMA, bounds()) else { panic!("an entry") };
    assert_eq!(stored.fresh, Some(Duration::from_millis(u64::from(u32::MAX))));
    assert_eq!(stored.load, Duration::from_micros(u64::from(u32::MAX)));
}

#[test]
fn what_cannot_be_stored_is_refused_when_it_is_written() {
    let write = |tags: &[(&str, u64)], value: &str, bounds| {
        encode(KEY, &Meta { tags, ..meta() }, Some(&value.to_owned()), &Postcard, bounds)
    };
    let long = "x".repeat(256);
    assert!(matches!(write(&[(&long, 1)], "", bounds()), Err(Unencodable::Tags)));
    assert!(matches!(write(&[("a", 1); 256], "", bounds()), Err(Unencodable::Tags)));
    assert!(matches!(write(&[(&long[1..], 1); 255], "", bounds()), Err(Unencodable::Tags)));
    let small = Bounds { value: 100, ..bounds() };
    assert!(matches!(write(&[], &long, small), Err(Unencodable::TooLarge)));
    let small = Bounds { record: 100, ..bounds() };
    assert!(matches!(write(&[], &long, small), Err(Unencodable::TooLarge)));
}

#[test]
fn another_codec_is_a_miss_and_not_garbage() {
    struct Other;
    impl Codec<u64> for Other {
        fn id(&self) -> u8 {
            200
        }
        fn encode(&self, _: &u64, _: &mut Vec<u8>) -> Result<(), CodecError> {
            Err(CodecError::new("never"))
        }
        fn decode(&self, _: &[u8]) -> Result<u64, CodecError> {
            Ok(0)
        }
    }
    let bytes = plain(KEY, 0, &7_u64);
    let Ok(Record::Entry(stored)) = open(&bytes, KEY, 0, bounds()) else { panic!("an entry") };
    assert_eq!(stored.value(&Other, bounds()), Err(Damage::Codec));
    let refused = encode(KEY, &meta(), Some(&7_u64), &Other, bounds());
    assert!(matches!(refused, Err(Unencodable::Codec(_))));
}

#[test]
fn a_newer_format_still_orders_writes() {
    let mut newer = stamp(&bytes_of("lamp"), 99, 12, 0).to_vec();
    newer[3] = 200;
    assert_eq!(peek(&newer), Peek { version: 99, source: 12, tombstone: false });
    assert_eq!(expires(&newer), None);
    newer[4] = Kind::Tombstone as u8;
    assert_eq!(read(&newer), Ok(Read::Tombstone));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>, start in 0_usize..64) {
        let mut ours = bytes_of("lamp")[..start].to_vec();
        ours.extend_from_slice(&bytes);
        for bytes in [bytes, ours] {
            let _ = (peek(&bytes), expires(&bytes), namespace_stamp(&bytes));
            let _ = stamp(&bytes, 1, 2, 3);
            prop_assert!(read(&bytes).is_err() || bytes[4] == Kind::Tombstone as u8);
        }
    }

    #[test]
    fn what_is_written_is_read(
        value: String, source: u64, version in 0..MAX_VERSION, at in 0..MAX_VERSION,
        tags in vec(("[a-zé]{0,20}", any::<u64>()), 0..20),
    ) {
        let tags: Vec<(&str, u64)> = tags.iter().map(|(name, stamp)| (&**name, *stamp)).collect();
        let meta = Meta { source, tags: &tags, ..meta() };
        let bytes = encode(KEY, &meta, Some(&value), &Postcard, bounds()).expect("encodable");
        let bytes = stamp(&bytes, version, source, at);
        prop_assert_eq!(peek(&bytes), Peek { version, source, tombstone: false });
        prop_assert_eq!(expires(&bytes), Some(at));
        prop_assert_eq!(read(&bytes), Ok(Read::Entry(Some(value))));
        let Ok(Record::Entry(stored)) = open(&bytes, KEY, SCHEMA, bounds()) else { panic!() };
        prop_assert!(stored.tags().eq(tags));
    }
}
