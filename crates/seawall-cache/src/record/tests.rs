//! The wire format: what is read back, and what never is.

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
