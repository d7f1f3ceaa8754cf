//! Signing in.

use std::sync::OnceLock;

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
    let row = app
        .pool
        .read()
        .query_opt("SELECT id, password_hash FROM users WHERE email = $1", &[&email])
        .await?;
    let (user, hash) = row.map_or((None, None), |row| (Some(row.get(0)), Some(row.get(1))));
    let Ok(_turn) = app.hashing.acquire().await else {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Shutting down",
            "try another instance",
        ));
    };
    let fits = tokio::task::spawn_blocking(move || verify(hash, &password)).await.unwrap_or(false);
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
