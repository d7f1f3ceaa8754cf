//! Rate, errors and duration of every request, as a tower layer.
//!
//! A guard is made when the service is called and moves from the response
//! future into the response body. Whatever becomes of the request, the guard
//! is finished or dropped exactly once, and that is when the request is
//! counted.

mod body;
mod future;
mod grpc;
mod guard;
mod layer;
mod routes;
mod service;
mod template;

pub use body::RedBody;
pub use future::RedFuture;
pub use layer::RedLayer;
pub use service::Red;

#[cfg(test)]
mod tests;
