use thiserror::Error;

/// Why a metric gives no proposal. The controller then shrinks nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MetricError {
    /// The metrics API could not be asked.
    #[error("the metric could not be fetched")]
    Fetch,
    /// It answered with nothing.
    #[error("no metrics returned")]
    NoMetrics,
    /// All pods that have samples were set aside.
    #[error("no metrics of ready pods: pods might be unready")]
    NoReadyMetrics,
    /// No sample belongs to a pod with a request.
    #[error("no metrics returned matched known pods")]
    NoMatchingMetrics,
    /// A container requests nothing of the resource.
    #[error("missing request of a container")]
    MissingRequest,
    /// No container has the name.
    #[error("no such container")]
    ContainerNotFound,
    /// The selector finds no pods.
    #[error("no pods")]
    NoPods,
    /// The source and the kind of its target do not go together.
    #[error("the target is not one of this source")]
    Target,
    /// The source is of no known type.
    #[error("unknown metric source type")]
    Source,
}
