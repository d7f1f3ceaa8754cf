//! From a request's head to a decision.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Extensions, HeaderMap, Method, Request, Response, Uri};
use metrics::{Counter, counter, describe_counter};
use tokio::time::Instant;

#[cfg(feature = "redis")]
use super::cluster;
use super::rule::Rules;
use crate::answer::{self, Answers, Fields, Manner};
use crate::body::LimitBody;
use crate::client::{Networks, Resolver};
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

/// How a request fares.
pub(crate) enum Verdict<B> {
    /// Its response gets these fields.
    Admit([Option<Fields>; 2]),
    /// This is the answer.
    Reject(Response<LimitBody<B>>),
}

/// What the gate says of a request.
pub(crate) enum Judged<B> {
    Now(Verdict<B>),
    /// It takes asking others.
    #[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "only Redis is asked"))]
    Later(Asked<B>),
}

pub(crate) type Asked<B> = Pin<Box<dyn Future<Output = Verdict<B>> + Send>>;

impl<B> Judged<B> {
    const fn free() -> Self {
        Self::Now(Verdict::Admit([None, None]))
    }
}

/// Everything that services of one layer share.
pub(crate) struct Gate {
    client: Resolver,
    key: Option<Box<KeyFn>>,
    allowed: Networks,
    rules: Rules,
    answers: Answers,
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

    /// Decides on a request, or says how to find out.
    pub(crate) fn judge<A, B>(&self, request: &Request<A>) -> Judged<B> {
        let head = Head::of(request);
        let Some(sets) = self.rules.policies(head.method, head.uri.path()) else {
            return Judged::free();
        };
        let Some(key) = self.key(&head, true) else { return Judged::free() };
        let now = Instant::now();
        let mut fields = [None, None];
        if let (Some(limiter), Some(set)) = (&self.rules.limiters().local, &sets.local) {
            let decision = limiter.check(key, set, now);
            if !decision.is_allowed() {
                let manner = Manner::of(request, self.answers);
                return Judged::Now(Verdict::Reject(answer::rejection(&decision, &manner)));
            }
            fields[0] = Some(Fields::of(&decision, self.answers));
        }
        #[cfg(feature = "redis")]
        if let Some(set) = &sets.cluster {
            let manner = Manner::of(request, self.answers);
            let judged = cluster::judge(set, key, now, manner, fields);
            if let Judged::Now(Verdict::Reject(_)) = &judged {
                self.refund_key(sets, key);
            }
            return judged;
        }
        Judged::Now(Verdict::Admit(fields))
    }

    /// Takes back what the local policies were charged for a request that the cluster-wide ones
    /// reject.
    pub(crate) fn refund<A>(&self, request: &Request<A>) {
        let head = Head::of(request);
        if let Some(sets) = self.rules.policies(head.method, head.uri.path())
            && let Some(key) = self.key(&head, false)
        {
            self.refund_key(sets, key);
        }
    }

    fn refund_key(&self, sets: &super::rule::Sets, key: Key<'_>) {
        if let (Some(limiter), Some(set)) = (&self.rules.limiters().local, &sets.local) {
            limiter.refund(key, set, 1);
        }
    }

    /// Whom to charge; `None` if it is one of those that pass. `first`: nobody asked before.
    fn key<'a>(&self, head: &Head<'a>, first: bool) -> Option<Key<'a>> {
        let address = self.client.address(head.headers, head.extensions);
        if address.is_some_and(|address| self.allowed.contains(address)) {
            return None;
        }
        Some(match (self.key.as_ref().and_then(|key| key(head)), address) {
            (Some(key), _) => key,
            (None, Some(address)) => Key::Ip(self.client.group(address)),
            (None, None) => {
                if first {
                    self.unidentified();
                }
                Key::Unknown
            }
        })
    }

    fn unidentified(&self) {
        self.unidentified.increment(1);
        if !self.warned.load(Ordering::Relaxed) && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a request has no peer address: such clients share one quota; see ClientIp::peer"
            );
        }
    }
}

const UNIDENTIFIED: &str = "seawall_limit_unidentified_total";
