//! The quota layer: rules pick policies, the limiter decides, the client is told.

#[cfg(feature = "redis")]
mod cluster;
mod config;
mod future;
mod gate;
mod layer;
mod path;
mod reload;
mod rule;
mod service;
mod subject;

pub use config::{
    ClientConfig, ExceptionConfig, Finding, LayerConfig, RuleConfig, SubjectConfig, Trap,
};
pub use future::LimitFuture;
pub use gate::Head;
pub use layer::{LimitLayer, LimitLayerBuilder};
pub use rule::Rule;
pub use service::LimitService;
pub use subject::Subject;
