//! Configuration of the quota layer.

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::gate::{Gate, Head, KeyFn};
use super::reload::{Said, Shared};
use super::rule::{Limiters, Rule, Rules};
use super::service::LimitService;
use crate::answer::Answers;
use crate::client::{ClientIp, Networks};
#[cfg(feature = "redis")]
use crate::cluster::ClusterLimiter;
use crate::error::Error;
use crate::key::Key;
use crate::limiter::Limiter;
use crate::lists::{Desk, ListLayer};

/// A tower layer that charges each request's policies to its client and answers
/// 429 if one is spent. Clones share everything.
///
/// ```
/// use std::time::Duration;
/// use http::Method;
/// use seawall_limit::{ClientIp, LimitLayer, Limiter, Rule, presets};
///
/// let limiter = Limiter::builder().policies(presets::auction()).build()?;
/// let layer = LimitLayer::new(limiter)
///     .identify(ClientIp::trusting(["127.0.0.0/8", "::1"]))
///     .rule(Rule::any().policy("all"))
///     .rule(Rule::path_prefix("/api").policy("api"))
///     .rule(Rule::path_prefix("/api/auth").policy("auth"))
///     .rule(Rule::path("/api/auctions/{id}/bids").method(Method::POST).policy("bids"))
///     .rule(Rule::path_prefix("/health").exempt())
///     .allow(["10.1.2.3"])
///     .build()?;
/// # let _ = layer;
/// # Ok::<(), seawall_limit::Error>(())
/// ```
///
/// The service inside is not called for a rejected request. A charge is made
/// when the request arrives and stays, even if the response future is dropped.
///
/// Rejections are `application/problem+json` with `Retry-After`, whole seconds
/// and never too early. Rejected and admitted responses carry `RateLimit` and
/// `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11), also if the
/// service fails with a response; requests that match no policy, are exempt or
/// allowed carry neither.
///
/// Rules that charge several subjects ([`Rule::by`]) are one joint decision; the
/// fields tell of the tightest subject or, if several reject, of the one that has
/// to be waited for longest. From a file: [`LayerConfig`](super::LayerConfig).
#[derive(Clone)]
pub struct LimitLayer {
    shared: Arc<Shared>,
}

impl LimitLayer {
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What shadowed policies and candidates would have changed since the layer
    /// was built or last reloaded: see [`Limiter::shadow`].
    #[must_use]
    pub fn shadow(&self) -> Option<crate::ShadowStats> {
        self.shared.gate().limiter().and_then(Limiter::shadow)
    }

    /// Starts a layer; [`build`](LimitLayerBuilder::build) checks and makes it.
    #[expect(clippy::new_ret_no_self, reason = "a layer without rules would do nothing")]
    pub fn new(limiter: Limiter) -> LimitLayerBuilder {
        LimitLayerBuilder::new(Limiters {
            local: Some(limiter),
            #[cfg(feature = "redis")]
            cluster: None,
        })
    }

    /// Starts a layer whose policies are all cluster-wide; see [`LimitLayerBuilder::cluster`].
    #[cfg(feature = "redis")]
    pub fn cluster(cluster: ClusterLimiter) -> LimitLayerBuilder {
        LimitLayerBuilder::new(Limiters { local: None, cluster: Some(cluster) })
    }
}

impl<S> Layer<S> for LimitLayer {
    type Service = LimitService<S>;

    fn layer(&self, inner: S) -> LimitService<S> {
        LimitService::new(inner, Arc::clone(&self.shared))
    }
}

impl fmt::Debug for LimitLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitLayer").finish_non_exhaustive()
    }
}

/// Rules, identity and exceptions of a [`LimitLayer`].
#[must_use = "build() makes the layer"]
pub struct LimitLayerBuilder {
    limiters: Limiters,
    client: ClientIp,
    key: Option<Arc<KeyFn>>,
    rules: Vec<Rule>,
    allowed: Vec<Box<str>>,
    lists: Option<Arc<Desk>>,
    answers: Answers,
    file: Option<FromFile>,
}

/// What of a builder comes from a file, and what code said of the gate before.
struct FromFile {
    rules: usize,
    allowed: usize,
    said: Said,
}

impl LimitLayerBuilder {
    fn new(limiters: Limiters) -> Self {
        Self {
            limiters,
            client: ClientIp::direct(),
            key: None,
            rules: Vec::new(),
            allowed: Vec::new(),
            lists: None,
            answers: Answers::default(),
            file: None,
        }
    }

    /// Lets rules name policies of `cluster` as well. All policies of a request are charged or
    /// none: those of this process first, and they are refunded if the cluster-wide ones reject.
    ///
    /// A decision that takes Redis is made within the response future, and the service inside is
    /// called after it. Dropping that future may leave a charge made. While Redis is out of reach
    /// and a policy's mode is [`Closed`](crate::FailureMode::Closed), the answer is 503 with the
    /// problem type `temporary-reduced-capacity`.
    #[cfg(feature = "redis")]
    pub fn cluster(mut self, cluster: ClusterLimiter) -> Self {
        self.limiters.cluster = Some(cluster);
        self
    }

    /// How the client's address is found. Default: [`ClientIp::direct`].
    ///
    /// If the server tells no peer, all such clients share one quota; that is
    /// counted in `seawall_limit_unidentified_total`.
    pub fn identify(mut self, client: ClientIp) -> Self {
        self.client = client;
        self
    }

    /// Charges another subject than the address, such as an API key; where the
    /// closure gives `None`, the address is charged.
    ///
    /// Only use what was verified before this layer: a client that may choose
    /// its key has as many quotas as it likes.
    pub fn key_by<F>(mut self, key: F) -> Self
    where
        F: for<'a> Fn(&Head<'a>) -> Option<Key<'a>> + Send + Sync + 'static,
    {
        self.key = Some(Arc::new(key));
        self
    }

    /// Adds a rule. Every rule that matches contributes its policies, the last
    /// added first, so go from general to specific. At most 64.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Lets these addresses and networks pass, uncharged.
    pub fn allow<N: AsRef<str>>(mut self, networks: impl IntoIterator<Item = N>) -> Self {
        self.allowed.extend(networks.into_iter().map(|network| Box::from(network.as_ref())));
        self
    }

    /// Asks lists, and countries, before anything else, as if `lists` was layered outside of this
    /// layer, and with the same answers and metrics; but the client's address is found once, by
    /// [`identify`](Self::identify) of this layer, whatever `lists` was told, which is cheaper than
    /// two layers. Whom the lists allow is still charged.
    pub fn lists(mut self, lists: ListLayer) -> Self {
        self.lists = Some(lists.into_desk());
        self
    }

    /// Asks no lists any more: for a reload, at which they stay otherwise.
    pub fn without_lists(mut self) -> Self {
        self.lists = None;
        self
    }

    /// How clients are told. Default: the fields of draft 11, not exposed.
    pub fn answers(mut self, answers: Answers) -> Self {
        self.answers = answers;
        self
    }

    /// Checks everything and makes the layer.
    ///
    /// # Errors
    /// If no rule, or more than 64, were added; if a rule has no policy and is
    /// not exempt, names a policy that no limiter has, or has a
    /// malformed path; if two limiters have a policy of one name; if an address or network is
    /// malformed.
    pub fn build(self) -> Result<LimitLayer, Error> {
        Ok(LimitLayer { shared: Arc::new(Shared::new(self.gate()?)) })
    }

    /// All so far is from a file; what code said of the gate before stays, unless it says it anew.
    pub(super) fn after_file(mut self, said: Said) -> Self {
        self.client = self.client.or_peer(said.peer.clone());
        self.key = said.key.clone();
        self.lists = said.lists.clone();
        #[cfg(feature = "redis")]
        {
            self.limiters.cluster = said.cluster.clone();
        }
        self.file = Some(FromFile { rules: self.rules.len(), allowed: self.allowed.len(), said });
        self
    }

    pub(crate) fn gate(mut self) -> Result<Gate, Error> {
        let mut said = Said::default();
        if let Some(file) = self.file {
            if self.rules.len() == file.rules {
                self.rules.extend(file.said.rules);
            }
            if self.allowed.len() == file.allowed {
                self.allowed.extend(file.said.allowed);
            }
            said.rules = self.rules[file.rules..].to_vec();
            said.allowed = self.allowed[file.allowed..].to_vec();
        }
        Ok(Gate::new(
            self.client.compile()?,
            self.key,
            Networks::parse(&self.allowed)?,
            Rules::compile(self.limiters, self.rules)?,
            self.lists,
            (self.answers, said),
        ))
    }
}

impl fmt::Debug for LimitLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitLayerBuilder")
            .field("client", &self.client)
            .field("rules", &self.rules)
            .field("allowed", &self.allowed)
            .finish_non_exhaustive()
    }
}
