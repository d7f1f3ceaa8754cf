//! A mark as bytes.
//!
//! ```text
//!  0  3  magic "SWM"
//!  3  1  format, 1
//!  4  8  hard
//! 12  8  soft
//! 20  2  number of clears, at most 64
//! 22     clears: version 8, hard 1, length 2, pattern
//! ```
//! Integers are big-endian.

use super::{Clear, Mark};
use crate::record::MAX_VERSION;

impl Mark {
    /// The bytes it is stored as.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let clears = &self.clears[..self.clears.len().min(Self::MAX_CLEARS)];
        let mut bytes = Vec::with_capacity(HEADER + clears.len() * 32);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.hard.to_be_bytes());
        bytes.extend_from_slice(&self.soft.to_be_bytes());
        bytes.extend_from_slice(&(clears.len() as u16).to_be_bytes());
        for clear in clears {
            // Longer ones cannot come from `advance`; `*` says more than any of them.
            let known = clear.pattern.len() <= Self::MAX_PATTERN;
            let pattern = if known { clear.pattern.as_bytes() } else { b"*" };
            bytes.extend_from_slice(&clear.version.to_be_bytes());
            bytes.push(u8::from(clear.hard));
            bytes.extend_from_slice(&(pattern.len() as u16).to_be_bytes());
            bytes.extend_from_slice(pattern);
        }
        bytes
    }

    /// The mark that `bytes` stand for, if they are one to the last byte.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let hard = version(&mut rest)?;
        let soft = version(&mut rest)?;
        let count = usize::from(u16::from_be_bytes(take(&mut rest)?));
        if hard == 0 || count > Self::MAX_CLEARS {
            return None;
        }
        let mut clears = Vec::with_capacity(count);
        for _ in 0..count {
            let version = version(&mut rest)?;
            let [hard] = take(&mut rest)?;
            let length = u16::from_be_bytes(take(&mut rest)?);
            let (pattern, after) = rest.split_at_checked(usize::from(length))?;
            rest = after;
            // Not a text of ours: whatever it was to match, this does.
            let pattern = std::str::from_utf8(pattern).unwrap_or("*").into();
            clears.push(Clear { version, hard: hard != 0, pattern });
        }
        rest.is_empty().then_some(Self { hard, soft, clears })
    }
}

fn version(rest: &mut &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(take(rest)?)).filter(|version| *version < MAX_VERSION)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

const MAGIC: &[u8; 4] = b"SWM\x01";
const HEADER: usize = 22;
