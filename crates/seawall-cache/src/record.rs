//! The bytes of an entry in L2: a header that can be checked, the key, the value.
//!
//! ```text
//!  0  3  magic "SWC"            fixed in every format, so that an old node can still order
//!  3  1  format, 1              its writes against the records of a newer one
//!  4  1  kind: value, absent, tombstone
//!  5  1  zero
//!  6  2  schema of the value
//!  8  8  version, issued by L2 and written by L2's script
//! 16  8  source version of the value, or the least one a tombstone accepts; 0: unknown
//! 24  4  crc32 of everything but the version and this field
//! 28  4  key length
//! 32  4  value length
//! 36     key, then value
//! ```
//! Integers are big-endian.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The part of the header that every format shares and that L2's scripts read.
pub(crate) const FIXED: usize = 24;
const HEADER: usize = 36;
const MAGIC: &[u8; 3] = b"SWC";
const FORMAT: u8 = 1;
const VERSION_AT: std::ops::Range<usize> = 8..16;
const SOURCE_AT: std::ops::Range<usize> = 16..24;
const CRC_AT: std::ops::Range<usize> = 24..28;

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Value = 0,
    Absent = 1,
    Tombstone = 2,
}

/// What can be told from the fixed part alone. Bytes that are not a record count as absence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Peek {
    pub(crate) version: u64,
    pub(crate) source: u64,
    pub(crate) tombstone: bool,
}

/// Why bytes under our key are not an entry of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    Foreign,
    Format,
    TooLarge,
    Truncated,
    Checksum,
    WrongKey,
    Schema,
    Value,
}

impl Damage {
    /// The metric label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Format => "format",
            Self::TooLarge => "too_large",
            Self::Truncated => "truncated",
            Self::Checksum => "checksum",
            Self::WrongKey => "wrong_key",
            Self::Schema => "schema",
            Self::Value => "value",
        }
    }
}

/// A checked record.
#[derive(Debug)]
pub(crate) enum Record<V> {
    Value(V),
    Absent,
    Tombstone,
}

/// Reads the fixed part.
pub(crate) fn peek(bytes: &[u8]) -> Peek {
    let (Some(version), Some(source), true) =
        (u64_at(bytes, VERSION_AT), u64_at(bytes, SOURCE_AT), bytes.starts_with(MAGIC))
    else {
        return Peek::default();
    };
    Peek { version, source, tombstone: bytes[4] == Kind::Tombstone as u8 }
}

/// A record of `value` (`None`: absent), its version left to L2.
pub(crate) fn encode<V: Serialize>(
    key: &str,
    schema: u16,
    source: u64,
    value: Option<&V>,
) -> Result<Vec<u8>, postcard::Error> {
    let kind = if value.is_some() { Kind::Value } else { Kind::Absent };
    let mut bytes = header(key, kind, schema, source);
    if let Some(value) = value {
        bytes = postcard::to_io(value, bytes)?;
    }
    Ok(seal(bytes, key))
}

/// A tombstone that refuses fills whose source is older than `source`.
pub(crate) fn tombstone(key: &str, source: u64) -> Bytes {
    seal(header(key, Kind::Tombstone, 0, source), key).into()
}

/// Checks and decodes the bytes found under `key`.
pub(crate) fn decode<V: DeserializeOwned>(
    bytes: &[u8],
    key: &str,
    schema: u16,
    max: usize,
) -> Result<Record<V>, Damage> {
    if bytes.len() < FIXED || !bytes.starts_with(MAGIC) {
        return Err(Damage::Foreign);
    }
    // A tombstone means the same in every format.
    if bytes[4] == Kind::Tombstone as u8 {
        return Ok(Record::Tombstone);
    }
    if bytes[3] != FORMAT {
        return Err(Damage::Format);
    }
    if bytes.len() > max {
        return Err(Damage::TooLarge);
    }
    let (Some(crc), Some(key_length), Some(value_length)) =
        (u32_at(bytes, CRC_AT), u32_at(bytes, 28..32), u32_at(bytes, 32..36))
    else {
        return Err(Damage::Truncated);
    };
    let body = &bytes[HEADER..];
    if body.len() as u64 != u64::from(key_length) + u64::from(value_length) {
        return Err(Damage::Truncated);
    }
    if checksum(bytes) != crc {
        return Err(Damage::Checksum);
    }
    let (stored_key, value) = body.split_at(key_length as usize);
    if stored_key != key.as_bytes() {
        return Err(Damage::WrongKey);
    }
    if bytes[6..8] != schema.to_be_bytes() {
        return Err(Damage::Schema);
    }
    match bytes[4] {
        kind if kind == Kind::Absent as u8 => Ok(Record::Absent),
        kind if kind == Kind::Value as u8 => match postcard::take_from_bytes(value) {
            Ok((value, [])) => Ok(Record::Value(value)),
            _ => Err(Damage::Value),
        },
        _ => Err(Damage::Format),
    }
}

/// `record` with its version and source replaced, as L2's scripts do it.
pub(crate) fn stamp(record: &[u8], version: u64, source: u64) -> Bytes {
    let mut bytes = record.to_vec();
    if bytes.len() >= FIXED {
        bytes[VERSION_AT].copy_from_slice(&version.to_be_bytes());
        bytes[SOURCE_AT].copy_from_slice(&source.to_be_bytes());
    }
    bytes.into()
}

fn header(key: &str, kind: Kind, schema: u16, source: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + key.len() + 128);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[FORMAT, kind as u8, 0]);
    bytes.extend_from_slice(&schema.to_be_bytes());
    bytes.extend_from_slice(&0_u64.to_be_bytes());
    bytes.extend_from_slice(&source.to_be_bytes());
    bytes.resize(HEADER, 0);
    bytes.extend_from_slice(key.as_bytes());
    bytes
}

/// Fills in lengths and checksum. Lengths past 32 bits cannot be written: the bound on a record's
/// size is far below.
fn seal(mut bytes: Vec<u8>, key: &str) -> Vec<u8> {
    let key_length = u32::try_from(key.len()).unwrap_or(u32::MAX);
    let value_length = u32::try_from(bytes.len() - HEADER - key.len()).unwrap_or(u32::MAX);
    bytes[28..32].copy_from_slice(&key_length.to_be_bytes());
    bytes[32..36].copy_from_slice(&value_length.to_be_bytes());
    let crc = checksum(&bytes);
    bytes[CRC_AT].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&bytes[..VERSION_AT.start]);
    crc.update(&bytes[SOURCE_AT]);
    crc.update(&bytes[CRC_AT.end..]);
    crc.finalize()
}

fn u64_at(bytes: &[u8], at: std::ops::Range<usize>) -> Option<u64> {
    bytes.get(at)?.try_into().ok().map(u64::from_be_bytes)
}

fn u32_at(bytes: &[u8], at: std::ops::Range<usize>) -> Option<u32> {
    bytes.get(at)?.try_into().ok().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests;
