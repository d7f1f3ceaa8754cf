//! What a response says about the node, and what a request's key is.

use crate::pick::Outcome;

/// Tells how a request ended, as far as the node is concerned.
///
/// Any `Fn(Result<&Response, &Error>) -> Outcome` is one:
///
/// ```
/// use seawall_balance::{Classify, Outcome};
///
/// fn by_status(result: Result<&http::Response<()>, &std::io::Error>) -> Outcome {
///     match result {
///         Ok(response) if response.status() == 503 => Outcome::Saturated(None),
///         Ok(response) if response.status().is_server_error() => Outcome::Failure,
///         Ok(_) => Outcome::Success,
///         Err(_) => Outcome::Failure,
///     }
/// }
/// assert_eq!(by_status.classify(Ok(&http::Response::new(()))), Outcome::Success);
/// ```
pub trait Classify<Response, Error> {
    /// Called once for each request that was not cancelled.
    fn classify(&self, result: Result<&Response, &Error>) -> Outcome;
}

impl<F, Response, Error> Classify<Response, Error> for F
where
    F: Fn(Result<&Response, &Error>) -> Outcome,
{
    fn classify(&self, result: Result<&Response, &Error>) -> Outcome {
        self(result)
    }
}

/// A response is a success, an error a failure.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ErrorsFail;

impl<Response, Error> Classify<Response, Error> for ErrorsFail {
    fn classify(&self, result: Result<&Response, &Error>) -> Outcome {
        if result.is_ok() { Outcome::Success } else { Outcome::Failure }
    }
}

/// Finds the key of a request, hashed with [`hash_key`](crate::hash_key), for
/// policies that use keys. Any `Fn(&Request) -> Option<u64>` is one; none is
/// any node.
pub trait KeyOf<Request> {
    /// Called once for each request.
    fn key_of(&self, request: &Request) -> Option<u64>;
}

impl<F, Request> KeyOf<Request> for F
where
    F: Fn(&Request) -> Option<u64>,
{
    fn key_of(&self, request: &Request) -> Option<u64> {
        self(request)
    }
}

/// No request has a key.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct NoKey;

impl<Request> KeyOf<Request> for NoKey {
    fn key_of(&self, _: &Request) -> Option<u64> {
        None
    }
}
