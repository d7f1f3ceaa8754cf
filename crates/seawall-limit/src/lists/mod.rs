//! Who may come in at all: lists of addresses, and countries.

mod access;
mod geo;
mod layer;
mod radix;
mod service;
mod table;

pub use access::{Access, AccessList, AccessListBuilder, SharedAccessList};
pub use geo::{Country, GeoPolicy, Locate, Place};
pub(crate) use layer::Desk;
pub use layer::ListLayer;
pub use service::ListService;
pub use table::PrefixTable;
