//! Access by country and by the network's operator. No database comes with it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::access::Access;
use crate::error::Error;

/// A country by its two letters (ISO 3166-1), in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct Country([u8; 2]);

impl FromStr for Country {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match *text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Ok(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => Err(Error::Country { text: text.chars().take(16).collect() }),
        }
    }
}

impl TryFrom<String> for Country {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.to_string()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = self.0;
        write!(f, "{}{}", char::from(a), char::from(b))
    }
}

/// Where an address is, as far as is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever locates")]
pub struct Place {
    /// The country.
    pub country: Option<Country>,
    /// The autonomous system, such as 64496.
    pub asn: Option<u32>,
}

/// Tells where an address is: a reader of a geo database, or a closure. Called
/// for each request whose address no list names, on the request's own task, so
/// it must neither wait nor be slow.
pub trait Locate: Send + Sync {
    /// Where the address is.
    fn locate(&self, address: IpAddr) -> Place;
}

impl<F: Fn(IpAddr) -> Place + Send + Sync> Locate for F {
    fn locate(&self, address: IpAddr) -> Place {
        self(address)
    }
}

/// Which places may come in. By default all.
///
/// ```
/// use seawall_limit::{Access, GeoPolicy, Place};
///
/// let policy = GeoPolicy { deny: vec!["XA".parse()?], deny_asns: vec![64_496], ..GeoPolicy::default() };
/// let from = |country: &str, asn| Place { country: country.parse().ok(), asn };
/// assert_eq!(policy.decide(from("xa", None)), Access::Deny);
/// assert_eq!(policy.decide(from("DE", Some(64_496))), Access::Deny);
/// assert_eq!(policy.decide(from("DE", None)), Access::Allow);
/// # Ok::<(), seawall_limit::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct GeoPolicy {
    /// If not empty, only these countries come in. Default: empty.
    pub allow: Vec<Country>,
    /// These do not, even if `allow` has them. Default: empty.
    pub deny: Vec<Country>,
    /// Autonomous systems that do not. Default: empty.
    pub deny_asns: Vec<u32>,
    /// Whether addresses of unknown country are turned away. Databases have
    /// gaps, so by default they are not, whatever `allow` says.
    pub deny_unknown: bool,
}

impl GeoPolicy {
    /// Whether a place may come in.
    #[must_use]
    pub fn decide(&self, place: Place) -> Access {
        let denied = place.asn.is_some_and(|asn| self.deny_asns.contains(&asn))
            || place.country.map_or(self.deny_unknown, |country| {
                self.deny.contains(&country)
                    || !(self.allow.is_empty() || self.allow.contains(&country))
            });
        if denied { Access::Deny } else { Access::Allow }
    }
}

#[cfg(test)]
mod tests;
