//! Who the client is, behind however many proxies.

mod forwarded;
mod network;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use http::{Extensions, HeaderMap};

pub use forwarded::client_ip;
pub use network::{Network, Networks};

use crate::error::{Error, in_range};

/// The address at the other end of the connection, as a request extension.
///
/// For servers that have no such extension of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// How the client's address is found: the peer of the connection or, if that is
/// a trusted proxy, the nearest address in `X-Forwarded-For` that is not.
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
/// subscriber gets; see [`ipv6_prefix`](Self::ipv6_prefix).
#[derive(Clone)]
pub struct ClientIp {
    trusted: Vec<Box<str>>,
    ipv6_prefix: u8,
    peer: Option<Arc<PeerFn>>,
}

type PeerFn = dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync;

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
        Self { trusted, ipv6_prefix: 64, peer: None }
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

    /// How many leading bits tell IPv6 clients apart, 1 to 128. Default: 64.
    #[must_use]
    pub fn ipv6_prefix(mut self, bits: u8) -> Self {
        self.ipv6_prefix = bits;
        self
    }

    pub(crate) fn compile(&self) -> Result<Resolver, Error> {
        in_range("ipv6_prefix", self.ipv6_prefix.into(), 1, 128)?;
        Ok(Resolver {
            trusted: Networks::parse(&self.trusted)?,
            mask: u128::MAX << (128 - u32::from(self.ipv6_prefix)),
            peer: self.peer.clone(),
        })
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
            .field("trusted", &self.trusted)
            .field("ipv6_prefix", &self.ipv6_prefix)
            .finish_non_exhaustive()
    }
}

/// [`ClientIp`], checked.
pub(crate) struct Resolver {
    trusted: Networks,
    mask: u128,
    peer: Option<Arc<PeerFn>>,
}

impl Resolver {
    /// The client's address, or `None` if the server does not tell the peer's.
    pub(crate) fn address(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let told = self.peer.as_ref().and_then(|peer| peer(extensions));
        let peer = told.or_else(|| extensions.get::<PeerAddr>().map(|peer| peer.0.ip()))?;
        Some(client_ip(peer, headers, &self.trusted))
    }

    /// The address that stands for all of a client's.
    pub(crate) fn group(&self, address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & self.mask).into(),
        }
    }
}
