//! Configuration of the overload layer.

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::answer::Desk;
use super::handle::Overload;
use super::priority::Priority;
use super::service::OverloadService;
use crate::answer::Problem;
use crate::limit::Head;

/// A tower layer that holds an [`Overload`] permit for each request, from the call to the end of
/// the response's body, and answers 503 where there is none. Clones of the service share the
/// guard.
///
/// ```
/// use seawall_limit::{Criticality, Overload, OverloadConfig, OverloadLayer, Priority};
///
/// let overload = Overload::new(&OverloadConfig::default())?;
/// let layer = OverloadLayer::new(overload.clone()) // keep one: status(), set_pressure()
///     .classify(|head| {
///         let class = match head.uri.path() {
///             "/api/bids" => Criticality::CriticalPlus,
///             _ => Criticality::default(),
///         };
///         let user = head.headers.get("x-user-id").map(|id| id.as_bytes());
///         user.map_or(Priority::new(class), |user| Priority::new(class).user(user))
///     })
///     .bypass("/internal");
/// # let _ = layer;
/// # Ok::<(), seawall_limit::Error>(())
/// ```
///
/// It is always ready: nothing is taken before a request is there, so that idle connections and
/// clones that were polled hold nothing. The service inside is cloned for each request and made
/// ready under the permit, so that time spent there counts as the service's.
///
/// Latency is the time to the response's head. Statuses 503 and 504 count as overload, other
/// server errors and errors of the service as neither good nor bad.
///
/// Streams without an end (events, web sockets) hold a slot for as long as they last: let them
/// [`bypass`](Self::bypass).
#[derive(Clone)]
pub struct OverloadLayer {
    desk: Arc<Desk>,
}

impl OverloadLayer {
    /// Takes the priority of a request from its extension [`Priority`], if there is one, and lets
    /// `/health`, `/healthz`, `/livez`, `/readyz` and what is below them pass.
    #[must_use]
    pub fn new(overload: Overload) -> Self {
        Self { desk: Arc::new(Desk::new(overload)) }
    }

    /// How much each request matters, and whose it is. In place of the extension.
    #[must_use]
    pub fn classify(
        self,
        classify: impl Fn(&Head<'_>) -> Priority + Send + Sync + 'static,
    ) -> Self {
        self.change(|desk| desk.classify = Some(Arc::new(classify)))
    }

    /// Another path that passes without a permit, with all that is below it.
    #[must_use]
    pub fn bypass(self, path: &str) -> Self {
        let path = path.trim_end_matches('/');
        self.change(|desk| desk.bypass.push(path.into()))
    }

    /// What a rejected client reads.
    #[must_use]
    pub fn message(self, detail: &str) -> Self {
        self.change(|desk| desk.problem = Problem::reduced_capacity(detail))
    }

    /// Only layers that services were made of share their desk: those go on as they were.
    fn change(self, change: impl FnOnce(&mut Desk)) -> Self {
        let mut desk = Arc::try_unwrap(self.desk).unwrap_or_else(|shared| shared.copy());
        change(&mut desk);
        Self { desk: Arc::new(desk) }
    }
}

impl<S> Layer<S> for OverloadLayer {
    type Service = OverloadService<S>;

    fn layer(&self, inner: S) -> OverloadService<S> {
        OverloadService::new(inner, Arc::clone(&self.desk))
    }
}

impl fmt::Debug for OverloadLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverloadLayer").field("overload", &self.desk.overload).finish()
    }
}
