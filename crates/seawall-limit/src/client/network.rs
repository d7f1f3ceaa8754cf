//! Addresses and networks in CIDR form.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::error::Error;

/// An address range such as `10.0.0.0/8` or `2001:db8::/32`; a bare address is
/// a range of one. Bits past the prefix are ignored. IPv4 in IPv6 form is IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    first: IpAddr,
    prefix: u8,
}

impl Network {
    /// The range of `prefix` bits around an address. IPv4 in IPv6 form is IPv4;
    /// a prefix that is longer than the address is the address alone.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        match plain(address) {
            IpAddr::V4(v4) => {
                let prefix = prefix.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                Self { first: Ipv4Addr::from_bits(v4.to_bits() & mask).into(), prefix }
            }
            IpAddr::V6(v6) => {
                let prefix = prefix.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                Self { first: Ipv6Addr::from_bits(v6.to_bits() & mask).into(), prefix }
            }
        }
    }

    /// The first address, with only the bits of the prefix.
    #[must_use]
    pub const fn first(&self) -> IpAddr {
        self.first
    }

    /// How many leading bits are given.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether the address is in the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, plain(address)) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                agree((first.to_bits() ^ address.to_bits()).leading_zeros(), self.prefix, 32)
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                agree((first.to_bits() ^ address.to_bits()).leading_zeros(), self.prefix, 128)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Network { text: text.into() };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| wrong())?;
        let first = plain(written);
        let width = |address: IpAddr| if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => width(first),
            Some(digits)
                if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                return Err(wrong());
            }
            Some(digits) => {
                let bits: u8 = digits.parse().map_err(|_| wrong())?;
                if bits > width(written) {
                    return Err(wrong());
                }
                // A range of mapped addresses loses the 96 bits of the mapping.
                bits.checked_sub(width(written) - width(first)).ok_or_else(wrong)?
            }
        };
        Ok(Self::new(first, prefix))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

/// A list of networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks {
    list: Box<[Network]>,
}

impl Networks {
    /// Reads a list.
    ///
    /// # Errors
    /// On the first text that is neither an address nor a network.
    pub fn parse<N: AsRef<str>>(texts: impl IntoIterator<Item = N>) -> Result<Self, Error> {
        let list = texts.into_iter().map(|text| text.as_ref().parse()).collect::<Result<_, _>>()?;
        Ok(Self { list })
    }

    /// Whether any of the networks has the address. One pass over the list.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.list.iter().any(|network| network.contains(address))
    }

    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// IPv4 out of its IPv6 dress: `::ffff:1.2.3.4` (RFC 4291) and `64:ff9b::1.2.3.4`
/// (NAT64, RFC 6052).
#[inline]
pub(crate) fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v4_within(v6.to_bits()).map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// The IPv4 address in that dress, if it is one.
#[inline]
pub(crate) fn v4_within(bits: u128) -> Option<Ipv4Addr> {
    let dressed = bits >> 32 == 0xffff || bits >> 32 == NAT64 >> 32;
    dressed.then(|| Ipv4Addr::from_bits((bits & 0xffff_ffff) as u32))
}

fn agree(leading: u32, prefix: u8, width: u32) -> bool {
    leading.min(width) >= u32::from(prefix)
}

const NAT64: u128 = 0x0064_ff9b << 96;

#[cfg(test)]
mod tests;
