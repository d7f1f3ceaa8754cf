//! Connections that are encrypted.

use std::fmt;

#[cfg(feature = "tls")]
mod connect;
#[cfg(feature = "tls")]
pub(crate) use connect::{Connector, cancel, open};

/// How connections to the nodes are encrypted. Default: not at all.
///
/// With the feature `tls` made of a `rustls` configuration, which says whose certificates are
/// trusted. The server's name, as in the connection string, is always checked. Whether TLS is used
/// is for the connection string to say: with `sslmode=require` there is no connection without,
/// with `prefer`, the default, there is one if the server has none to offer. All connections of a
/// pool go the same way, cancel requests too.
#[derive(Clone, Default)]
pub struct Tls {
    #[cfg(feature = "tls")]
    pub(crate) connector: Option<Connector>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}
