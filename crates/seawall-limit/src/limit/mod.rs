//! The quota layer: rules pick policies, the limiter decides, the client is told.

#[cfg(feature = "redis")]
mod cluster;
mod config;
mod count;
mod future;
mod gate;
mod layer;
mod open;
mod path;
mod reload;
mod rule;
mod service;
mod subject;

pub use config::{
    ClientConfig, CountConfig, ExceptionConfig, Finding, LayerConfig, RuleConfig, SubjectConfig,
    Trap,
};
pub use count::{Answered, Count, CountFn};
pub use future::LimitFuture;
pub use gate::Head;
pub use layer::{LimitLayer, LimitLayerBuilder};
pub(crate) use open::Meter;
pub use rule::Rule;
pub use service::LimitService;
pub use subject::Subject;
