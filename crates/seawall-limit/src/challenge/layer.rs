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

    pub(crate) fn desk(&self) -> &Desk {
        &self.desk
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

/// What a client brought who has to bring a proof of work.
pub(crate) enum Demand<B> {
    /// One; for a new one the response has these fields.
    Met(Vec<(HeaderName, HeaderValue)>),
    /// None: this is the answer.
    Unmet(Response<LimitBody<B>>),
}

/// A layer outside has redeemed the request's solution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Redeemed;

impl Desk {
    pub(crate) fn decide<A, B>(&self, request: &Request<A>) -> Verdict<B> {
        if !self.concerns(request) || request.extensions().get::<Redeemed>().is_some() {
            return Verdict::Serve;
        }
        let client = self.client(request);
        let now = wall::seconds();
        match self.brought(request, client, now).0 {
            Some(fields) if fields.is_empty() => return Verdict::Serve,
            Some(fields) => return Verdict::Admit(fields),
            None => {}
        }
        match self.doublings(client) {
            None => {
                self.below.increment(1);
                Verdict::Serve
            }
            Some(doublings) => Verdict::Answer(self.puzzle(request, client, doublings, now)),
        }
    }

    /// Asks for a proof of work, whatever the rate. Also tells whether the request
    /// brought what never was one.
    pub(crate) fn demand<A, B>(
        &self,
        request: &Request<A>,
        client: Option<IpAddr>,
    ) -> (Demand<B>, bool) {
        let now = wall::seconds();
        let (fields, refused) = self.brought(request, client, now);
        let demand = match fields {
            Some(fields) => Demand::Met(fields),
            None => {
                let doublings = self.state.threshold.pressure();
                Demand::Unmet(self.puzzle(request, client, doublings, now))
            }
        };
        (demand, refused)
    }

    /// Whether the request is in the scope, and not allowed beforehand.
    pub(crate) fn concerns<A>(&self, request: &Request<A>) -> bool {
        self.covers(request.uri().path()) && request.extensions().get() != Some(&Access::Allow)
    }

    pub(crate) fn client<A>(&self, request: &Request<A>) -> Option<IpAddr> {
        let address = self.client.address(request.headers(), request.extensions());
        address.map(|address| self.client.group(address))
    }

    /// The fields for the response of a request with a pass (none) or a solution; and whether it
    /// brought what never was a solution. One that is late or brought twice may be an honest mistake.
    fn brought<A>(
        &self,
        request: &Request<A>,
        client: Option<IpAddr>,
        now: u64,
    ) -> (Option<Vec<(HeaderName, HeaderValue)>>, bool) {
        let headers = request.headers();
        if let Some(pass) = answer::pass(headers)
            && self.challenge.check(pass, client, &self.scope, now).is_ok()
        {
            self.passed.increment(1);
            return (Some(Vec::new()), false);
        }
        let Some(solution) = answer::solution(headers) else { return (None, false) };
        match self.challenge.redeem(solution, client, &self.scope, now) {
            Ok(pass) => {
                self.redeemed.increment(1);
                return (Some(answer::admitted(&pass, &self.scope, now)), false);
            }
            Err(Refused::Replayed) => self.replayed.increment(1),
            Err(error) => {
                self.refused.increment(1);
                let wrong =
                    matches!(error, Refused::Malformed | Refused::Forged | Refused::Unsolved);
                return (None, wrong);
            }
        }
        (None, false)
    }

    fn puzzle<A, B>(
        &self,
        request: &Request<A>,
        client: Option<IpAddr>,
        doublings: u8,
        now: u64,
    ) -> Response<LimitBody<B>> {
        self.challenged.increment(1);
        let bits = self.challenge.config().difficulty.saturating_add(doublings);
        let puzzle = self.challenge.issue(client, &self.scope, bits, now);
        answer::challenge(request, &puzzle, &self.scope, now)
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
