//! How quotas are told.

/// Which fields tell a client how its quota stands. The meaning is the same in
/// all: what may still be spent, and in what time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum RateLimitFields {
    /// `RateLimit: "bids";r=12;t=15` and `RateLimit-Policy: "bids";q=50;w=60`:
    /// draft-ietf-httpapi-ratelimit-headers-11; lists since draft 8.
    #[default]
    Draft11,
    /// `RateLimit: limit=50, remaining=12, reset=15` and `RateLimit-Policy: 50;w=60`.
    Draft07,
    /// `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset`, and
    /// `RateLimit-Policy: 50;w=60`.
    Draft06,
    /// The same three, without a policy: drafts 3 to 5.
    Draft03,
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`, the last in seconds from now.
    XRateLimit,
    /// The same, the last in seconds since 1970, as GitHub has it. For this the
    /// wall clock is read.
    XRateLimitEpoch,
    /// None. `Retry-After` is sent nevertheless.
    None,
}

/// How a layer tells clients about their quotas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Answers {
    /// The fields. Default: those of draft 11.
    pub fields: RateLimitFields,
    /// Whether scripts of other origins may read them: adds
    /// `Access-Control-Expose-Headers` with their names and `Retry-After`. A
    /// CORS layer that names them does as well. Default: false.
    pub expose: bool,
}
