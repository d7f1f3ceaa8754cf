//! Configuration and decision of the list layer.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::CACHE_CONTROL;
use http::{HeaderValue, Request, Response, StatusCode};
use metrics::{Counter, counter, describe_counter};
use tower_layer::Layer;

use super::access::{Access, SharedAccessList};
use super::geo::{GeoPolicy, Locate};
use super::service::ListService;
use crate::answer::Problem;
use crate::body::LimitBody;
use crate::client::{ClientIp, Resolver};
use crate::error::Error;

/// A tower layer that turns denied clients away: 403 with a problem document.
/// Clones share everything.
///
/// ```
/// use seawall_limit::{AccessList, ClientIp, GeoPolicy, ListLayer, Place, SharedAccessList};
///
/// let list = SharedAccessList::new(AccessList::builder().deny_text("198.51.100.0/24")?.build());
/// let policy = GeoPolicy { deny: vec!["XA".parse()?], ..GeoPolicy::default() };
/// let layer = ListLayer::new(list.clone())
///     .identify(&ClientIp::trusting(["10.0.0.0/8"]))?
///     .geo(policy, |_address| Place::default()); // ask your database
/// list.replace(AccessList::builder().deny_text("192.0.2.0/24")?.build()); // from now on
/// # let _ = layer;
/// # Ok::<(), seawall_limit::Error>(())
/// ```
///
/// The list decides first, by the longest prefix; countries decide on what it
/// does not name. Requests of a client that the list allows carry the
/// extension [`Access::Allow`], by which [`ChallengeLayer`](crate::ChallengeLayer)
/// and handlers know them. A client whose peer address is unknown is on no list.
#[derive(Clone)]
pub struct ListLayer {
    desk: Arc<Desk>,
}

impl ListLayer {
    /// A layer that knows clients by their peer address.
    #[must_use]
    pub fn new(list: SharedAccessList) -> Self {
        describe_counter!(
            DECISIONS,
            "Requests by what the access lists and the country policy said of their client."
        );
        let told = |outcome| counter!(DECISIONS, "outcome" => outcome);
        Self {
            desk: Arc::new(Desk {
                list,
                client: Resolver::direct(),
                geo: None,
                unlisted: Access::Allow,
                problem: Problem::plain(StatusCode::FORBIDDEN, DETAIL),
                allowed: told("allowed"),
                denied: told("denied"),
                unlisted_passed: told("unlisted"),
            }),
        }
    }

    /// How the client's address is found. Default: [`ClientIp::direct`].
    ///
    /// # Errors
    /// If a trusted network is malformed or a number out of bounds.
    pub fn identify(self, client: &ClientIp) -> Result<Self, Error> {
        let client = client.compile()?;
        Ok(self.change(|desk| desk.client = client))
    }

    /// Decides by country on the addresses that the list does not name.
    #[must_use]
    pub fn geo(self, policy: GeoPolicy, locate: impl Locate + 'static) -> Self {
        self.change(|desk| desk.geo = Some((policy, Arc::new(locate))))
    }

    /// Turns away whoever the list does not allow, for services with known
    /// clients only. Countries are then not asked.
    #[must_use]
    pub fn deny_unlisted(self) -> Self {
        self.change(|desk| desk.unlisted = Access::Deny)
    }

    /// What a client that is turned away reads.
    #[must_use]
    pub fn message(self, detail: &str) -> Self {
        self.change(|desk| desk.problem = Problem::plain(StatusCode::FORBIDDEN, detail))
    }

    pub(crate) fn into_desk(self) -> Arc<Desk> {
        self.desk
    }

    fn change(mut self, change: impl FnOnce(&mut Desk)) -> Self {
        change(Arc::make_mut(&mut self.desk));
        self
    }
}

impl<S> Layer<S> for ListLayer {
    type Service = ListService<S>;

    fn layer(&self, inner: S) -> ListService<S> {
        ListService::new(inner, Arc::clone(&self.desk))
    }
}

impl fmt::Debug for ListLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListLayer").field("list", &self.desk.list).finish_non_exhaustive()
    }
}

/// What all services of one layer share.
#[derive(Clone)]
pub(crate) struct Desk {
    list: SharedAccessList,
    client: Resolver,
    geo: Option<(GeoPolicy, Arc<dyn Locate>)>,
    unlisted: Access,
    problem: Problem,
    allowed: Counter,
    denied: Counter,
    unlisted_passed: Counter,
}

impl Desk {
    /// What the list or the country says; `None` for those who may pass unnamed.
    pub(crate) fn decide<B>(&self, request: &Request<B>) -> Option<Access> {
        let address = self.client.address(request.headers(), request.extensions());
        let access = self.decide_on(address);
        self.count(access);
        access
    }

    /// The same of an address that is known, not counted.
    pub(crate) fn decide_on(&self, address: Option<IpAddr>) -> Option<Access> {
        let listed = address.and_then(|address| self.list.get(address));
        listed.or_else(|| match (self.unlisted, &self.geo, address) {
            (Access::Deny, ..) => Some(Access::Deny),
            (_, Some((policy, locate)), Some(address)) => {
                Some(policy.decide(locate.locate(address))).filter(|said| *said == Access::Deny)
            }
            _ => None,
        })
    }

    pub(crate) fn count(&self, access: Option<Access>) {
        match access {
            Some(Access::Allow) => self.allowed.increment(1),
            Some(Access::Deny) => self.denied.increment(1),
            None => self.unlisted_passed.increment(1),
        }
    }

    pub(crate) fn refusal<A, B>(&self, request: &Request<A>) -> Response<LimitBody<B>> {
        let mut response = self.problem.response(StatusCode::FORBIDDEN, request.method());
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

const DETAIL: &str = "This service is not available from your network.";
const DECISIONS: &str = "seawall_limit_list_decisions_total";
