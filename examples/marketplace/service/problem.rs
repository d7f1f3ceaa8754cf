//! Errors as `application/problem+json` (RFC 9457).

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use seawall::cache::LoadError;
use seawall::pool::Outcome;
use serde_json::{Map, Value, json};

use super::auctions::LoadFailure;

/// An answer that is not what was asked for, with what to do about it.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
    extra: Map<String, Value>,
}

impl Problem {
    pub fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, title, detail: detail.into(), extra: Map::new() }
    }

    /// A value that breaks a bound: names the field, the value and the bound.
    pub fn field(field: &str, value: impl std::fmt::Display, bound: &str) -> Self {
        let detail = format!("{field} is {value}; it must be {bound}");
        Self::new(StatusCode::BAD_REQUEST, "Bad value", detail)
    }

    pub fn not_found(what: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, what, detail)
    }

    pub fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Not signed in", detail)
    }

    /// Adds a member to the problem.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": "about:blank",
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Value::Object(members) = &mut body {
            members.extend(self.extra);
        }
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Bad path", rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Bad query", rejection.body_text())
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), "Bad body", rejection.body_text())
    }
}

impl From<seawall::pool::Error> for Problem {
    fn from(error: seawall::pool::Error) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "a query failed");
        if error.outcome() == Some(Outcome::Unknown) {
            Self::in_doubt()
        } else {
            Self::unavailable()
        }
    }
}

impl From<tokio_postgres::Error> for Problem {
    fn from(error: tokio_postgres::Error) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "a row has another shape");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Internal error",
            "The service and its database disagree; this is ours to mend.",
        )
    }
}

impl From<LoadError<LoadFailure>> for Problem {
    fn from(error: LoadError<LoadFailure>) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "a load failed");
        Self::unavailable()
    }
}

impl Problem {
    /// A write whose end nobody saw: it may be done.
    pub fn in_doubt() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Outcome unknown",
            "The database was lost while it worked on this. Look whether it was done before you try again.",
        )
    }

    fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Temporarily unavailable",
            "The database did not answer. Nothing was changed; try again shortly.",
        )
    }
}

/// 404 for a path that no route has.
pub async fn no_such_route(uri: http::Uri) -> Problem {
    Problem::not_found("No such route", format!("nothing is served at {}", uri.path()))
}

/// 405 for a method that the route does not have; axum adds `Allow`.
pub async fn no_such_method(method: http::Method) -> Problem {
    let detail = format!("this route does not answer {method}");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", detail)
}
