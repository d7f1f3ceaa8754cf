//! Reading `X-Forwarded-For` from the trusted end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, HeaderName};

use super::network::{Networks, plain};

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
    let mut client = plain(peer);
    if !trusted.contains(client) {
        return client;
    }
    let lines = headers.get_all(X_FORWARDED_FOR).into_iter().rev();
    let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for hop in hops.take(MAX_HOPS) {
        let Some(address) = parse(hop) else { break };
        client = address;
        if !trusted.contains(address) {
            break;
        }
    }
    client
}

/// One entry: `1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`, `[2001:db8::1]:80`, with
/// a zone id, in quotes.
fn parse(hop: &[u8]) -> Option<IpAddr> {
    let hop = hop.trim_ascii();
    if hop.len() > MAX_ENTRY {
        return None;
    }
    let text = std::str::from_utf8(hop).ok()?;
    let text = text.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(text);
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        return (port.is_empty() || is_port(port)).then(|| v6(address)).flatten();
    }
    match text.split_once(':') {
        None => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        Some((address, port)) if !port.contains(':') => {
            port.parse::<u16>().ok()?;
            address.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
        }
        Some(_) => v6(text),
    }
}

fn v6(text: &str) -> Option<IpAddr> {
    let address = text.split_once('%').map_or(text, |(address, _zone)| address);
    address.parse::<Ipv6Addr>().ok().map(|address| plain(address.into()))
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':').is_some_and(|digits| digits.parse::<u16>().is_ok())
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const MAX_HOPS: usize = 64;
/// The longest address with brackets, a zone id and a port fits easily.
const MAX_ENTRY: usize = 128;

#[cfg(test)]
mod tests;
