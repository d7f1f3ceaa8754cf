//! Pushing to an OpenTelemetry collector: OTLP 1.0 over HTTP with protobuf.
//!
//! Everything is sent with cumulative temporality, so a push that fails loses
//! nothing: the next one says it all. There is no queue and no retry but the
//! next interval.

mod encode;
mod push;

pub use push::{OtlpConfig, OtlpPush};

use crate::alias::Aliases;
use crate::handle::Handle;

impl Handle {
    /// Everything as the body of an OTLP `ExportMetricsServiceRequest`, for
    /// those who send it themselves (over TLS, for instance) with the content
    /// type `application/x-protobuf`. `resource` are the attributes of the
    /// service, `service.name` above all.
    ///
    /// Names are the exposed ones without `_total`, with the unit in its place;
    /// histograms have the classic bounds.
    #[must_use]
    pub fn otlp(&self, resource: &[(String, String)]) -> Vec<u8> {
        encode::encode(self.registry(), resource, &[])
    }

    /// [`otlp`](Self::otlp) with `aliases` behind the metrics.
    #[must_use]
    pub fn otlp_with(&self, resource: &[(String, String)], aliases: &Aliases) -> Vec<u8> {
        encode::encode(self.registry(), resource, &aliases.of(self))
    }
}
