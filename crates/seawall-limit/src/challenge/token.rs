//! Puzzles and passes as text: what they say, under a code that only the secret makes.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// Bits of work; 0 in a pass.
    pub(crate) difficulty: u8,
    /// Seconds since 1970.
    pub(crate) expires: u64,
    /// Drawn at random for a puzzle, and that of its puzzle in a pass.
    pub(crate) id: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Puzzle = 1,
    Pass = 2,
}

/// Whom and what a token is for. The text does not say it; the code covers it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound<'a> {
    pub(crate) client: Option<IpAddr>,
    pub(crate) scope: &'a str,
}

/// The secret, ready to use.
#[derive(Clone)]
pub(crate) struct Sealer {
    keyed: Hmac<Sha256>,
}

impl Sealer {
    pub(crate) fn new(secret: &[u8]) -> Option<Self> {
        Hmac::new_from_slice(secret).ok().map(|keyed| Self { keyed })
    }

    pub(crate) fn seal(&self, token: Token, bound: Bound<'_>) -> String {
        let mut bytes = [0; LENGTH];
        let (said, code) = bytes.split_at_mut(SAID);
        said.copy_from_slice(&said_of(token));
        let full = self.code(said, bound).finalize().into_bytes();
        for (byte, made) in code.iter_mut().zip(full) {
            *byte = made;
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a token whose code is right. The comparison takes the same time
    /// whatever differs.
    pub(crate) fn open(&self, text: &str, kind: Kind, bound: Bound<'_>) -> Option<Token> {
        let mut bytes = [0; LENGTH];
        if URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()? != LENGTH {
            return None;
        }
        let (said, code) = bytes.split_at(SAID);
        self.code(said, bound).verify_truncated_left(code).ok()?;
        let [version, said_kind, difficulty, numbers @ ..] = said else { return None };
        let (expires, id) = numbers.split_first_chunk::<8>()?;
        let token = Token {
            kind,
            difficulty: *difficulty,
            expires: u64::from_be_bytes(*expires),
            id: u64::from_be_bytes(*id.first_chunk::<8>()?),
        };
        (*version == VERSION && *said_kind == kind as u8).then_some(token)
    }

    /// Every part but the last has a fixed length, so that no two bounds read alike.
    fn code(&self, said: &[u8], bound: Bound<'_>) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        mac.update(b"seawall-challenge");
        mac.update(said);
        let (family, bits) = match bound.client {
            None => (0, 0),
            Some(IpAddr::V4(v4)) => (4, v4.to_bits().into()),
            Some(IpAddr::V6(v6)) => (6, v6.to_bits()),
        };
        mac.update(&[family]);
        mac.update(&bits.to_be_bytes());
        mac.update(bound.scope.as_bytes());
        mac
    }
}

fn said_of(token: Token) -> [u8; SAID] {
    let mut said = [0; SAID];
    let head = [VERSION, token.kind as u8, token.difficulty];
    let numbers = [token.expires.to_be_bytes(), token.id.to_be_bytes()];
    let bytes = head.into_iter().chain(numbers.into_iter().flatten());
    for (place, byte) in said.iter_mut().zip(bytes) {
        *place = byte;
    }
    said
}

const VERSION: u8 = 1;
/// Version, kind, difficulty, expiry, id.
const SAID: usize = 3 + 8 + 8;
/// With a code of 128 bits.
const LENGTH: usize = SAID + 16;
