//! The bytes of an entry in L2: a header that can be checked, the key, the tags, the value.
//!
//! ```text
//!  0  3  magic "SWC"            fixed in every format, so that an old node can still order
//!  3  1  format, 2              its writes against the records of a newer one
//!  4  1  kind: value, absent, tombstone
//!  5  1  flags: bit 0 zstd
//!  6  2  schema of the value
//!  8  8  version *
//! 16  8  source version of the value, or the least one a tombstone accepts; 0: unknown *
//! 24  4  crc32 of everything but the version, the expiry and this field
//! 28  4  key length
//! 32  4  value length, as stored
//! 36  8  when it expires, by L2's clock in microseconds *
//! 44  4  how long it is fresh, in milliseconds from the write
//! 48  4  how long its load took, in microseconds
//! 52  8  namespace stamp
//! 60  1  codec
//! 61  1  number of tags
//! 62  2  length of the tags
//! 64     key, then tags (length 1, name, stamp 8), then value
//! ```
//! Integers are big-endian. What has a star is written by L2's scripts; of a value they leave the
//! source as it is. Format 1, which is still read, ends at 36 and goes on with key and value.

mod compress;

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use crate::codec::{Codec, CodecError};

/// The part of the header that every format shares and that L2's scripts read.
pub(crate) const FIXED: usize = 24;
/// Versions are below this, so that a double, which is what Lua counts in, holds them exactly.
pub(crate) const MAX_VERSION: u64 = 1 << 53;

const HEADER_1: usize = 36;
const HEADER: usize = 64;
const MAGIC: &[u8; 3] = b"SWC";
const FORMAT_1: u8 = 1;
const FORMAT: u8 = 2;
const VERSION_AT: Range<usize> = 8..16;
const SOURCE_AT: Range<usize> = 16..24;
const CRC_AT: Range<usize> = 24..28;
const KEY_LENGTH_AT: Range<usize> = 28..32;
const VALUE_LENGTH_AT: Range<usize> = 32..36;
const EXPIRES_AT: Range<usize> = 36..44;
const NAMESPACE_AT: Range<usize> = 52..60;
const ZSTD: u8 = 1;

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

/// How large things may be, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// A whole record, as stored.
    pub(crate) record: usize,
    /// A value as its codec writes it: what decompression may take.
    pub(crate) value: usize,
    /// Larger values are compressed, if the crate can.
    pub(crate) compress_above: usize,
}

/// What a record says of its value.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Meta<'a> {
    pub(crate) schema: u16,
    pub(crate) source: u64,
    /// The soft TTL.
    pub(crate) fresh: Duration,
    /// How long the load took.
    pub(crate) load: Duration,
    /// The stamp of the namespace's mark.
    pub(crate) namespace: u64,
    /// Names, at most 255 of at most 255 bytes, and the stamps of their marks.
    pub(crate) tags: &'a [(&'a str, u64)],
}

/// Why a value cannot be a record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unencodable {
    #[error("the codec cannot write it")]
    Codec(#[source] CodecError),
    #[error("it is larger than the bound")]
    TooLarge,
    #[error("too many or too long tags")]
    Tags,
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
    Codec,
    Compression,
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
            Self::Codec => "codec",
            Self::Compression => "compression",
            Self::Value => "value",
        }
    }
}

/// A checked record.
#[derive(Debug)]
pub(crate) enum Record<'a> {
    Entry(Stored<'a>),
    Tombstone,
}

/// A checked record of a value or of its absence, the value not decoded yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored<'a> {
    pub(crate) version: u64,
    pub(crate) source: u64,
    /// How long it is fresh, from the write; in format 1 that was all its TTL.
    pub(crate) fresh: Option<Duration>,
    pub(crate) load: Duration,
    /// 0 in format 1, which had no stamps.
    pub(crate) namespace: u64,
    tags: &'a [u8],
    codec: u8,
    zstd: bool,
    value: Option<&'a [u8]>,
}

/// Reads the fixed part.
pub(crate) fn peek(bytes: &[u8]) -> Peek {
    let (Some(version), Some(source), true) =
        (u64_at(bytes, VERSION_AT), u64_at(bytes, SOURCE_AT), bytes.starts_with(MAGIC))
    else {
        return Peek::default();
    };
    if version >= MAX_VERSION {
        return Peek::default();
    }
    Peek { version, source, tombstone: bytes[4] == Kind::Tombstone as u8 }
}

/// When a record expires, by L2's clock in microseconds, if it says so.
pub(crate) fn expires(bytes: &[u8]) -> Option<u64> {
    let ours = bytes.len() >= HEADER && bytes.starts_with(MAGIC) && bytes[3] == FORMAT;
    u64_at(bytes, EXPIRES_AT).filter(|expires| ours && *expires < MAX_VERSION)
}

/// What is left of a record that has expired: a tombstone with its version and source.
pub(crate) fn expired(record: &[u8]) -> Bytes {
    let was = peek(record);
    stamp(&tombstone("", 0), was.version, was.source, expires(record).unwrap_or(0))
}

/// The namespace stamp of an entry (0 in format 1); `None` if it is a tombstone or not ours.
pub(crate) fn namespace_stamp(bytes: &[u8]) -> Option<u64> {
    let there = peek(bytes);
    if there == Peek::default() || there.tombstone {
        return None;
    }
    match bytes[3] {
        FORMAT_1 => Some(0),
        FORMAT => u64_at(bytes, NAMESPACE_AT),
        _ => None,
    }
}

/// A record of `value` (`None`: absent), its version and expiry left to L2.
pub(crate) fn encode<V: 'static>(
    key: &str,
    meta: &Meta<'_>,
    value: Option<&V>,
    codec: &dyn Codec<V>,
    bounds: Bounds,
) -> Result<Bytes, Unencodable> {
    let mut bytes = header(key, if value.is_some() { Kind::Value } else { Kind::Absent });
    bytes[6..8].copy_from_slice(&meta.schema.to_be_bytes());
    bytes[SOURCE_AT].copy_from_slice(&meta.source.to_be_bytes());
    bytes[44..48].copy_from_slice(&saturating(meta.fresh.as_millis()));
    bytes[48..52].copy_from_slice(&saturating(meta.load.as_micros()));
    bytes[NAMESPACE_AT].copy_from_slice(&meta.namespace.to_be_bytes());
    write_tags(meta.tags, &mut bytes)?;
    let start = bytes.len();
    if let Some(value) = value {
        bytes[60] = codec.id();
        codec.encode(value, &mut bytes).map_err(Unencodable::Codec)?;
        let length = bytes.len() - start;
        if length > bounds.value {
            return Err(Unencodable::TooLarge);
        }
        if length > bounds.compress_above
            && let Some(compressed) = compress::compress(&bytes[start..])
        {
            bytes[5] |= ZSTD;
            bytes.truncate(start);
            bytes.extend_from_slice(&compressed);
        }
    }
    if bytes.len() > bounds.record {
        return Err(Unencodable::TooLarge);
    }
    seal(bytes, key, start).map(Into::into)
}

/// A tombstone that refuses fills whose source is older than `source`.
pub(crate) fn tombstone(key: &str, source: u64) -> Bytes {
    let mut bytes = header(key, Kind::Tombstone);
    bytes[SOURCE_AT].copy_from_slice(&source.to_be_bytes());
    let start = bytes.len();
    // A key of 4 GiB is no key; what comes out then is a tombstone all the same.
    seal(bytes, key, start).unwrap_or_default().into()
}

/// Checks the bytes found under `key`. The value in it is decoded later, if at all.
pub(crate) fn open<'a>(
    bytes: &'a [u8],
    key: &str,
    schema: u16,
    bounds: Bounds,
) -> Result<Record<'a>, Damage> {
    let there = peek(bytes);
    if there == Peek::default() && (bytes.len() < FIXED || bytes[VERSION_AT] != [0; 8]) {
        return Err(Damage::Foreign);
    }
    if !bytes.starts_with(MAGIC) {
        return Err(Damage::Foreign);
    }
    // A tombstone means the same in every format.
    if bytes[4] == Kind::Tombstone as u8 {
        return Ok(Record::Tombstone);
    }
    let header = match bytes[3] {
        FORMAT_1 => HEADER_1,
        FORMAT => HEADER,
        _ => return Err(Damage::Format),
    };
    if bytes.len() > bounds.record {
        return Err(Damage::TooLarge);
    }
    let (Some(crc), Some(key_length), Some(value_length), Some(body)) = (
        u32_at(bytes, CRC_AT),
        u32_at(bytes, KEY_LENGTH_AT),
        u32_at(bytes, VALUE_LENGTH_AT),
        bytes.get(header..),
    ) else {
        return Err(Damage::Truncated);
    };
    let tags_length = match bytes[3] {
        FORMAT => u16::from_be_bytes([bytes[62], bytes[63]]),
        _ => 0,
    };
    let length = u64::from(key_length) + u64::from(tags_length) + u64::from(value_length);
    if body.len() as u64 != length {
        return Err(Damage::Truncated);
    }
    if checksum(bytes) != crc {
        return Err(Damage::Checksum);
    }
    let (stored_key, rest) = body.split_at(key_length as usize);
    if stored_key != key.as_bytes() {
        return Err(Damage::WrongKey);
    }
    if bytes[6..8] != schema.to_be_bytes() {
        return Err(Damage::Schema);
    }
    let (tags, value) = rest.split_at(usize::from(tags_length));
    let value = match bytes[4] {
        kind if kind == Kind::Absent as u8 => None,
        kind if kind == Kind::Value as u8 => Some(value),
        _ => return Err(Damage::Format),
    };
    let mut stored = Stored {
        version: there.version,
        source: there.source,
        fresh: None,
        load: Duration::ZERO,
        namespace: 0,
        tags,
        codec: 1,
        zstd: false,
        value,
    };
    if bytes[3] == FORMAT {
        let number = |at| u64::from(u32_at(bytes, at).unwrap_or_default());
        stored.fresh = Some(Duration::from_millis(number(44..48)));
        stored.load = Duration::from_micros(number(48..52));
        stored.namespace = u64_at(bytes, NAMESPACE_AT).unwrap_or_default();
        stored.codec = bytes[60];
        stored.zstd = bytes[5] & ZSTD != 0;
        if bytes[5] & !ZSTD != 0 || stored.tags().count() != usize::from(bytes[61]) {
            return Err(Damage::Format);
        }
    }
    Ok(Record::Entry(stored))
}

impl<'a> Stored<'a> {
    /// The names of its tags and the stamps of their marks.
    pub(crate) fn tags(&self) -> impl Iterator<Item = (&'a str, u64)> + use<'a> {
        let mut rest = self.tags;
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first()?;
            let (name, after) = after.split_at_checked(usize::from(*length))?;
            let (stamp, after) = after.split_first_chunk()?;
            rest = after;
            Some((std::str::from_utf8(name).ok()?, u64::from_be_bytes(*stamp)))
        })
    }

    /// Decodes the value; `None` is the knowledge that there is none.
    pub(crate) fn value<V: 'static>(
        &self,
        codec: &dyn Codec<V>,
        bounds: Bounds,
    ) -> Result<Option<V>, Damage> {
        let Some(value) = self.value else { return Ok(None) };
        if self.codec != codec.id() {
            return Err(Damage::Codec);
        }
        let decoded = if self.zstd {
            codec.decode(&compress::decompress(value, bounds.value)?)
        } else if value.len() > bounds.value {
            return Err(Damage::TooLarge);
        } else {
            codec.decode(value)
        };
        decoded.map(Some).map_err(|_| Damage::Value)
    }
}

/// `record` with what L2 writes into it, as its scripts do it.
pub(crate) fn stamp(record: &[u8], version: u64, source: u64, expires: u64) -> Bytes {
    let mut bytes = record.to_vec();
    if bytes.len() >= FIXED {
        bytes[VERSION_AT].copy_from_slice(&version.to_be_bytes());
        bytes[SOURCE_AT].copy_from_slice(&source.to_be_bytes());
    }
    if bytes.len() >= HEADER && bytes[3] == FORMAT {
        bytes[EXPIRES_AT].copy_from_slice(&expires.to_be_bytes());
    }
    bytes.into()
}

/// The header as far as it is known, and the key.
fn header(key: &str, kind: Kind) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + key.len() + 128);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[FORMAT, kind as u8]);
    bytes.resize(HEADER, 0);
    bytes.extend_from_slice(key.as_bytes());
    bytes
}

fn write_tags(tags: &[(&str, u64)], bytes: &mut Vec<u8>) -> Result<(), Unencodable> {
    let before = bytes.len();
    bytes[61] = u8::try_from(tags.len()).map_err(|_| Unencodable::Tags)?;
    for (name, stamp) in tags {
        bytes.push(u8::try_from(name.len()).map_err(|_| Unencodable::Tags)?);
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&stamp.to_be_bytes());
    }
    let length = u16::try_from(bytes.len() - before).map_err(|_| Unencodable::Tags)?;
    bytes[62..64].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Fills in lengths and checksum. The value begins at `start`.
fn seal(mut bytes: Vec<u8>, key: &str, start: usize) -> Result<Vec<u8>, Unencodable> {
    let length = |length: usize| u32::try_from(length).map_err(|_| Unencodable::TooLarge);
    let (key_length, value_length) = (length(key.len())?, length(bytes.len() - start)?);
    bytes[KEY_LENGTH_AT].copy_from_slice(&key_length.to_be_bytes());
    bytes[VALUE_LENGTH_AT].copy_from_slice(&value_length.to_be_bytes());
    let crc = checksum(&bytes);
    bytes[CRC_AT].copy_from_slice(&crc.to_be_bytes());
    Ok(bytes)
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&bytes[..VERSION_AT.start]);
    crc.update(&bytes[SOURCE_AT]);
    if bytes[3] == FORMAT_1 {
        crc.update(&bytes[CRC_AT.end..]);
    } else {
        crc.update(&bytes[CRC_AT.end..EXPIRES_AT.start]);
        crc.update(&bytes[EXPIRES_AT.end..]);
    }
    crc.finalize()
}

fn saturating(number: u128) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes()
}

fn u64_at(bytes: &[u8], at: Range<usize>) -> Option<u64> {
    bytes.get(at)?.try_into().ok().map(u64::from_be_bytes)
}

fn u32_at(bytes: &[u8], at: Range<usize>) -> Option<u32> {
    bytes.get(at)?.try_into().ok().map(u32::from_be_bytes)
}

#[cfg(test)]
pub(crate) mod tests;
