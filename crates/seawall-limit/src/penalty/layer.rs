//! Configuration and decisions of the penalty layer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, Response};
use metrics::{Counter, counter, describe_counter};
use tokio::time::Instant;
use tower_layer::Layer;

use super::keeper::Penalties;
use super::law::Standing;
use super::service::PenaltyService;
use crate::answer::{self, Answers, Manner, Problem};
use crate::body::LimitBody;
use crate::challenge::{ChallengeLayer, Demand};
use crate::key::Key;
use crate::moment::Moment;
use crate::table::KeyHash;

/// A tower layer that keeps clients to their [`Standing`]: who is ok is served,
/// who is challenged is served for a proof of work, who is blocked is turned away
/// with the time to come back. Clones share everything.
///
/// ```
/// use seawall_limit::{
///     Challenge, ChallengeConfig, ChallengeLayer, ClientIp, Penalties, PenaltyConfig, PenaltyLayer,
/// };
///
/// let challenge = Challenge::random(ChallengeConfig::default())?;
/// let challenge = ChallengeLayer::new(challenge, "/")?.identify(&ClientIp::behind(1))?;
/// let penalties = Penalties::new(&PenaltyConfig::default())?;
/// let layer = PenaltyLayer::new(penalties.clone(), &challenge);
/// // axum: .layer(limits).layer(challenge).layer(layer).layer(lists)
/// # let _ = layer;
/// # Ok::<(), seawall_limit::Error>(())
/// ```
///
/// A response from inside with [`Violation`](super::Violation) in its extensions
/// is a violation of its client: a [`LimitLayer`](crate::LimitLayer)'s rejection,
/// or what the service says of a failed sign-in. A wrong solution of a
/// challenge is one too; one that is late or was used before, or none at all, is not.
///
/// The client's address, the scope and the passes are those of the challenge
/// layer, which need not be in the stack itself; if it is, inside of this one, a
/// solution counts for both. Who has a pass is served while challenged, but may
/// still violate, and be blocked. Requests outside of the scope, and those that
/// a [`ListLayer`](crate::ListLayer) outside of this one allowed, pass untold.
///
/// Blocked is 429 with the problem type `abnormal-usage-detected` and
/// `Retry-After`, or to gRPC UNAVAILABLE with the same wait.
#[derive(Clone)]
pub struct PenaltyLayer {
    ward: Arc<Ward>,
}

impl PenaltyLayer {
    /// A layer that challenges as `challenge` does.
    #[must_use]
    pub fn new(penalties: Penalties, challenge: &ChallengeLayer) -> Self {
        describe_counter!(REQUESTS, "Requests by what the standing of their client was.");
        let told = |outcome| counter!(REQUESTS, "outcome" => outcome);
        Self {
            ward: Arc::new(Ward {
                penalties,
                challenge: challenge.clone(),
                blocked: Problem::blocked(DETAIL),
                told: [told("ok"), told("challenge"), told("blocked")],
            }),
        }
    }

    /// The standings, for orders and gauges.
    #[must_use]
    pub fn penalties(&self) -> &Penalties {
        &self.ward.penalties
    }
}

impl<S> Layer<S> for PenaltyLayer {
    type Service = PenaltyService<S>;

    fn layer(&self, inner: S) -> PenaltyService<S> {
        PenaltyService::new(inner, Arc::clone(&self.ward))
    }
}

impl fmt::Debug for PenaltyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PenaltyLayer")
            .field("penalties", &self.ward.penalties)
            .finish_non_exhaustive()
    }
}

/// What all services of one layer share.
pub(crate) struct Ward {
    pub(crate) penalties: Penalties,
    challenge: ChallengeLayer,
    blocked: Problem,
    told: [Counter; 3],
}

/// What a request gets.
pub(crate) enum Verdict<B> {
    /// It is not in the scope.
    Pass,
    /// Serve; violations are the key's. Fields are added to the response, and a request that
    /// redeemed a solution is marked for the challenge inside.
    Serve(KeyHash, Vec<(HeaderName, HeaderValue)>),
    Answer(Response<LimitBody<B>>),
}

impl Ward {
    pub(crate) fn judge<A, B>(&self, request: &Request<A>) -> Verdict<B> {
        let desk = self.challenge.desk();
        if !desk.concerns(request) {
            return Verdict::Pass;
        }
        let client = desk.client(request);
        let key = self.penalties.hash(client.map_or(Key::Unknown, Key::Ip));
        let now = Moment::from(Instant::now()).nanos();
        let state = self.penalties.state(key, now);
        match state.standing {
            Standing::Ok => {
                self.told[0].increment(1);
                Verdict::Serve(key, Vec::new())
            }
            Standing::Challenge => {
                self.told[1].increment(1);
                let (demand, refused) = desk.demand(request, client);
                if refused {
                    self.penalties.violation(key, now);
                }
                match demand {
                    Demand::Met(fields) => Verdict::Serve(key, fields),
                    Demand::Unmet(response) => Verdict::Answer(response),
                }
            }
            Standing::Blocked => {
                self.told[2].increment(1);
                let wait = Duration::from_nanos(state.until.saturating_sub(now));
                let manner = Manner::of(request, Answers::default());
                Verdict::Answer(answer::blocked(&self.blocked, &manner, wait))
            }
        }
    }
}

const REQUESTS: &str = "seawall_limit_penalty_requests_total";
const DETAIL: &str = "This client is blocked for a while, as it kept overrunning its limits.";
