//! One address as several keys: an IPv6 client owns more than one /64.

use std::net::IpAddr;
use std::ops::Deref;

use super::network::{Network, plain};
use crate::error::{Error, in_range};

/// The ranges that one address counts for, narrowest first.
///
/// A customer who was given a /48 has 65 536 /64s, and a quota per /64 gives
/// them as many quotas. So a decision can charge the /64, the /56 and the /48,
/// each under a policy of its own: all are charged or none. IPv4 has one tier,
/// the address: whoever pairs tiers with policies leaves out the rest.
///
/// ```
/// use seawall_limit::{Key, TIERS, Tiers};
///
/// let tiers = Tiers::of("2001:db8:1:2ff::7".parse()?, &TIERS);
/// let text: Vec<_> = tiers.iter().map(ToString::to_string).collect();
/// assert_eq!(text, ["2001:db8:1:2ff::/64", "2001:db8:1:200::/56", "2001:db8:1::/48"]);
/// let keys = tiers.iter().map(|tier| Key::from(*tier)); // most specific first
/// assert_eq!(Tiers::of("192.0.2.1".parse()?, &TIERS).len(), 1);
/// # let _ = keys;
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiers<T = Network> {
    list: [T; MAX_TIERS],
    len: usize,
}

impl Tiers {
    /// The tiers of an address, of at most [`MAX_TIERS`] prefixes; IPv4 in IPv6
    /// form is IPv4. Prefixes above 128 are 128. Of no prefixes, the address
    /// itself is the only tier.
    #[must_use]
    pub fn of(address: IpAddr, prefixes: &[u8]) -> Self {
        let address = plain(address);
        let whole = Network::new(address, 128);
        let mut tiers = Self { list: [whole; MAX_TIERS], len: 1 };
        if address.is_ipv6() && !prefixes.is_empty() {
            tiers.len = prefixes.len().min(MAX_TIERS);
            for (tier, prefix) in tiers.list.iter_mut().zip(prefixes) {
                *tier = Network::new(address, *prefix);
            }
        }
        tiers
    }
}

impl Tiers<u8> {
    pub(crate) const fn usual() -> Self {
        Self { list: TIERS, len: MAX_TIERS }
    }
}

impl<T> Deref for Tiers<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.list.get(..self.len).unwrap_or_default()
    }
}

pub(crate) fn check(prefixes: &[u8]) -> Result<Tiers<u8>, Error> {
    in_range("ipv6_tiers", prefixes.len() as u64, 1, MAX_TIERS as u64)?;
    let mut tiers = Tiers { list: [0; MAX_TIERS], len: prefixes.len() };
    let mut most = 128;
    for (tier, prefix) in tiers.list.iter_mut().zip(prefixes) {
        in_range("ipv6_tiers", (*prefix).into(), 1, most)?;
        *tier = *prefix;
        most = u64::from(*prefix).saturating_sub(1);
    }
    Ok(tiers)
}

/// The usual tiers: a network, a site, a large site (RFC 6177, BCP 157).
pub const TIERS: [u8; 3] = [64, 56, 48];
/// The most tiers of one address.
pub const MAX_TIERS: usize = 3;

#[cfg(test)]
mod tests;
