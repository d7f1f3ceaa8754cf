//! From a request's head to a decision.

use std::sync::atomic::{AtomicBool, Ordering};

use http::{Extensions, HeaderMap, Method, Request, Uri};
use metrics::{Counter, counter, describe_counter};
use tokio::time::Instant;

use super::rule::Rules;
use crate::answer::Answers;
use crate::client::{Networks, Resolver};
use crate::decision::Decision;
use crate::key::Key;

/// A request without its body.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target.
    pub uri: &'a Uri,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// What earlier layers and the server attached.
    pub extensions: &'a Extensions,
}

impl<'a> Head<'a> {
    fn of<B>(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }
}

pub(crate) type KeyFn = dyn for<'a> Fn(&Head<'a>) -> Option<Key<'a>> + Send + Sync;

/// Everything that services of one layer share.
pub(crate) struct Gate {
    client: Resolver,
    key: Option<Box<KeyFn>>,
    allowed: Networks,
    rules: Rules,
    pub(crate) answers: Answers,
    unidentified: Counter,
    warned: AtomicBool,
}

impl Gate {
    pub(crate) fn new(
        client: Resolver,
        key: Option<Box<KeyFn>>,
        allowed: Networks,
        rules: Rules,
        answers: Answers,
    ) -> Self {
        describe_counter!(
            UNIDENTIFIED,
            "Requests whose server told no peer address; they share one quota."
        );
        Self {
            client,
            key,
            allowed,
            rules,
            answers,
            unidentified: counter!(UNIDENTIFIED),
            warned: AtomicBool::new(false),
        }
    }

    /// Decides on a request; `None` if it meets no policy or is exempt or allowed.
    pub(crate) fn decide<B>(&self, request: &Request<B>) -> Option<Decision<'_>> {
        let head = Head::of(request);
        let set = self.rules.policies(head.method, head.uri.path())?;
        let address = self.client.address(head.headers, head.extensions);
        if address.is_some_and(|address| self.allowed.contains(address)) {
            return None;
        }
        let key = match (self.key.as_ref().and_then(|key| key(&head)), address) {
            (Some(key), _) => key,
            (None, Some(address)) => Key::Ip(self.client.group(address)),
            (None, None) => self.unknown(),
        };
        Some(self.rules.limiter().check(key, set, Instant::now()))
    }

    fn unknown(&self) -> Key<'static> {
        self.unidentified.increment(1);
        if !self.warned.load(Ordering::Relaxed) && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a request has no peer address: such clients share one quota; see ClientIp::peer"
            );
        }
        Key::Unknown
    }
}

const UNIDENTIFIED: &str = "seawall_limit_unidentified_total";
