//! Request guards: size bounds that hold before a handler sees the request.

mod body;
mod future;
mod layer;
mod limits;
mod service;

pub use body::{BodyTooLarge, GuardBody};
pub use future::GuardFuture;
pub use layer::GuardLayer;
pub use limits::Guards;
pub use service::GuardService;
