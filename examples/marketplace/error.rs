//! What can keep the marketplace from running, told so that a newcomer can act.

use std::path::PathBuf;

use crate::load::trace::TraceError;

/// An error with its cause; `main` prints the whole chain.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("the servers did not come up")]
    Stack(#[from] seawall_devstack::Error),
    #[error("PostgreSQL refused a statement while the data was loaded")]
    Postgres(#[from] tokio_postgres::Error),
    #[error("the pool could not be opened")]
    Pool(#[from] seawall::pool::Error),
    #[error("the cache could not be opened")]
    Cache(#[from] seawall::cache::Error),
    #[error("the quotas are not usable")]
    Limit(#[from] seawall::limit::Error),
    #[error("the metrics recorder could not be installed")]
    Metrics(#[from] seawall::metrics::Error),
    #[error("the scaling policy is not usable")]
    Scale(#[from] seawall::scale::PolicyError),
    #[error("a scaling rule does not parse")]
    Condition(#[source] seawall::signal::ParseError),
    #[error("hashing a password failed: {0}")]
    Password(argon2::password_hash::Error),
    #[error("cannot read the settings {path}", path = path.display())]
    ReadSettings { path: PathBuf, source: std::io::Error },
    #[error("the settings are not usable")]
    Settings(#[from] toml::de::Error),
    #[error("the trace is not usable")]
    Trace(#[from] TraceError),
    #[error("cannot listen on {address}; is another service there?")]
    Listen { address: std::net::SocketAddr, source: std::io::Error },
    #[error("cannot write {path}", path = path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("the load could not start: {what}")]
    Load { what: &'static str },
    #[error("the operating system refused: {what}")]
    System { what: &'static str, source: std::io::Error },
}
