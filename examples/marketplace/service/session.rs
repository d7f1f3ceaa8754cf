//! Stateless sessions: `user.expiry.signature`, so that no instance keeps any.

use axum::extract::FromRequestParts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use http::header;
use http::request::Parts;
use sha2::Sha256;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{App, Problem};

/// Signs and checks sessions.
#[derive(Clone, Debug)]
pub struct Keys {
    mac: Hmac<Sha256>,
}

/// The signed-in user of a request; the extractor answers 401 without one.
#[derive(Clone, Copy, Debug)]
pub struct SignedIn {
    pub user: i64,
}

/// An hour, as the requirements ask of sessions.
pub const LIFETIME_S: u64 = 3_600;

impl Keys {
    /// Any length of secret will do.
    pub fn new(secret: &[u8]) -> Result<Self, hmac::digest::InvalidLength> {
        Ok(Self { mac: Hmac::new_from_slice(secret)? })
    }

    /// A token for `user` that expires in [`LIFETIME_S`].
    pub fn issue(&self, user: i64) -> String {
        let body = format!("{user}.{}", now_s() + LIFETIME_S);
        let signature = URL_SAFE_NO_PAD.encode(self.sign(&body).finalize().into_bytes());
        format!("{body}.{signature}")
    }

    /// The user of a token that is ours and not expired.
    pub fn check(&self, token: &str, now_s: u64) -> Option<SignedIn> {
        let (body, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        // Constant time, whatever the signature.
        self.sign(body).verify_slice(&signature).ok()?;
        let (user, expiry) = body.split_once('.')?;
        (expiry.parse::<u64>().ok()? > now_s).then_some(SignedIn { user: user.parse().ok()? })
    }

    fn sign(&self, body: &str) -> Hmac<Sha256> {
        self.mac.clone().chain_update(body.as_bytes())
    }
}

impl FromRequestParts<App> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let header = parts.headers.get(header::AUTHORIZATION);
        // The scheme's case does not matter (RFC 9110, 11.1).
        let token = header
            .and_then(|value| value.to_str().ok()?.split_once(' '))
            .and_then(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer").then_some(token));
        let token = token.ok_or_else(|| {
            Problem::unauthorized(
                "send `Authorization: Bearer TOKEN` with a token of POST /api/login",
            )
        })?;
        app.keys.check(token, now_s()).ok_or_else(|| {
            Problem::unauthorized("the token is not ours or has expired; sign in again")
        })
    }
}

/// Wall clock, because a token outlives a process that shares its secret.
#[expect(clippy::disallowed_methods, reason = "sessions last hours: minutes of skew do no harm")]
pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_until_it_expires_or_changes() {
        let keys = Keys::new(b"secret").unwrap();
        let token = keys.issue(42);
        assert_eq!(keys.check(&token, now_s()).unwrap().user, 42);
        assert!(keys.check(&token, now_s() + LIFETIME_S + 1).is_none());
        assert!(keys.check(&token.replacen("42.", "43.", 1), now_s()).is_none());
        assert!(Keys::new(b"other").unwrap().check(&token, now_s()).is_none());
        assert!(keys.check("", now_s()).is_none());
    }
}
