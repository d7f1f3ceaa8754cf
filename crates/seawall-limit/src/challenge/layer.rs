//! Configuration and decisions of the challenge layer.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderName, HeaderValue, Request, Response};
use metrics::{Counter, counter, describe_counter};
use tokio::time::Instant;
use tower_layer::Layer;

use super::answer;
use super::puzzle::{Challenge, Refused};
use super::service::ChallengeService;
use super::threshold::Threshold;
use crate::body::LimitBody;
use crate::client::{ClientIp, Resolver};
use crate::error::Error;
use crate::lists::Access;
use crate::wall;

/// A tower layer that asks clients above a threshold for a proof of work:
/// 429 with a puzzle, as a problem document or, for browsers, as a page that
/// solves it and comes back. Clones share everything.
///
/// ```
/// use seawall_limit::{Challenge, ChallengeConfig, ChallengeLayer, ClientIp};
///
/// let config = ChallengeConfig { per_client: Some(300), overall: Some(60_000), ..ChallengeConfig::default() };
/// let layer = ChallengeLayer::new(Challenge::random(config)?, "/auctions")?
///     .identify(&ClientIp::trusting(["10.0.0.0/8"]))?;
/// layer.engage(true); // challenge everybody, whatever the rate
/// # let _ = layer;
/// # Ok::<(), seawall_limit::Error>(())
/// ```
///
/// A solution comes in the field `Challenge-Solution` or the cookie of that
/// name. The request that brings it is served, and its response has a pass, as
/// `Challenge-Pass` and as a cookie. Requests with a pass are served and not
/// counted, so put quotas inside: a pass lifts the challenge, not them.
///
/// Only paths at or below the scope are counted and challenged. Requests that a
/// [`ListLayer`](crate::ListLayer) outside of this one allowed are neither.
#[derive(Clone)]
pub struct ChallengeLayer {
    desk: Arc<Desk>,
}

impl ChallengeLayer {
    /// A layer for the paths at or below `scope`: `/`, or a path without a
    /// slash at its end, of letters, digits and `-._~/`.
    ///
    /// # Errors
    /// If the scope is not of that form.
    pub fn new(challenge: Challenge, scope: &str) -> Result<Self, Error> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
        let ends = scope == "/" || !scope.ends_with('/');
        if !scope.starts_with('/') || !ends || !scope.bytes().all(plain) {
            return Err(Error::PathPattern { pattern: scope.into() });
        }
        describe_counter!(
            OUTCOMES,
            "Requests in the scope of a challenge, by what became of them."
        );
        let told = |outcome| counter!(OUTCOMES, "outcome" => outcome);
        let threshold = Threshold::new(challenge.config())?;
        Ok(Self {
            desk: Arc::new(Desk {
                challenge,
                scope: scope.into(),
                client: Resolver::direct(),
                state: Arc::new(State { threshold, engaged: AtomicBool::new(false) }),
                below: told("below"),
                passed: told("passed"),
                redeemed: told("redeemed"),
                challenged: told("challenged"),
                replayed: told("replayed"),
                refused: told("refused"),
            }),
        })
    }

    /// How the client's address is found. Default: [`ClientIp::direct`]. IPv6
    /// clients are told apart by its prefix.
    ///
    /// # Errors
    /// If a trusted network is malformed or a number out of bounds.
    pub fn identify(mut self, client: &ClientIp) -> Result<Self, Error> {
        Arc::make_mut(&mut self.desk).client = client.compile()?;
        Ok(self)
    }

    /// Challenges everybody without a pass, or goes back to the thresholds.
    pub fn engage(&self, engaged: bool) {
        self.desk.state.engaged.store(engaged, Ordering::Relaxed);
    }
}

impl<S> Layer<S> for ChallengeLayer {
    type Service = ChallengeService<S>;

    fn layer(&self, inner: S) -> ChallengeService<S> {
        ChallengeService::new(inner, Arc::clone(&self.desk))
    }
}

impl fmt::Debug for ChallengeLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChallengeLayer")
            .field("challenge", &self.desk.challenge)
            .field("scope", &self.desk.scope)
            .finish_non_exhaustive()
    }
}

/// What all services of one layer share.
#[derive(Clone)]
pub(crate) struct Desk {
    challenge: Challenge,
    scope: Box<str>,
    client: Resolver,
    state: Arc<State>,
    below: Counter,
    passed: Counter,
    redeemed: Counter,
    challenged: Counter,
    replayed: Counter,
    refused: Counter,
}

struct State {
    threshold: Threshold,
    engaged: AtomicBool,
}

/// What a request gets.
pub(crate) enum Verdict<B> {
    Serve,
    /// Serve, and add the pass to the response.
    Admit(Vec<(HeaderName, HeaderValue)>),
    Answer(Response<LimitBody<B>>),
}

impl Desk {
    pub(crate) fn decide<A, B>(&self, request: &Request<A>) -> Verdict<B> {
        let (headers, extensions) = (request.headers(), request.extensions());
        if !self.covers(request.uri().path()) || extensions.get() == Some(&Access::Allow) {
            return Verdict::Serve;
        }
        let client =
            self.client.address(headers, extensions).map(|address| self.client.group(address));
        let now = wall::seconds();
        if let Some(pass) = answer::pass(headers)
            && self.challenge.check(pass, client, &self.scope, now).is_ok()
        {
            self.passed.increment(1);
            return Verdict::Serve;
        }
        if let Some(solution) = answer::solution(headers) {
            match self.challenge.redeem(solution, client, &self.scope, now) {
                Ok(pass) => {
                    self.redeemed.increment(1);
                    return Verdict::Admit(answer::admitted(&pass, &self.scope, now));
                }
                Err(Refused::Replayed) => self.replayed.increment(1),
                Err(_) => self.refused.increment(1),
            }
        }
        match self.doublings(client) {
            None => {
                self.below.increment(1);
                Verdict::Serve
            }
            Some(doublings) => {
                self.challenged.increment(1);
                let bits = self.challenge.config().difficulty.saturating_add(doublings);
                let puzzle = self.challenge.issue(client, &self.scope, bits, now);
                Verdict::Answer(answer::challenge(request, &puzzle, &self.scope, now))
            }
        }
    }

    fn doublings(&self, client: Option<IpAddr>) -> Option<u8> {
        let State { threshold, engaged } = &*self.state;
        let passed = threshold.passed(client, Instant::now());
        passed.or_else(|| engaged.load(Ordering::Relaxed).then(|| threshold.pressure()))
    }

    fn covers(&self, path: &str) -> bool {
        let below = path.strip_prefix(&*self.scope);
        *self.scope == *"/" || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

const OUTCOMES: &str = "seawall_limit_challenge_requests_total";
