//! How the names of nodes are looked up.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;

type Lookup = dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// Finds the addresses of a node's name. Default: as the system does, on a thread of its own.
///
/// Asked for every connection that is opened, and every
/// [`resolve_interval`](crate::PoolConfig::resolve_interval); keep what is known in
/// there if asking is dear. Cheap to clone.
#[derive(Clone)]
pub struct Resolver(Arc<Lookup>);

impl Resolver {
    /// One that asks `resolve` for the addresses of a name, each with the port that is given.
    ///
    /// The addresses are tried in turn, each within the connection string's `connect_timeout` if it
    /// has one, all within [`connect_timeout`](crate::PoolConfig::connect_timeout). An error, or no
    /// address, fails the connection that is being opened and changes nothing for those there are.
    pub fn new<F, Found>(resolve: F) -> Self
    where
        F: Fn(String, u16) -> Found + Send + Sync + 'static,
        Found: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        Self(Arc::new(move |name, port| Box::pin(resolve(name, port))))
    }

    pub(crate) async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        (self.0)(name.to_owned(), port).await
    }
}

impl Default for Resolver {
    fn default() -> Self {
        Self::new(|name, port| async move {
            Ok(tokio::net::lookup_host((name.as_str(), port)).await?.collect())
        })
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}
