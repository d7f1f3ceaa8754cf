//! Configuration of the layer.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use tower_layer::Layer;

use super::seal::Seal;
use super::service::CausalService;
use crate::error::Error;

/// A tower layer that gives each request a [`Causal`](crate::Causal), in its extensions, starting
/// from the token that the client sent; if the request moves it, the response
/// carries the new token. So a user sees what he wrote a moment ago, also when the
/// next request is served by another process. That a write was done whose position is not known, or
/// may have been, is carried too: reads then go to the primary, in the next request as in this one.
///
/// The token travels in a cookie or in a header, signed with HMAC-SHA256: whoever could
/// make tokens up could send all reads to the primary. One whose signature is
/// wrong counts as none. A token says how far the database's log has come; it holds
/// nothing else, and an old one that is sent again only asks for less.
///
/// ```
/// use seawall_pool::{Causal, CausalLayer};
///
/// # fn example() -> Result<(), seawall_pool::Error> {
/// let layer = CausalLayer::cookie("seen", b"32 bytes or more, from a secret store")?;
/// // In a handler: pool.write().causal(request.extensions().get::<Causal>()...)
/// # let _ = layer;
/// # Ok(())
/// # }
/// # example().unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct CausalLayer {
    config: Arc<Config>,
}

#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) seal: Seal,
    pub(super) carrier: Carrier,
}

/// What the token travels in.
#[derive(Clone, Debug)]
pub(super) enum Carrier {
    Header(HeaderName),
    Cookie { name: Box<str>, max_age: Duration, secure: bool },
}

impl CausalLayer {
    /// In a cookie: `HttpOnly`, `SameSite=Lax`, `Secure`, for an hour.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if `name` is not a token of RFC 6265 or `key` is shorter than
    /// 32 bytes.
    pub fn cookie(name: &str, key: &[u8]) -> Result<Self, Error> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(fits) {
            return Err(out_of_bounds("cookie name", name, "a token of RFC 6265"));
        }
        let max_age = Duration::from_secs(3_600);
        Self::new(Carrier::Cookie { name: name.into(), max_age, secure: true }, key)
    }

    /// In a header of requests and responses, for clients that are programs.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if `key` is shorter than 32 bytes.
    pub fn header(name: HeaderName, key: &[u8]) -> Result<Self, Error> {
        Self::new(Carrier::Header(name), key)
    }

    fn new(carrier: Carrier, key: &[u8]) -> Result<Self, Error> {
        Ok(Self { config: Arc::new(Config { seal: Seal::new(key)?, carrier }) })
    }

    /// Also accepts tokens signed with this key, which was the key before: for
    /// changing keys without losing what users have seen.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if `key` is shorter than 32 bytes.
    pub fn or_key(mut self, key: &[u8]) -> Result<Self, Error> {
        Arc::make_mut(&mut self.config).seal.also(key)?;
        Ok(self)
    }

    /// How long a cookie lasts. Default one hour; a replica that is further
    /// behind does not serve anyway.
    #[must_use]
    pub fn max_age(mut self, lasts: Duration) -> Self {
        if let Carrier::Cookie { max_age, .. } = &mut Arc::make_mut(&mut self.config).carrier {
            *max_age = lasts;
        }
        self
    }

    /// Leaves `Secure` out of the cookie, for plain HTTP in development.
    #[must_use]
    pub fn insecure(mut self) -> Self {
        if let Carrier::Cookie { secure, .. } = &mut Arc::make_mut(&mut self.config).carrier {
            *secure = false;
        }
        self
    }
}

impl<S> Layer<S> for CausalLayer {
    type Service = CausalService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CausalService::new(inner, Arc::clone(&self.config))
    }
}

pub(super) fn out_of_bounds(field: &'static str, value: &str, bounds: &str) -> Error {
    Error::Config { field, value: value.into(), bounds: bounds.into() }
}
