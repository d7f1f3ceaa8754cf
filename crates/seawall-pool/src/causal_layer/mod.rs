//! What a user has written and seen, carried from request to request.

mod future;
mod layer;
mod seal;
mod service;

pub use future::CausalFuture;
pub use layer::CausalLayer;
pub use service::CausalService;

#[cfg(test)]
mod tests;
