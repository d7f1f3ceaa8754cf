//! What can go wrong when a recorder or sampler is set up. Recording itself
//! has no errors.

/// Why a recorder or sampler could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is out of bounds. Nothing was changed.
    #[error("{field} is {value}: must be {bound}")]
    Config {
        /// The setting.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        bound: &'static str,
    },
    /// This process has a global recorder already; a second one cannot be
    /// installed.
    #[error("a global metrics recorder is installed already")]
    AlreadyInstalled,
    /// A route template does not parse, or conflicts with one before it.
    #[error("the route template {template:?} is refused")]
    Template {
        /// As it was given.
        template: Box<str>,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The address of a listener cannot be had. Retrying helps once whoever
    /// holds it lets go.
    #[error("cannot listen on {addr}")]
    Bind {
        /// The address asked for.
        addr: std::net::SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The address of a collector is not `http://HOST[:PORT]/PATH`.
    #[error("the endpoint is not an address like http://127.0.0.1:4318/v1/metrics")]
    Endpoint,
    /// Histograms of unlike bucket bounds were to be merged. Nothing was changed.
    #[error("histograms with other bucket bounds cannot be merged")]
    OtherBuckets,
    /// A background task was asked for outside a tokio runtime.
    #[error("no tokio runtime to spawn on")]
    NoRuntime,
}

impl Error {
    /// True if the same call may succeed later: when it lacked a runtime or an
    /// address.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::NoRuntime | Self::Bind { .. })
    }

    pub(crate) fn config(field: &'static str, value: f64, bound: &'static str) -> Self {
        Self::Config { field, value, bound }
    }
}
