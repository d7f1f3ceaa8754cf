//! Tokens as text that others cannot make up.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::layer::out_of_bounds;
use crate::Token;
use crate::causal::Unknown;
use crate::error::Error;

/// Keys: the first signs, all are accepted.
#[derive(Clone)]
pub(super) struct Seal(Vec<Hmac<Sha256>>);

impl Seal {
    pub(super) fn new(key: &[u8]) -> Result<Self, Error> {
        let mut seal = Self(Vec::new());
        seal.also(key)?;
        Ok(seal)
    }

    pub(super) fn also(&mut self, key: &[u8]) -> Result<(), Error> {
        let short = || {
            let given = format!("{} bytes long", key.len());
            out_of_bounds("key", &given, "at least 32 bytes")
        };
        if key.len() < LEAST_KEY {
            return Err(short());
        }
        let mut keyed = Hmac::<Sha256>::new_from_slice(key).map_err(|_| short())?;
        // So that a signature made for another purpose is none here.
        keyed.update(PURPOSE);
        self.0.push(keyed);
        Ok(())
    }

    /// `TOKEN.SIGNATURE`: letters, digits, points, `-` and `_`. The token ends with a `-` if a
    /// write of unknown position was done, and with a `_` if one may be; it may be
    /// that alone.
    pub(super) fn close(&self, carried: Carried) -> String {
        let mut text = carried.token.map_or_else(String::new, |token| token.to_string());
        text.extend(carried.unknown.map(mark));
        if let Some(keyed) = self.0.first() {
            let signature = keyed.clone().chain_update(text.as_bytes()).finalize().into_bytes();
            text.push('.');
            URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        }
        text
    }

    /// The token, if one of the keys signed it. Takes the same time however much of
    /// the signature is right.
    pub(super) fn open(&self, text: &str) -> Option<Carried> {
        if text.len() > LONGEST {
            return None;
        }
        let (token, signature) = text.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let signed = |keyed: &Hmac<Sha256>| {
            keyed.clone().chain_update(token.as_bytes()).verify_slice(&signature).is_ok()
        };
        if self.0.iter().any(signed) { Carried::read(token) } else { None }
    }
}

/// What goes from one request of a user to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Carried {
    pub(super) token: Option<Token>,
    pub(super) unknown: Option<Unknown>,
}

impl Carried {
    fn read(text: &str) -> Option<Self> {
        let marked = |unknown| Some((text.strip_suffix(mark(unknown))?, Some(unknown)));
        let (token, unknown) =
            marked(Unknown::Done).or_else(|| marked(Unknown::Open)).unwrap_or((text, None));
        if token.is_empty() && unknown.is_some() {
            return Some(Self { token: None, unknown });
        }
        Some(Self { token: Some(token.parse().ok()?), unknown })
    }
}

const fn mark(unknown: Unknown) -> char {
    match unknown {
        Unknown::Done => '-',
        Unknown::Open => '_',
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").field("keys", &self.0.len()).finish_non_exhaustive()
    }
}

const LEAST_KEY: usize = 32;
const PURPOSE: &[u8] = b"seawall-pool causal token 1:";
/// Three numbers of 16, 8 and 16 digits, a mark, a signature of 43, and the points.
const LONGEST: usize = 16 + 8 + 16 + 1 + 43 + 3;
