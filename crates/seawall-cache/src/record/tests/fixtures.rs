//! Bytes as old releases wrote them, and as this one does: files that stay.

use super::*;

type Auction = (String, u64, Vec<u32>);

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/{name}.bin", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).expect("it stays there")
}

fn lamp() -> Auction {
    ("a lamp".to_owned(), 1_250, vec![7, 8, 900])
}

const TAGS: [(&str, u64); 2] =
    [("seller:9", 1_700_000_000_000_001), ("lamps", 1_700_000_000_000_002)];

fn full() -> Meta<'static> {
    Meta {
        schema: SCHEMA,
        source: 77,
        fresh: Duration::from_secs(60),
        load: Duration::from_micros(1_234),
        namespace: 1_700_000_000_000_000,
        tags: &TAGS,
    }
}

const VERSION: u64 = 1_700_000_000_123_456;
const EXPIRES: u64 = VERSION + 90_000_000;

#[test]
fn format_1_is_still_read() {
    let bytes = fixture("format_1_value");
    let Ok(Record::Entry(stored)) = open(&bytes, KEY, SCHEMA, bounds()) else { panic!() };
    assert_eq!((stored.version, stored.source), (VERSION, 77));
    assert_eq!((stored.fresh, stored.load, stored.namespace), (None, Duration::ZERO, 0));
    assert_eq!(stored.tags().count(), 0);
    assert_eq!(stored.value::<Auction>(&Postcard, bounds()), Ok(Some(lamp())));
    assert_eq!(expires(&bytes), None);
    assert_eq!(namespace_stamp(&bytes), Some(0));
    let bytes = fixture("format_1_absent");
    let Ok(Record::Entry(stored)) = open(&bytes, KEY, SCHEMA, bounds()) else { panic!() };
    assert_eq!(stored.value::<Auction>(&Postcard, bounds()), Ok(None));
    let bytes = fixture("format_1_tombstone");
    assert!(matches!(open(&bytes, KEY, SCHEMA, bounds()), Ok(Record::Tombstone)));
    assert_eq!(peek(&bytes), Peek { version: VERSION + 2, source: 9, tombstone: true });
}

fn written(value: Option<&Auction>) -> Bytes {
    let bytes = encode(KEY, &full(), value, &Postcard, bounds()).expect("encodable");
    stamp(&bytes, VERSION, 77, EXPIRES)
}

/// If this fails, running nodes of the last release would not read what this one writes.
#[test]
fn format_2_stays_as_it_is() {
    assert_eq!(written(Some(&lamp())), fixture("format_2_value"));
    assert_eq!(written(None), fixture("format_2_absent"));
    let tombstone = stamp(&tombstone(KEY, 9), VERSION, 9, EXPIRES);
    assert_eq!(tombstone, fixture("format_2_tombstone"));
}

#[test]
fn format_2_is_read() {
    let names: &[&str] = if cfg!(feature = "zstd") {
        &["format_2_value", "format_2_zstd"]
    } else {
        &["format_2_value"]
    };
    for name in names {
        let bytes = fixture(name);
        let Ok(Record::Entry(stored)) = open(&bytes, KEY, SCHEMA, bounds()) else { panic!() };
        assert_eq!((stored.version, stored.source), (VERSION, 77));
        assert_eq!(stored.fresh, Some(Duration::from_secs(60)));
        assert_eq!(stored.load, Duration::from_micros(1_234));
        assert_eq!(stored.namespace, 1_700_000_000_000_000);
        assert!(stored.tags().eq(TAGS));
        let mut expected = lamp();
        if stored.zstd {
            expected.0 = expected.0.repeat(2_000);
        }
        assert_eq!(stored.value::<Auction>(&Postcard, bounds()), Ok(Some(expected)));
        assert_eq!(expires(&bytes), Some(EXPIRES));
    }
    let bytes = fixture("format_2_absent");
    let Ok(Record::Entry(stored)) = open(&bytes, KEY, SCHEMA, bounds()) else { panic!() };
    assert_eq!(stored.value::<Auction>(&Postcard, bounds()), Ok(None));
    let bytes = fixture("format_2_tombstone");
    assert_eq!(peek(&bytes), Peek { version: VERSION, source: 9, tombstone: true });
}

#[cfg(feature = "json")]
#[test]
fn format_2_with_json_is_read() {
    let bytes = fixture("format_2_json");
    let Ok(Record::Entry(stored)) = open(&bytes, KEY, SCHEMA, bounds()) else { panic!() };
    assert_eq!(stored.value::<Auction>(&crate::codec::Json, bounds()), Ok(Some(lamp())));
    assert_eq!(stored.value::<Auction>(&Postcard, bounds()), Err(Damage::Codec));
}

proptest! {
    #[test]
    fn one_changed_or_missing_byte_is_never_another_value(at in any::<Index>(), with in 1_u8..) {
        for name in ["format_1_value", "format_2_value", "format_1_absent", "format_2_absent"] {
            let good = fixture(name);
            let expected = name.ends_with("value").then(lamp);
            let mut bytes = good.clone();
            let at = at.index(bytes.len());
            bytes[at] ^= with;
            if let Ok(Record::Entry(stored)) = open(&bytes, KEY, SCHEMA, bounds()) {
                let exempt = VERSION_AT.contains(&at)
                    || (name.starts_with("format_2") && EXPIRES_AT.contains(&at));
                prop_assert!(exempt, "byte {} of {}", at, name);
                prop_assert!(stored.version < MAX_VERSION);
                prop_assert!(expires(&bytes).is_none_or(|expires| expires < MAX_VERSION));
                prop_assert_eq!(stored.value::<Auction>(&Postcard, bounds()), Ok(expected));
            }
            prop_assert!(open(&good[..at], KEY, SCHEMA, bounds()).is_err(), "cut at {}", at);
        }
    }
}
