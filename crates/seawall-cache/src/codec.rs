//! How values become bytes in L2.

use std::error::Error as StdError;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Writes values of one type as bytes and reads them back.
///
/// Its [`id`](Codec::id) stands in every record, so that a cache whose codec changed takes the old
/// records for misses instead of reading them wrongly. Compression and checksums are the record's.
///
/// ```
/// use seawall_cache::{Codec, CodecError};
///
/// /// Lines of text, as they are.
/// struct Plain;
///
/// impl Codec<String> for Plain {
///     fn id(&self) -> u8 {
///         200
///     }
///     fn encode(&self, value: &String, out: &mut Vec<u8>) -> Result<(), CodecError> {
///         out.extend_from_slice(value.as_bytes());
///         Ok(())
///     }
///     fn decode(&self, bytes: &[u8]) -> Result<String, CodecError> {
///         String::from_utf8(bytes.to_vec()).map_err(CodecError::new)
///     }
/// }
/// ```
pub trait Codec<V>: Send + Sync + 'static {
    /// Tells its bytes from those of other codecs. Below 128 is ours, from 128 on is yours.
    fn id(&self) -> u8;

    /// Appends `value` to `out`, and changes nothing that is in it already.
    ///
    /// # Errors
    /// If the value cannot be written. It then lives in L1 only.
    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// The value that all of `bytes` stand for. It must survive any bytes: a checksum has been
    /// compared, but whoever can write to L2 can write a checksum.
    ///
    /// # Errors
    /// If they are not a value, or something is left over. The record is then a counted miss.
    fn decode(&self, bytes: &[u8]) -> Result<V, CodecError>;
}

/// The default codec: [postcard](https://docs.rs/postcard), compact and fast. Its bytes do not
/// describe themselves: change [`schema`](crate::CacheConfig::schema) whenever the type changes.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "named where a cache is built")]
pub struct Postcard;

impl<V: Serialize + DeserializeOwned> Codec<V> for Postcard {
    fn id(&self) -> u8 {
        1
    }

    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<(), CodecError> {
        postcard::to_io(value, out).map(|_| ()).map_err(CodecError::new)
    }

    fn decode(&self, bytes: &[u8]) -> Result<V, CodecError> {
        match postcard::take_from_bytes(bytes).map_err(CodecError::new)? {
            (value, []) => Ok(value),
            _ => Err(CodecError::new("bytes are left over")),
        }
    }
}

/// JSON: larger and slower, but others can read it, and fields may be added (with
/// `#[serde(default)]`) without a change of [`schema`](crate::CacheConfig::schema).
#[cfg(feature = "json")]
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "named where a cache is built")]
pub struct Json;

#[cfg(feature = "json")]
impl<V: Serialize + DeserializeOwned> Codec<V> for Json {
    fn id(&self) -> u8 {
        2
    }

    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<(), CodecError> {
        serde_json::to_writer(out, value).map_err(CodecError::new)
    }

    fn decode(&self, bytes: &[u8]) -> Result<V, CodecError> {
        serde_json::from_slice(bytes).map_err(CodecError::new)
    }
}

/// A codec could not write or read a value.
pub struct CodecError(Box<dyn StdError + Send + Sync>);

impl CodecError {
    /// Because of `source`: an error, or a text that says what is wrong.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

// Like the error in it: this type adds nothing.
impl fmt::Debug for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CodecError").field(&self.0).finish()
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the codec failed")
    }
}

impl StdError for CodecError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    type Value = (String, Vec<u64>, Option<i32>);

    fn round_trip(codec: &dyn Codec<Value>, value: &Value) -> Value {
        let mut out = b"before".to_vec();
        codec.encode(value, &mut out).expect("encodable");
        assert_eq!(&out[..6], b"before", "it appends");
        codec.decode(&out[6..]).expect("its own bytes")
    }

    proptest! {
        #[test]
        fn what_postcard_writes_it_reads(value: Value) {
            prop_assert_eq!(round_trip(&Postcard, &value), value);
        }

        #[test]
        fn no_bytes_make_postcard_panic(bytes: Vec<u8>) {
            let _: Result<Value, _> = Postcard.decode(&bytes);
        }
    }

    #[cfg(feature = "json")]
    proptest! {
        #[test]
        fn what_json_writes_it_reads(value: Value) {
            prop_assert_eq!(round_trip(&Json, &value), value);
        }

        #[test]
        fn no_bytes_make_json_panic(bytes: Vec<u8>) {
            let _: Result<Value, _> = Json.decode(&bytes);
        }
    }

    #[test]
    fn bytes_left_over_are_an_error() {
        let mut out = Vec::new();
        Postcard.encode(&7_u64, &mut out).expect("encodable");
        out.push(0);
        let read: Result<u64, _> = Postcard.decode(&out);
        read.expect_err("one byte too many");
    }
}
