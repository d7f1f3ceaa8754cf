//! Who the client is, behind however many proxies.

mod forwarded;
mod hop;
mod network;
mod resolver;
mod rfc7239;
mod tiers;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::Extensions;

pub use forwarded::client_ip;
pub(crate) use network::v4_within;
pub use network::{Network, Networks};
pub use resolver::Resolver;
pub use tiers::{MAX_TIERS, TIERS, Tiers};

use crate::error::{Error, in_range};
use forwarded::Trust;

/// The address at the other end of the connection, as a request extension.
///
/// For servers that have no such extension of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// The field in which proxies say whom they speak for. Only one is read: a
/// proxy that writes one of them lets the other pass as the client sent it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum ProxyHeader {
    /// `X-Forwarded-For: client, proxy, proxy`.
    #[default]
    XForwardedFor,
    /// `Forwarded: for=client, for=proxy;proto=https` (RFC 7239).
    Forwarded,
}

/// How the client's address is found: the peer of the connection or, if that is
/// a trusted proxy, the nearest address in `X-Forwarded-For` (or `Forwarded`)
/// that is not.
///
/// The peer comes from the extension [`PeerAddr`], or from a closure. With axum:
///
/// ```
/// # use std::net::SocketAddr;
/// # #[derive(Clone)] struct ConnectInfo<T>(T); // as in axum::extract
/// use seawall_limit::ClientIp;
///
/// let identity = ClientIp::trusting(["127.0.0.0/8", "10.0.0.0/8"])
///     .peer(|ext| ext.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip()));
/// ```
///
/// IPv6 clients are one client per /64, since that is the least that a
/// subscriber gets; see [`ipv6_prefix`](Self::ipv6_prefix). Wider ranges beside
/// it: [`ipv6_tiers`](Self::ipv6_tiers).
#[derive(Clone)]
pub struct ClientIp {
    trust: Proxies,
    header: ProxyHeader,
    ipv6_prefix: u8,
    tiers: Vec<u8>,
    peer: Option<Arc<PeerFn>>,
}

#[derive(Debug, Clone)]
enum Proxies {
    Networks(Vec<Box<str>>),
    Hops(u8),
}

pub(crate) type PeerFn = dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync;

impl ClientIp {
    /// The peer alone, whatever the headers say: for servers without a proxy.
    #[must_use]
    pub fn direct() -> Self {
        Self::trusting::<&str>([])
    }

    /// Trusts proxies by address or network (`10.0.0.0/8`, `::1`). Trust only
    /// networks in which every host is yours: a trusted host can claim to be
    /// any client. The text is checked when the layer is built.
    #[must_use]
    pub fn trusting<N: AsRef<str>>(networks: impl IntoIterator<Item = N>) -> Self {
        let trusted = networks.into_iter().map(|network| network.as_ref().into()).collect();
        Self::with(Proxies::Networks(trusted))
    }

    /// Trusts so many proxies, the peer being the nearest of them: the client
    /// is the entry number `count` from the right. For proxies whose addresses
    /// change. 0 is [`direct`](Self::direct), the most is 64.
    ///
    /// Every request must come through all of them: if the service can be
    /// reached past one, whoever does so may claim to be any client. A list of
    /// fewer entries means just that, and the peer is the client.
    #[must_use]
    pub fn behind(count: u8) -> Self {
        Self::with(Proxies::Hops(count))
    }

    /// The field that the proxies write. Default: `X-Forwarded-For`.
    #[must_use]
    pub fn header(mut self, header: ProxyHeader) -> Self {
        self.header = header;
        self
    }

    /// Takes the peer from an extension of the server. Where it gives `None`,
    /// [`PeerAddr`] is tried.
    #[must_use]
    pub fn peer(
        mut self,
        peer: impl Fn(&Extensions) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        self.peer = Some(Arc::new(peer));
        self
    }

    /// The same, unless it has one.
    pub(crate) fn or_peer(mut self, peer: Option<Arc<PeerFn>>) -> Self {
        self.peer = self.peer.or(peer);
        self
    }

    /// How many leading bits tell IPv6 clients apart, 1 to 128. Default: 64.
    #[must_use]
    pub fn ipv6_prefix(mut self, bits: u8) -> Self {
        self.ipv6_prefix = bits;
        self
    }

    /// The prefixes of [`Resolver::tiers`], narrowest first: 1 to 3 of 1 to 128
    /// bits, each shorter than the one before. Default: 64, 56, 48.
    #[must_use]
    pub fn ipv6_tiers(mut self, prefixes: impl IntoIterator<Item = u8>) -> Self {
        self.tiers = prefixes.into_iter().collect();
        self
    }

    /// Checks everything, for use outside of this crate's layers.
    ///
    /// # Errors
    /// If a network is malformed, or a prefix or a count is out of bounds.
    pub fn build(&self) -> Result<Resolver, Error> {
        self.compile()
    }

    pub(crate) fn compile(&self) -> Result<Resolver, Error> {
        in_range("ipv6_prefix", self.ipv6_prefix.into(), 1, 128)?;
        let trust = match &self.trust {
            Proxies::Networks(texts) => Trust::Networks(Networks::parse(texts)?),
            Proxies::Hops(count) => {
                in_range("behind", u64::from(*count), 0, forwarded::MAX_HOPS as u64)?;
                Trust::Hops(*count)
            }
        };
        let tiers = tiers::check(&self.tiers)?;
        Ok(Resolver::new(trust, self.header, self.ipv6_prefix, tiers, self.peer.clone()))
    }

    fn with(trust: Proxies) -> Self {
        let header = ProxyHeader::default();
        Self { trust, header, ipv6_prefix: 64, tiers: TIERS.to_vec(), peer: None }
    }
}

impl Default for ClientIp {
    fn default() -> Self {
        Self::direct()
    }
}

impl fmt::Debug for ClientIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIp")
            .field("trust", &self.trust)
            .field("header", &self.header)
            .field("ipv6_prefix", &self.ipv6_prefix)
            .field("tiers", &self.tiers)
            .finish_non_exhaustive()
    }
}
