//! From a request's head to the client's address.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use http::{Extensions, HeaderMap};

use super::forwarded::{Trust, resolve};
use super::tiers::Tiers;
use super::{PeerAddr, PeerFn, ProxyHeader};

/// [`ClientIp`](super::ClientIp), checked: made by its `build`.
///
/// No call fails, allocates or reads what lies to the left of the answer.
#[derive(Clone)]
pub struct Resolver {
    trust: Trust,
    header: ProxyHeader,
    mask: u128,
    tiers: Tiers<u8>,
    peer: Option<Arc<PeerFn>>,
}

impl Resolver {
    /// The client's address, or `None` if the server does not tell the peer's.
    #[must_use]
    pub fn address(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let told = self.peer.as_ref().and_then(|peer| peer(extensions));
        let peer = told.or_else(|| extensions.get::<PeerAddr>().map(|peer| peer.0.ip()))?;
        Some(resolve(peer, headers, &self.trust, self.header))
    }

    /// The address that stands for all of a client's: itself for IPv4, the
    /// first of its prefix for IPv6.
    #[must_use]
    pub fn group(&self, address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & self.mask).into(),
        }
    }

    /// The ranges that an address counts for, narrowest first: for IPv6 its
    /// tiers, for IPv4 itself alone. Each is a [`Key`](crate::Key).
    #[must_use]
    pub fn tiers(&self, address: IpAddr) -> Tiers {
        Tiers::of(address, &self.tiers)
    }

    pub(crate) fn peer(&self) -> Option<Arc<PeerFn>> {
        self.peer.clone()
    }

    /// Of [`ClientIp::direct`](super::ClientIp::direct).
    pub(crate) fn direct() -> Self {
        Self {
            trust: Trust::Hops(0),
            header: ProxyHeader::default(),
            mask: u128::MAX << 64,
            tiers: Tiers::usual(),
            peer: None,
        }
    }

    pub(crate) fn new(
        trust: Trust,
        header: ProxyHeader,
        ipv6_prefix: u8,
        tiers: Tiers<u8>,
        peer: Option<Arc<PeerFn>>,
    ) -> Self {
        let mask = u128::MAX << (128 - u32::from(ipv6_prefix));
        Self { trust, header, mask, tiers, peer }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("trust", &self.trust)
            .field("header", &self.header)
            .field("tiers", &self.tiers)
            .finish_non_exhaustive()
    }
}
