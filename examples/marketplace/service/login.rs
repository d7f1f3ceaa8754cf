//! Signing in.

use std::sync::{Arc, OnceLock};

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::session::LIFETIME_S;
use super::{App, Problem};

/// The body of a login.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    email: String,
    password: String,
}

/// `POST /api/login` with `{"email": "...", "password": "..."}`: a token, or 401.
pub async fn login(
    State(app): State<App>,
    login: Result<Json<Login>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(Login { email, password }) = login?;
    if password.len() > MAX_PASSWORD {
        return Err(Problem::field("password", "longer", "at most 256 bytes"));
    }
    // No address is longer (RFC 5321), and PostgreSQL's text cannot hold a NUL.
    if email.len() > MAX_EMAIL || email.contains('\0') {
        return Err(Problem::field("email", "no address", "at most 254 bytes without NUL"));
    }
    let row = app
        .pool
        .read()
        .query_opt("SELECT id, password_hash FROM users WHERE email = $1", &[&email])
        .await?;
    let (user, hash) = match row {
        Some(row) => (Some(row.try_get(0)?), Some(row.try_get(1)?)),
        None => (None, None),
    };
    let Ok(turn) = Arc::clone(&app.hashing).acquire_owned().await else {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Shutting down",
            "try another instance",
        ));
    };
    let hashed = tokio::task::spawn_blocking(move || {
        // Held here: the hashing goes on when the client has gone.
        let _turn = turn;
        verify(hash, &password)
    });
    let fits = hashed.await.unwrap_or(false);
    // One answer for both, so that nobody learns which addresses exist.
    let Some(user) = user.filter(|_| fits) else {
        return Err(Problem::unauthorized("no user has this e-mail address and password"));
    };
    Ok(Json(json!({ "token": app.keys.issue(user), "expires_in_s": LIFETIME_S })).into_response())
}

/// Takes as long for an unknown user as for a known one.
fn verify(hash: Option<String>, password: &str) -> bool {
    static NOBODY: OnceLock<String> = OnceLock::new();
    let known = hash.is_some();
    let hash = hash.unwrap_or_else(|| {
        let hash = NOBODY.get_or_init(|| {
            SaltString::encode_b64(b"nobody's salt")
                .and_then(|salt| Ok(Argon2::default().hash_password(b"nobody", &salt)?.to_string()))
                .unwrap_or_default()
        });
        hash.clone()
    });
    PasswordHash::new(&hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
        && known
}

const MAX_PASSWORD: usize = 256;
const MAX_EMAIL: usize = 254;
