//! Reading what proxies say from the trusted end.

use std::net::IpAddr;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};

use super::network::{Networks, plain};
use super::{ProxyHeader, hop, rfc7239};

/// The client's address, given the peer's and the request's headers.
///
/// If the peer is trusted, all `X-Forwarded-For` lines are read as one list
/// from right to left, past the trusted addresses; the first other one is the
/// client. Text that is no address ends the walk: the client is then the last
/// good hop, the peer at worst. So it is if all are trusted, or after 64 hops.
/// Ports, brackets, quotes and zone ids are taken off; IPv4 in IPv6 form comes
/// back as IPv4. It cannot fail, and it does not read what lies to the left of
/// the answer: that is whatever the client chose to send.
///
/// ```
/// # use seawall_limit::{Networks, client_ip};
/// let trusted = Networks::parse(["10.0.0.0/8"])?;
/// let mut headers = http::HeaderMap::new();
/// headers.insert("x-forwarded-for", "6.6.6.6, 1.1.1.1, 10.0.0.2".parse()?);
///
/// assert_eq!(client_ip("10.0.0.1".parse()?, &headers, &trusted).to_string(), "1.1.1.1");
/// assert_eq!(client_ip("9.9.9.9".parse()?, &headers, &trusted).to_string(), "9.9.9.9");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn client_ip(peer: IpAddr, headers: &HeaderMap, trusted: &Networks) -> IpAddr {
    past(peer, x_forwarded_for(headers), trusted)
}

/// Who is believed.
#[derive(Debug, Clone)]
pub(crate) enum Trust {
    Networks(Networks),
    Hops(u8),
}

/// The client's address, by the field that the proxies write.
pub(crate) fn resolve(
    peer: IpAddr,
    headers: &HeaderMap,
    trust: &Trust,
    header: ProxyHeader,
) -> IpAddr {
    match header {
        ProxyHeader::XForwardedFor => walk(peer, x_forwarded_for(headers), trust),
        ProxyHeader::Forwarded => {
            let lines = headers.get_all(FORWARDED).into_iter().rev();
            let elements = lines.flat_map(|line| rfc7239::elements(line.as_bytes()));
            walk(peer, elements.map(rfc7239::node), trust)
        }
    }
}

fn x_forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let lines = headers.get_all(X_FORWARDED_FOR).into_iter().rev();
    lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')).map(hop::parse)
}

/// Goes from the peer outwards.
fn walk(peer: IpAddr, mut hops: impl Iterator<Item = Option<IpAddr>>, trust: &Trust) -> IpAddr {
    let peer = plain(peer);
    let mut client = peer;
    match trust {
        Trust::Networks(trusted) => return past(peer, hops, trusted),
        Trust::Hops(count) => {
            for _ in 0..*count {
                match hops.next() {
                    Some(Some(hop)) => client = hop,
                    Some(None) => break,
                    // Fewer proxies than there should be: nobody vouches for the list.
                    None => return peer,
                }
            }
        }
    }
    client
}

fn past(peer: IpAddr, hops: impl Iterator<Item = Option<IpAddr>>, trusted: &Networks) -> IpAddr {
    let mut client = plain(peer);
    let mut hops = hops.take(MAX_HOPS);
    while trusted.contains(client) {
        let Some(Some(hop)) = hops.next() else { break };
        client = hop;
    }
    client
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const MAX_HOPS: usize = 64;

#[cfg(test)]
mod tests;
