//! The tower service: one of many services for each request.

mod future;
mod layer;
#[expect(
    clippy::module_inception,
    reason = "mod, layer, service, future: the files of every middleware"
)]
mod service;
mod slots;

pub use future::BalanceFuture;
pub use layer::BalanceLayer;
pub use service::{BalanceService, BoxError};
