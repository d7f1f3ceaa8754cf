//! Whose quota it is.

use std::net::IpAddr;

/// The subject of a decision: an address, a user, an API key.
///
/// Borrowed, and hashed with the limiter's own random seeds before it is
/// stored: the table never holds the key itself. Kinds do not mix:
/// `Key::Text("7")` and `Key::Number(7)` are two subjects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Key<'a> {
    /// An address, taken as it is. The layer groups IPv6 by prefix first.
    Ip(IpAddr),
    /// An address range by its first address and its prefix: one tier of an
    /// IPv6 client. A range is another subject than its first address.
    Prefix(IpAddr, u8),
    /// A name, a token, an API key.
    Text(&'a str),
    /// The same as bytes.
    Bytes(&'a [u8]),
    /// A numeric id.
    Number(u64),
    /// A client about whom nothing is known. All of them share one quota.
    Unknown,
}

macro_rules! key_from {
    ($($from:ty => |$value:ident| $key:expr;)*) => {$(
        impl<'a> From<$from> for Key<'a> {
            fn from($value: $from) -> Self {
                $key
            }
        }
    )*};
}

key_from! {
    IpAddr => |ip| Key::Ip(ip);
    &IpAddr => |ip| Key::Ip(*ip);
    u64 => |number| Key::Number(number);
    &u64 => |number| Key::Number(*number);
    &'a str => |text| Key::Text(text);
    &'a &str => |text| Key::Text(text);
    &'a String => |text| Key::Text(text);
    &'a [u8] => |bytes| Key::Bytes(bytes);
    &'a Vec<u8> => |bytes| Key::Bytes(bytes);
    &Key<'a> => |key| *key;
}

#[cfg(feature = "tower")]
impl From<crate::client::Network> for Key<'_> {
    fn from(network: crate::client::Network) -> Self {
        Key::Prefix(network.first(), network.prefix())
    }
}
