//! A codec that fails on purpose.

use std::fmt;

use super::dice::Dice;
use crate::codec::{Codec, CodecError};

/// A [`Codec`] that cannot write or read some values, as when a type and its bytes have parted.
pub struct ChaosCodec<C> {
    inner: C,
    dice: Dice,
    encode: f64,
    decode: f64,
}

impl<C> ChaosCodec<C> {
    /// Fails to encode with probability `encode` and to decode with probability `decode`, drawn
    /// from `seed`.
    pub fn new(inner: C, seed: u64, encode: f64, decode: f64) -> Self {
        Self { inner, dice: Dice::new(seed), encode, decode }
    }
}

impl<V, C: Codec<V>> Codec<V> for ChaosCodec<C> {
    fn id(&self) -> u8 {
        self.inner.id()
    }

    fn encode(&self, value: &V, out: &mut Vec<u8>) -> Result<(), CodecError> {
        if self.dice.strikes(self.encode) {
            return Err(CodecError::new("chaos"));
        }
        self.inner.encode(value, out)
    }

    fn decode(&self, bytes: &[u8]) -> Result<V, CodecError> {
        if self.dice.strikes(self.decode) {
            return Err(CodecError::new("chaos"));
        }
        self.inner.decode(bytes)
    }
}

impl<C> fmt::Debug for ChaosCodec<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChaosCodec")
            .field("encode", &self.encode)
            .field("decode", &self.decode)
            .finish_non_exhaustive()
    }
}
